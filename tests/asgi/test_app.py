from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.asgi.app import AsgiApp
from longwave.contract import FullReply, UpgradeReply
from tests.asgi.driver import Application, Host, Recorder, asynchronous, http_scope, turns, websocket_scope

LIFESPAN: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


def ok() -> Application:
    return Application(lambda request: FullReply(200))


@asynchronous
async def test_lifespan() -> None:
    application = ok()
    app = AsgiApp(application)
    server = Host(app, LIFESPAN)
    server.put(STARTUP)
    await turns()
    assert (application.calls, server.sent) == (["startup"], [{"type": "lifespan.startup.complete"}])
    await Host(app, http_scope()).finish()
    server.put(SHUTDOWN)
    await server.finish()
    assert application.calls == ["startup", "handle", "shutdown"]
    assert server.sent[-1] == {"type": "lifespan.shutdown.complete"}


@pytest.mark.parametrize("order", ["startup", "shutdown"])
@asynchronous
async def test_lifespan_that_fails(order: str, caplog: pytest.LogCaptureFixture) -> None:
    application = ok()
    server = Host(application, LIFESPAN)
    if order == "shutdown":
        server.put(STARTUP)
        await turns()
    application.failure = RuntimeError("the database is away")
    server.put({"type": f"lifespan.{order}"})
    await server.finish()
    assert server.sent[-1] == {"type": f"lifespan.{order}.failed", "message": "the database is away"}
    assert len(caplog.records) == 1


@asynchronous
async def test_start_at_the_first_request_where_there_is_no_lifespan() -> None:
    application = ok()
    app = AsgiApp(application)
    hosts = [Host(app, http_scope()) for _ in range(3)]
    for host in hosts:
        assert (await host.finish())[0]["status"] == 200
    assert application.calls == ["startup", "handle", "handle", "handle"]


@asynchronous
async def test_start_that_fails_at_the_first_request() -> None:
    application = ok()
    application.failure = RuntimeError("the database is away")
    app = AsgiApp(application)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="database"):
            await Host(app, http_scope()).finish()
    assert application.calls == ["startup"]


@asynchronous
async def test_first_request_that_is_cancelled_does_not_stop_the_start() -> None:
    application = ok()
    app = AsgiApp(application)
    first = Host(app, http_scope())
    await asyncio.sleep(0)
    first.task.cancel()
    await Host(app, http_scope()).finish()
    assert application.calls == ["startup", "handle"]


@asynchronous
async def test_lifespan_of_an_application_around_it() -> None:
    application = ok()
    app = AsgiApp(application)
    async with app.lifespan():
        await Host(app, http_scope()).finish()
    assert application.calls == ["startup", "handle", "shutdown"]


@asynchronous
async def test_shutdown_closes_what_is_open() -> None:
    session = Recorder()
    application = Application(lambda request: UpgradeReply(session))
    app = AsgiApp(application)
    host = Host(app, websocket_scope())
    host.put({"type": "websocket.connect"})
    await turns()
    ending = asyncio.ensure_future(app.shutdown())
    await turns()
    assert host.sent[-1] == {"type": "websocket.close", "code": 1001, "reason": ""}
    assert application.calls == ["startup", "handle"]
    host.put({"type": "websocket.disconnect", "code": 1001})
    await ending
    assert session.events == ["opened", ("closed", 1001, "")]
    assert application.calls == ["startup", "handle", "shutdown"]


@asynchronous
async def test_unknown_scope() -> None:
    with pytest.raises(RuntimeError, match="'carrier-pigeon'"):
        await Host(ok(), {"type": "carrier-pigeon"}).finish()
