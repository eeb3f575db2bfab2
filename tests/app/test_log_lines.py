"""What a client sends begins no line of its own in the logs, and nothing else there (check 8)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.event_stream import create_event_stream
from longwave.app.hooks import UpgradeResult, define_websocket_handler
from longwave.core.paths import printable
from tests.app.harness import connect, full, make_app, open_stream, run_app, turn

CODED = "/a%0a2026-11-23%20ERROR%1b%5b2J%0d%c2%85%e2%80%a8b"
SHOWN = r"/a\n2026-11-23 ERROR\x1b[2J\r\x85\u2028b"


def test_printable() -> None:
    assert printable("/plain/é 😀") == "/plain/é 😀"
    assert printable("a\r\n\t\x00\x1b\x7f\x85\u2028\u202eb") == r"a\r\n\t\x00\x1b\x7f\x85\u2028\u202eb"
    assert printable("'\n") == r"'\n"


def test_a_path_is_escaped_in_every_line(caplog: pytest.LogCaptureFixture) -> None:
    """What a client has encoded is decoded in `event.path`."""
    shown: list[str] = []

    def fails(*_: Any) -> None:
        raise RuntimeError("boom")

    async def task() -> None:
        fails()

    async def streams(event: Event) -> Any:
        shown.append(repr(event))
        stream = create_event_stream(event)
        stream.on_closed(fails)
        stream.spawn(task())
        await stream.push("x")
        return stream

    async def check(app: App) -> None:
        assert (await full(app, "/fails" + CODED)).status == 500
        stream, _, _ = await open_stream(app, "/streams" + CODED)
        await turn(5)
        stream.closed(1006, "")
        await turn(5)
        peer, _ = await connect(app, "/ws" + CODED)
        shown.append(repr(peer))

    routes = {
        "/fails/[...rest]": fails,
        "/streams/[...rest]": streams,
        "/ws/[...rest]": define_websocket_handler(),
    }
    with caplog.at_level(logging.ERROR):
        run_app(make_app(routes), check)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"GET /fails{SHOWN} failed",
        f"task of the stream /streams{SHOWN} failed",
        f"on_closed of the stream /streams{SHOWN} failed",
    ]
    assert shown[0] == f"<Event GET /streams{SHOWN}>"
    assert shown[1].endswith(f" /ws{SHOWN}>")


@pytest.mark.parametrize("name", ["chat\r\nx: y", "chat\n", "ch at", "\x00", "é", ""])
def test_a_subprotocol_that_is_none_is_never_chosen(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nor one that the client did not offer, which those cannot be."""

    async def check(app: App) -> None:
        offer = [(b"sec-websocket-protocol", b"chat")]
        reply = await full(app, "/ws", upgrade=True, headers=offer)
        assert reply.status == 500
        assert name.encode() not in b"".join(value for _, value in reply.headers) or not name

    handler = define_websocket_handler(upgrade=lambda event: UpgradeResult(protocol=name))
    with caplog.at_level(logging.CRITICAL):
        run_app(make_app({"/ws": handler}), check)
