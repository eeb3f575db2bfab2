"""CORS of the development server: for pages of this machine, and where the project says nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.handlers import Middleware
from longwave.app.hooks import define_websocket_handler
from longwave.app.response import Response
from longwave.contract import FullReply, StreamReply, UpgradeReply
from longwave.dev.sharing import share_with_localhost
from longwave.errors import HTTPError
from longwave.types import Fields
from tests.app.harness import ask, full, header, make_app, run_app

FRONT = "http://localhost:5173"
ALLOWED = "access-control-allow-origin"


def shared(routes: dict[str, Any], **options: Any) -> App:
    app = make_app(routes, dev=True, **options)
    app.add_layer(Middleware(share_with_localhost))
    return app


def of(origin: str, *fields: tuple[bytes, bytes]) -> Fields:
    return [(b"origin", origin.encode()), *fields]


def preflight(origin: str) -> Fields:
    asks = (b"access-control-request-method", b"PUT"), (b"access-control-request-headers", b"x-one, x-two")
    return of(origin, *asks)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (FRONT, True),
        ("https://localhost", True),
        ("http://app.localhost:8080", True),
        ("http://127.0.0.1:5173", True),
        ("http://[::1]:5173", True),
        ("http://evil.com", False),
        ("http://localhost.evil.com", False),
        ("http://evil-localhost", False),
        ("http://localhost:5173.evil.com", False),
        ("http://127.0.0.1.evil.com", False),
        ("http://192.0.2.7", False),
        ("ftp://localhost", False),
        ("http://user@localhost", False),
        ("http://localhost/", False),
        ("http://localhost\n", False),
        ("null", False),
        ("*", False),
        ("", False),
    ],
)
def test_for_whom(origin: str, allowed: bool) -> None:
    async def check(app: App) -> None:
        for path, status in (("/", 200), ("/refused", 404)):
            reply = await full(app, path, headers=of(origin))
            assert reply.status == status
            assert header(reply, ALLOWED) == (origin if allowed else None)
            assert header(reply, "vary") == ("origin" if allowed else None)
            assert header(reply, "access-control-allow-credentials") is None
        asked = await full(app, "/", method="OPTIONS", headers=preflight(origin))
        assert header(asked, ALLOWED) == (origin if allowed else None)

    def refuse(event: Event) -> None:
        raise HTTPError(404, "no")

    run_app(shared({"GET /": lambda event: "home", "/refused": refuse}), check)


def test_without_an_origin_nothing_is_added() -> None:
    async def check(app: App) -> None:
        reply = await full(app)
        assert (header(reply, ALLOWED), header(reply, "vary")) == (None, None)

    run_app(shared({"/": lambda event: "home"}), check)


@pytest.mark.parametrize("target", ["/", "/nowhere"])
def test_a_preflight_that_nobody_answers_is_answered(target: str) -> None:
    async def check(app: App) -> None:
        reply = await full(app, target, method="OPTIONS", headers=preflight(FRONT))
        assert (reply.status, header(reply, ALLOWED)) == (204, FRONT)
        assert header(reply, "access-control-allow-headers") == "x-one, x-two"
        assert "PUT" in str(header(reply, "access-control-allow-methods"))
        plain = await full(app, target, method="OPTIONS", headers=of(FRONT))
        assert header(plain, "access-control-allow-methods") is None

    run_app(shared({"GET /": lambda event: "home"}), check)


def test_what_the_project_says_counts() -> None:
    async def own(event: Event, next: Any) -> Any:
        if event.method == "OPTIONS":
            return Response(status=204, headers={ALLOWED: FRONT, "access-control-max-age": "60"})
        response = await next()
        response.set_header(ALLOWED, "http://localhost:1")
        return response

    async def check(app: App) -> None:
        asked = await full(app, method="OPTIONS", headers=preflight(FRONT))
        assert header(asked, "access-control-max-age") == "60"
        assert header(asked, "access-control-allow-methods") is None
        assert header(await full(app, headers=of(FRONT)), ALLOWED) == "http://localhost:1"

    run_app(shared({"/": lambda event: "home"}, middleware=[Middleware(own)]), check)


def test_streams_are_shared_and_sockets_have_their_own_check() -> None:
    async def tick(event: Event) -> AsyncIterator[str]:
        yield "one"

    async def check(app: App) -> None:
        stream = await ask(app, "/sse", headers=of(FRONT))
        assert isinstance(stream, StreamReply) and header(stream, ALLOWED) == FRONT
        stream.session.closed(1006, "")
        await asyncio.sleep(0)
        socket = await ask(app, "/ws", headers=of(FRONT), upgrade=True)
        assert isinstance(socket, UpgradeReply) and header(socket, ALLOWED) is None
        socket.session.closed(1006, "")

    run_app(shared({"GET /sse": tick, "/ws": define_websocket_handler()}), check)


def test_a_refusal_for_a_time_stays_one_for_event_source() -> None:
    def busy(event: Event) -> None:
        raise HTTPError(503, "busy")

    async def check(app: App) -> None:
        reply = await full(app, headers=of(FRONT, (b"accept", b"text/event-stream")))
        assert (reply.status, reply.body[:6]) == (200, b"retry:")
        other: FullReply = await full(app, headers=of(FRONT))
        assert (other.status, header(other, ALLOWED)) == (503, FRONT)

    run_app(shared({"/": busy}), check)
