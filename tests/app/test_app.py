"""The life of an app: what is started and ended, in which order, and what is wrong at either end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.handlers import define_plugin
from longwave.app.hooks import define_websocket_handler
from longwave.app.peer import Peer
from longwave.app.route import route_of_value
from longwave.backplane.memory import MemoryBus
from longwave.contract import FullReply, Reply, Request, UpgradeReply
from longwave.errors import RouteError
from longwave.limits import Timeouts
from tests.app.harness import ask, connect, full, make_app, run_app, turn
from tests.app.test_runtime import Driver


def noted(name: str, log: list[str], fail: bool = False) -> Any:
    @define_plugin
    async def plugin(app: App) -> AsyncIterator[None]:
        log.append(f"start {name}")
        if fail:
            raise RuntimeError(f"no {name}")
        yield
        log.append(f"end {name}")

    return plugin


class Mounted:
    def __init__(self, log: list[str], fail: bool = False) -> None:
        self.log = log
        self.fail = fail

    async def handle(self, request: Request, prefix: str | None = None) -> Reply:
        return FullReply(200)

    async def startup(self) -> None:
        self.log.append("start mount")
        if self.fail:
            raise RuntimeError("no mount")

    async def shutdown(self) -> None:
        self.log.append("end mount")


@pytest.mark.parametrize("failing", ["two", "mount", "backplane"])
def test_a_start_that_fails_ends_what_was_started_the_last_first(failing: str) -> None:
    async def main() -> None:
        log: list[str] = []
        driver = Driver(start="fail" if failing == "backplane" else "")
        app = make_app(
            {"/m/[...path]": Mounted(log, failing == "mount")},
            plugins=[noted("one", log), noted("two", log, failing == "two"), noted("three", log)],
            backplane=driver,
        )
        for _ in range(2):
            log.clear()
            driver.calls.clear()
            with pytest.raises((RuntimeError, ConnectionError), match=r"no|cannot start"):
                await app.startup()
            expected = {
                "two": ["start one", "start two", "end one"],
                "mount": [
                    "start one",
                    "start two",
                    "start three",
                    "start mount",
                    "end three",
                    "end two",
                    "end one",
                ],
                "backplane": [],
            }
            assert log == expected[failing]
            assert driver.calls == (["start"] if failing == "backplane" else ["start", "close"])
            with pytest.raises(RuntimeError, match="does not run"):
                app.publish("t", "x")
            assert (await full(app)).status == 503

    asyncio.run(main())


def test_an_end_that_fails_stops_no_other_end(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    @define_plugin
    async def yields_twice(app: App) -> AsyncIterator[None]:
        yield
        yield

    @define_plugin
    def closers(app: App) -> None:
        @app.on_shutdown
        def fail() -> None:
            raise RuntimeError("closer")

        @app.on_shutdown
        async def hang() -> None:
            await asyncio.Event().wait()

        @app.on_shutdown
        async def cancelled() -> None:
            task = asyncio.ensure_future(asyncio.sleep(1))
            task.cancel()
            await task

    driver = Driver(close="fail")
    app = make_app(
        {},
        plugins=[noted("one", log), yields_twice, closers],
        backplane=driver,
        timeouts=Timeouts(shutdown=0.02),
    )

    async def main() -> None:
        await app.startup()
        await app.shutdown()
        await app.shutdown()

    with caplog.at_level(logging.ERROR, "longwave.error"):
        asyncio.run(main())
    assert log == ["start one", "end one"] and driver.calls == ["start", "close"]
    assert len(caplog.records) == 5


def test_a_shutdown_that_is_cancelled_still_lets_go() -> None:
    async def main() -> None:
        driver = Driver()
        app = make_app({}, backplane=driver)
        await app.startup()
        app.on_shutdown(asyncio.Event().wait)
        task = asyncio.create_task(app.shutdown())
        await turn(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert driver.calls == ["start", "close"]
        with pytest.raises(RuntimeError, match="does not run"):
            app.stats()

    asyncio.run(main())


def test_hooks_end_before_plugins_and_may_still_publish() -> None:
    log: list[str] = []

    async def on_close(peer: Peer) -> None:
        await asyncio.sleep(0)
        peer.publish("room", "left")
        log.append("hook")

    app = make_app({"/ws": define_websocket_handler(close=on_close)}, plugins=[noted("plugin", log)])

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        peer.closed(1001, "")

    run_app(app, check)
    assert log == ["start plugin", "hook", "end plugin"]


def test_an_app_may_run_again_and_plugins_do_not_add_up() -> None:
    seen: list[str] = []

    @define_plugin
    def plugin(app: App) -> None:
        app.use_hooks(define_websocket_handler(open=lambda peer: seen.append("plugin")))
        app.on_shutdown(lambda: seen.append("plugin ends"))

    app = make_app({"/ws": define_websocket_handler(open=lambda peer: seen.append("own"))}, plugins=[plugin])
    app.use_hooks(define_websocket_handler(open=lambda peer: seen.append("app")))
    app.on_shutdown(lambda: seen.append("app ends"))

    async def check(app: App) -> None:
        seen.clear()
        await connect(app)
        assert seen == ["app", "plugin", "own"]

    for _ in range(2):
        run_app(app, check)
        assert seen[3:] == ["plugin ends", "app ends"]


def test_new_routes_get_the_hooks_of_the_app_once() -> None:
    seen: list[str] = []
    app = make_app({})
    app.use_hooks(define_websocket_handler(open=lambda peer: seen.append("first")))
    app.use_hooks(define_websocket_handler(open=lambda peer: seen.append("second")))
    route = route_of_value(define_websocket_handler(open=lambda peer: seen.append("own")), "/ws", None, "")

    async def check(app: App) -> None:
        for _ in range(2):
            seen.clear()
            app.set_routes([route])
            await connect(app)
            assert seen == ["first", "second", "own"]
        with pytest.raises(RouteError):
            app.set_routes([route, route])
        await connect(app)

    run_app(app, check)


def test_an_app_is_started_once() -> None:
    async def check(app: App) -> None:
        runtime = app.runtime
        with pytest.raises(RuntimeError, match="runs already"):
            await app.startup()
        assert app.runtime is runtime

    run_app(make_app({}), check)


def test_an_upgrade_waits_for_the_start_and_a_stream_is_told_to_come_back() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(app: App) -> None:
            await gate.wait()
            if app.state.get("fail"):
                raise RuntimeError("no start")

        app = make_app(
            {"/ws": define_websocket_handler(), "/": lambda event: "x"},
            plugins=[define_plugin(slow)],
            timeouts=Timeouts(upgrade=0.05),
        )
        for fail in (True, False):
            app.state["fail"] = fail
            gate.clear()
            starting = asyncio.create_task(app.startup())
            await turn(2)
            plain = await full(app)
            assert plain.status == 503 and (b"retry-after", b"1") in plain.headers
            stream = await full(app, headers=[(b"accept", b"text/event-stream")])
            assert stream.status == 200 and stream.body.startswith(b"retry: ")
            too_long = await full(app, "/ws", upgrade=True)
            assert too_long.status == 503 and (b"retry-after", b"1") in too_long.headers
            waiting = asyncio.create_task(ask(app, "/ws", upgrade=True))
            await turn(2)
            gate.set()
            reply = await waiting
            if fail:
                assert isinstance(reply, FullReply) and reply.status == 503
                with pytest.raises(RuntimeError, match="no start"):
                    await starting
            else:
                assert isinstance(reply, UpgradeReply)
                await starting
        await app.shutdown()

    asyncio.run(main())


def test_two_apps_in_one_loop_share_nothing_but_a_backplane() -> None:
    async def main() -> None:
        bus = MemoryBus()
        apps = [make_app({"/ws": define_websocket_handler()}, backplane=bus.backplane()) for _ in range(2)]
        for app in apps:
            await app.startup()
        links = []
        for app in apps:
            peer, link = await connect(app)
            peer.subscribe("room")
            links.append(link)
        apps[0].publish("room", "x")
        await turn(4)
        assert [link.messages for link in links] == [["x"], ["x"]]
        assert [app.stats()["peers"] for app in apps] == [1, 1]
        await apps[0].shutdown()
        apps[1].publish("room", "y")
        await turn(4)
        assert [link.messages for link in links] == [["x"], ["x", "y"]]
        await apps[1].shutdown()
        assert bus.members == []

    asyncio.run(main())


def test_publishing_checks_its_arguments_where_it_is_called() -> None:
    async def check(app: App) -> None:
        def calls() -> None:
            for data, error in ((None, TypeError), (object(), TypeError), ("\ud800", ValueError)):
                with pytest.raises(error):
                    app.publish("room", data)
            for topic in ("", "x" * 257):
                with pytest.raises(ValueError, match="characters"):
                    app.publish(topic, "x")
            with pytest.raises(TypeError, match="not int"):
                app.publish(7, "x")  # type: ignore[arg-type]
            with pytest.raises(LookupError, match="no route"):
                app.publish("room", "x", of=define_websocket_handler())

        calls()
        await asyncio.to_thread(calls)

    run_app(make_app({}), check)


def test_the_namespace_of_a_handler() -> None:
    plain, named, many = (
        define_websocket_handler(),
        define_websocket_handler(namespace="/n"),
        define_websocket_handler(),
    )
    app = make_app({"/ws": plain, "/[a]/x": named, "/rooms/[id]": many})
    assert app.namespace_of(plain) == "/ws" and app.namespace_of(named) == "/n"
    with pytest.raises(LookupError, match="a namespace for each path"):
        app.namespace_of(many)


def test_publishing_after_the_end_is_a_clear_error_from_anywhere() -> None:
    app = make_app({"/ws": define_websocket_handler()})
    peers: list[Peer] = []

    async def check(app: App) -> None:
        peers.append((await connect(app))[0])

    run_app(app, check)
    found: list[str] = []

    def work() -> None:
        try:
            app.publish("room", "x")
        except RuntimeError as error:
            found.append(str(error))
        try:
            peers[0].publish("room", "x")
        except RuntimeError as error:
            found.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert len(found) == 2 and all("does not run" in text for text in found)
    with pytest.raises(RuntimeError, match="does not run"):
        app.publish("room", "x")


def test_a_bad_target_and_the_health_path() -> None:
    async def check(app: App) -> None:
        assert (await full(app, "/a%00b")).status == 400
        assert (await full(app, "/_longwave/health", method="HEAD")).status == 200

    run_app(make_app({"/[a]": lambda event: "x"}), check)


def test_routes_are_listed() -> None:
    app = make_app({"GET /a": lambda event: 1, "/ws": define_websocket_handler()})
    assert [(line.method, line.pattern, line.kind) for line in app.routes()] == [
        ("GET", "/a", "http"),
        ("GET", "/ws", "websocket"),
    ]


def test_what_the_server_below_counts_is_told() -> None:
    async def check(app: App) -> None:
        app.server_stats = lambda: {"connections": 3}
        assert app.stats()["server.connections"] == 3

    run_app(make_app({}), check)


@pytest.mark.parametrize("what", ["raises", "yields twice"])
def test_a_plugin_that_fails_at_its_end_is_named(what: str, caplog: pytest.LogCaptureFixture) -> None:
    @define_plugin
    async def database(app: App) -> AsyncIterator[None]:
        yield
        if what == "raises":
            raise KeyError("closed")
        yield

    async def check(app: App) -> None: ...

    with caplog.at_level(logging.ERROR, "longwave.error"):
        run_app(make_app({}, plugins=[database]), check)
    (record,) = caplog.records
    name = "test_a_plugin_that_fails_at_its_end_is_named.<locals>.database"
    assert record.getMessage() == f"shutdown of the plugin {name} failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError if what == "raises" else RuntimeError)


def test_plugins_run_at_start_and_end() -> None:
    seen: list[str] = []

    @define_plugin
    async def lifespan(app: App) -> AsyncIterator[None]:
        seen.append("start")
        yield
        seen.append("end")

    @define_plugin
    def simple(app: App) -> None:
        app.state["x"] = 1
        app.on_shutdown(lambda: seen.append("closer"))

    async def check(app: App) -> None:
        assert seen == ["start"] and app.state == {"x": 1}

    run_app(make_app({}, plugins=[lifespan, simple]), check)
    assert seen == ["start", "closer", "end"]


def test_a_plugin_that_fails_stops_the_start() -> None:
    def fail(app: App) -> None:
        raise RuntimeError("no database")

    async def main() -> None:
        app = make_app({}, plugins=[define_plugin(fail)])
        with pytest.raises(RuntimeError, match="no database"):
            await app.startup()
        with pytest.raises(RuntimeError, match="does not run"):
            app.publish("t", "x")

    asyncio.run(main())


def test_an_app_that_does_not_run_answers_503() -> None:
    async def main() -> None:
        app = make_app({"/": lambda event: "x"})
        assert (await full(app)).status == 503
        assert (await full(app, "/_longwave/health")).body == b'{"status":"ok"}'

    asyncio.run(main())
