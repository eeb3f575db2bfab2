"""An application of `create_app` and its inspector: only where a token asks for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from longwave import create_app, define_websocket_handler
from longwave.assemble import App
from longwave.config import load_settings
from longwave.inspector.observed import Observed
from longwave.testing import TestClient

TOKEN = "a token of the operator"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def app(**config: Any) -> App:
    handler = define_websocket_handler(message=lambda peer, message: peer.send(message))
    return create_app(routes={"/ws": handler, "/": lambda event: "home"}, **config)


@pytest.mark.parametrize("config", [{}, {"inspector": True}, {"inspector": False}], ids=str)
def test_without_a_token_there_is_nothing(config: dict[str, Any]) -> None:
    made = app(**config)
    assert made.served is made and made.asgi.application is made

    async def check() -> None:
        async with TestClient(made) as client:
            for path in ("", "inspector", "inspector/page.js"):
                assert (await client.get(f"/_longwave/{path}", headers=BEARER)).status == 404
            assert (await client.get("/_longwave/health")).status == 200

    asyncio.run(check())


def test_with_a_token_everything_is_seen() -> None:
    made = app(inspector={"token": TOKEN})
    observed = made.served
    assert isinstance(observed, Observed) and made.asgi.application is observed

    async def check() -> None:
        async with TestClient(made) as client:
            assert (await client.get("/_longwave/")).status == 401
            assert (await client.get("/_longwave/", headers=BEARER)).status == 200
            async with client.websocket("/ws") as socket:
                await socket.send("hello")
                assert await socket.receive() == "hello"
                (connection,) = observed.activity.connections.values()
                assert (connection.path, connection.received, connection.sent) == ("/ws", 1, 1)
            looking = client.websocket(
                "/_longwave/inspector", protocols=["longwave-inspector"], headers=BEARER
            )
            async with looking as socket:
                assert (await socket.receive_json())["type"] == "hello"
                assert (await client.get("/")).text == "home"
                request = await socket.receive_json()
                assert (request["type"], request["path"], request["status"]) == ("request", "/", 200)

    asyncio.run(check())


def test_switched_off_a_token_changes_nothing(tmp_path: Path) -> None:
    environ = {"LONGWAVE_INSPECTOR_TOKEN": TOKEN}
    for enabled in (True, False):
        settings = load_settings(tmp_path, command="start", environ=environ, overrides={"inspector": enabled})
        assert settings.inspector.token == TOKEN
        made = create_app(settings=settings)
        assert (made.served is made) is not enabled
