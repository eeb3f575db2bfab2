from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.hooks import (
    CloseDetails,
    Hooks,
    UpgradeResult,
    WebSocketHandler,
    combine_hooks,
    compile_hooks,
    define_websocket_handler,
)
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.app.response import Response
from longwave.errors import DefinitionError, HTTPError
from longwave.types import SlowPolicy
from tests.app.harness import connect, make_app, run_app

HOOKS = ("upgrade", "open", "message", "close", "drain", "error", "ping", "pong")


def test_close_details_say_whether_it_was_clean() -> None:
    assert CloseDetails(1000).clean and CloseDetails(1005).clean and CloseDetails(1001, "bye").clean
    assert not CloseDetails(1006).clean


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_by_keyword_and_by_decorator_is_the_users_function(name: str) -> None:
    def hook(*arguments: Any) -> None: ...

    by_keyword = define_websocket_handler(**{name: hook})  # type: ignore[arg-type]
    by_decorator = define_websocket_handler()
    assert getattr(by_decorator, name)(hook) is hook
    for handler in (by_keyword, by_decorator):
        assert handler.find_hook(name) is hook
        hooks = compile_hooks(handler)
        assert getattr(hooks, name) is hook
        assert [other for other in HOOKS if other != name and getattr(hooks, other) is not None] == []


@pytest.mark.parametrize(
    ("name", "most"), [(name, 1 if name in ("upgrade", "open", "drain") else 2) for name in HOOKS]
)
def test_a_hook_may_take_fewer_arguments_but_not_more(name: str, most: int) -> None:
    takes = [lambda: "none", lambda a: a, lambda a, b: (a, b)]
    for count, function in enumerate(takes[: most + 1]):
        call = getattr(compile_hooks(define_websocket_handler(**{name: function})), name)  # type: ignore[arg-type]
        assert call(*"ab"[:most]) == ["none", "a", ("a", "b")][count]
    too_many = [None, lambda a, b: 0, lambda a, b, c: 0][most]
    with pytest.raises(DefinitionError, match=rf"the {name} hook.*test_hooks\.py:\d+"):
        define_websocket_handler(**{name: too_many})  # type: ignore[arg-type]


def test_settings_of_a_handler() -> None:
    hooks = compile_hooks(define_websocket_handler(protocols=["a", "b"], namespace="", slow="drop_old"))
    assert hooks == Hooks(protocols=("a", "b"), namespace=None, policy=SlowPolicy.DROP_OLD)
    with pytest.raises(DefinitionError, match=r'protocols=\("graphql",\)'):
        define_websocket_handler(protocols="graphql")


def test_a_hook_that_comes_after_the_route_was_made_is_an_error() -> None:
    handler = define_websocket_handler()
    make_app({"/ws": handler})
    with pytest.raises(DefinitionError, match=r"the open hook at .*test_hooks\.py:\d+ comes too late"):
        handler.open(lambda peer: None)


class Chat(WebSocketHandler):
    protocols = ("chat.v1",)
    namespace = "/chat"

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def open(self, peer: Peer) -> None:
        self.seen.append(("open", peer.namespace))

    async def message(self, peer: Peer, message: dict[str, int]) -> None:
        self.seen.append(message)

    def close(self) -> None:
        self.seen.append("close")


@pytest.mark.parametrize("as_class", [True, False])
def test_a_subclass_is_a_handler(as_class: bool) -> None:
    made: list[Chat] = []

    class Noted(Chat):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    async def check(app: App) -> None:
        peer, _ = await connect(app, headers=[(b"sec-websocket-protocol", b"chat.v1")])
        assert peer.protocol == "chat.v1"
        peer.received('{"a":1}', True)
        peer.closed(1000, "")
        await asyncio.sleep(0)
        assert made[0].seen == [("open", "/chat"), {"a": 1}, "close"]

    run_app(make_app({"/ws": Noted if as_class else Noted()}), check)


SAMPLE = """
from __future__ import annotations

import msgspec

from longwave import (
    CloseDetails, Event, Message, Peer, UpgradeResult, WebSocketHandler, create_app, define_websocket_handler,
)


class Line(msgspec.Struct):
    text: str


class Chat(WebSocketHandler):
    protocols = ("chat.v1",)
    namespace = "/chat"
    slow = "drop_old"

    def upgrade(self, event: Event) -> UpgradeResult:
        return UpgradeResult(user=event.query["user"])

    async def open(self, peer: Peer) -> None:
        await peer.subscribe("room")

    def message(self, peer: Peer, message: Line) -> None:
        peer.publish("room", message)

    def close(self, peer: Peer, details: CloseDetails) -> None:
        peer.publish("room", details.reason)

    def error(self, peer: Peer, error: Exception) -> None: ...


other = define_websocket_handler(protocols=["a"])


@other.message
async def relay(peer: Peer, message: Message) -> None:
    peer.send(message)


app = create_app(routes={"/chat": Chat, "/other": other})
reveal_type(relay)
"""


def test_handlers_are_strictly_typed_for_users(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text(SAMPLE)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(sample)]
    command += ["--cache-dir", str(root / ".mypy_cache" / "sample")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "Success" in done.stdout, done.stdout
    assert "Coroutine[Any, Any, None]" in done.stdout


@pytest.mark.parametrize("is_async", [(False, False), (True, False), (False, True), (True, True)])
def test_hooks_of_the_app_run_first(is_async: tuple[bool, bool]) -> None:
    seen: list[str] = []

    def hook(name: str, later: bool, result: Any = None) -> Any:
        def run(*_: Any) -> Any:
            seen.append(name)
            return result

        async def run_later(*_: Any) -> Any:
            await asyncio.sleep(0)
            return run()

        return run_later if later else run

    async def call(function: Any) -> Any:
        result = function("event")
        return await result if hasattr(result, "__await__") else result

    def combined(first: Any, second: Any) -> Any:
        return combine_hooks(
            Hooks(upgrade=hook("app", is_async[0], first)), Hooks(upgrade=hook("own", is_async[1], second))
        ).upgrade

    async def main() -> None:
        refusal = Response("no", 403)
        assert await call(combined(refusal, None)) is refusal
        assert seen == ["app"]
        error = HTTPError(401)
        assert await call(combined(error, None)) is error
        assert await call(combined(None, refusal)) is refusal
        only = UpgradeResult(user="ann")
        assert await call(combined(only, None)) is only
        both = await call(
            combined(
                UpgradeResult(headers={"x-a": "1"}, namespace="/a", context={"a": 1, "b": 1}, user="ann"),
                UpgradeResult(headers=[("x-b", "2")], context={"b": 2}, protocol="v1"),
            )
        )
        assert both == UpgradeResult(
            headers=[("x-a", "1"), ("x-b", "2")],
            namespace="/a",
            context={"a": 1, "b": 2},
            protocol="v1",
            user="ann",
        )

    asyncio.run(main())


def test_what_a_hook_of_the_app_returns_never_skips_the_routes_own() -> None:
    class Odd:
        status = 403

    seen: list[str] = []
    first = Hooks(open=lambda peer: Odd())
    second = Hooks(open=lambda peer: seen.append("own"), namespace="/n", protocols=("p",))
    combined = combine_hooks(first, second)
    assert combined.open is not None
    combined.open("peer")
    assert seen == ["own"]
    assert (combined.namespace, combined.protocols) == ("/n", ("p",))


def test_dev_names_the_users_hook_and_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwave.app.calls.HOLD", -1.0)

    def hook(peer: Peer, message: dict[str, int]) -> None: ...

    hooks = compile_hooks(define_websocket_handler(message=hook, open=lambda: None), watch=True)
    assert hooks.open is not None and hooks.message is not None
    with caplog.at_level(logging.WARNING, "longwave.dev"):
        hooks.open("peer")
        hooks.message("peer", Message("peer", "{}", True))  # type: ignore[arg-type]
    assert len(caplog.records) == 2
    assert all("test_hooks.py:" in record.getMessage() for record in caplog.records)


def test_compress_is_checked_at_definition() -> None:
    with pytest.raises(DefinitionError, match="compress"):
        define_websocket_handler(compress="yes")  # type: ignore[arg-type]

    class Handler(WebSocketHandler):
        compress = 15  # type: ignore[assignment]

    with pytest.raises(DefinitionError, match="15"):
        compile_hooks(Handler())
    assert compile_hooks(define_websocket_handler(compress=True)).compress is True
