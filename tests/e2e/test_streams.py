"""Event streams as clients see them (check 10), and connections that go away (check 11)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.deno import needs_deno, run_script
from tests.e2e.probe import MIB, Probe, probing
from tests.e2e.wire import LATE, Connect, Wire, clients, eventually, measured, request, run

TYPES = ["message", "tick", "with space", "a:b", "ünï", "data", "id", " led", "\ufeffbom", "😀"]
PIECES = ["a", "hello", " ", ":", "\r", "\n", "\r\n", "\0", "\u2028", "\u2029", "\x85", "\v", "\ufeff", "ü",
          "😀", "data: x", "\n\n", "id: 1\n", "event: y", "retry: 9", "\t", "{}", "&<>\""]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    folder = tmp_path_factory.mktemp("streams")
    with probing(folder, env={"PROBE_EVENTS": folder / "events.json", "timeouts.close": 0.5}) as running:
        yield running


def generated(count: int) -> list[dict[str, Any]]:
    """Return events as fields of `EventMessage`; the same ones each time."""
    source = random.Random(1492)

    def text(most: int, without: str = "") -> str:
        parts = source.choices(PIECES, k=source.randint(0, most))
        return "".join(part for part in parts if not set(part) & set(without))

    events: list[dict[str, Any]] = [
        {"data": data} for data in ("", " led", "\ufeff", "\0", "\u2028", "\r", "\n")
    ]
    while len(events) < count:
        fields: dict[str, Any] = {"data": text(8)}
        if source.random() < 0.5:
            fields["event"] = source.choice(TYPES)
        if source.random() < 0.3:
            fields["id"] = text(3, "\r\n\0")
        if source.random() < 0.1:
            fields["retry"] = source.choice([0, 1, 50, 3000, 10**6])
        events.append(fields)
    # The stream ends after the last one: the client has to come back after as long as it says.
    return [*events, {"data": "last", "id": "ende ü", "retry": 300}]


def expected(events: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return what a client has to make of events (WHATWG HTML 9.2.6)."""
    last = ""
    results = []
    for fields in events:
        last = fields.get("id", last)
        data = re.sub("\r\n|\r", "\n", fields["data"])
        results.append({"type": fields.get("event") or "message", "data": data, "id": last})
    return results


@needs_deno
def test_generated_events_come_back_from_an_eventsource(server: Probe, length: Callable[[int], int]) -> None:
    events = generated(length(10_000))
    (server.root / "events.json").write_text(json.dumps(events))
    with server.unharmed():
        lines = run_script("eventsource.js", server.url + "events/recorded", *TYPES)
    received = [line for line in lines if "type" in line]
    *first, over = received
    for got, wanted in zip(first, expected(events), strict=True):
        assert got == wanted
    # It came back by itself, with the last id, after the last `retry` that it was told.
    assert over == {"type": "over", "data": '{"last":"ende ü"}', "id": "ende ü"}
    opened = [line["opened"] for line in lines if "opened" in line]
    (lost,) = [line["error"] for line in lines if "error" in line]
    assert len(opened) == 2
    assert 0.25 <= (opened[1] - lost) / 1000 <= 3, "the time of `retry` was not kept"


@needs_deno
def test_a_finished_generator_makes_an_eventsource_stop(server: Probe) -> None:
    begun = server.noted("three begun")
    with server.unharmed():
        lines = run_script("eventsource.js", server.url + "events/three")
    assert [(line["type"], line["data"], line["id"]) for line in lines if "type" in line] == [
        ("message", "0", "0"),
        ("message", "1", "1"),
        ("message", "2", "2"),
        ("longwave:end", "", "longwave-end"),
    ]
    # Once to lose the stream, once to hear 204.
    assert [line["closed"] for line in lines if "error" in line] == [False, True]
    assert server.noted("three begun") == begun + 1


def test_who_comes_back_after_the_end_is_told_to_stop(server: Probe) -> None:
    async def main() -> None:
        async with clients(server.port) as connect:
            client = await connect()
            client.get("/events/three", "Accept: text/event-stream", "Last-Event-ID: longwave-end")
            assert (await client.response())[0] == 204
            client.get("/events/three?last_event_id=longwave-end", "Accept: text/event-stream")
            assert (await client.response())[0] == 204

    with server.unharmed():
        run(main())


KINDS = {
    "stream": ("/events/idle", "stream closed"),
    "generator": ("/events/generator", "generator closed"),
    "websocket": ("/ws/echo", "ws closed"),
}


async def begin(connect: Connect, kind: str) -> Wire:
    """Open a connection of a kind that is idle from then on."""
    client = await connect()
    path, _ = KINDS[kind]
    if kind == "websocket":
        await client.websocket(path)
        await client.say("begun")
        assert await client.text() == "begun"
    else:
        await client.stream(path)
        assert await client.chunk() == b"data: begun\n\n"
    return client


def leave(client: Wire, way: str) -> None:
    {"fin": client.finish, "close": client.close, "reset": client.reset}[way]()


@pytest.mark.parametrize("way", ["fin", "close", "reset"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_goes_is_noticed_at_once(server: Probe, kind: str, way: str) -> None:
    _, what = KINDS[kind]

    async def main() -> None:
        async with clients(server.port) as connect:
            client = await begin(connect, kind)
            await asyncio.sleep(0.3)  # the producer is idle: nothing is written that could fail
            before = server.noted(what)
            left = time.monotonic()
            leave(client, way)
            await eventually(lambda: server.noted(what) > before, 3 * LATE)
            taken = server.stats()["latest"][what] - left
            measured("noticed_after", taken)
            assert taken < LATE
            await asyncio.sleep(0.2)
            assert server.noted(what) == before + 1
            if kind == "websocket":
                assert server.noted("ws closed 1006") > 0

    with server.unharmed():
        run(main())


def test_after_its_fin_a_plain_request_still_gets_its_answer(server: Probe) -> None:
    async def main() -> None:
        async with clients(server.port) as connect:
            client = await connect()
            client.get("/slow?seconds=0.3")
            client.finish()
            status, _, body = await client.response()
            assert (status, body) == (200, b"done")
            assert await client.rest() == b""
            client = await connect()
            client.send(request("/hello", "Content-Length: 5", method="POST") + b"12345")
            client.finish()
            assert (await client.response())[2] == b'{"size":5}'

    with server.unharmed():
        run(main())


def test_a_client_that_goes_cancels_its_handler(server: Probe) -> None:
    async def main() -> None:
        async with clients(server.port) as connect:
            begun = server.noted("slow begun")
            client = await connect()
            client.get("/slow?seconds=30")
            await eventually(lambda: server.noted("slow begun") == begun + 1)
            client.reset()

    ended = server.noted("slow ended")
    with server.unharmed():
        run(main())
    assert server.noted("slow ended") == ended


def test_many_opens_and_aborts_leave_nothing(server: Probe, length: Callable[[int], int]) -> None:
    async def abort_many(count: int) -> None:
        async with clients(server.port) as connect:
            source = random.Random(7)
            for start in range(0, count, 50):
                kinds = [source.choice(list(KINDS)) for _ in range(min(50, count - start))]
                opened = await asyncio.gather(*(begin(connect, kind) for kind in kinds))
                for client in opened:
                    leave(client, source.choice(["fin", "close", "reset"]))
            await eventually(lambda: server.state().connections == 0)

    count = length(1000)
    run(abort_many(max(count, 200)))  # until caches and pools have their size
    with server.unharmed():
        before = server.rss()
        closed = sum(server.noted(what) for _, what in KINDS.values())
        run(abort_many(count))
        assert sum(server.noted(what) for _, what in KINDS.values()) == closed + count
    grown = server.rss() - before
    measured("grown", grown)
    assert grown <= 2 * MIB
