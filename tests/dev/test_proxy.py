"""`server.proxy` on real sockets: which requests go where, and as what."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from longwave import Event, Message, Peer, define_websocket_handler
from longwave.config.proxies import check_rules
from longwave.dev.proxy import DevProxy
from longwave.errors import ConfigError
from tests.web.upstreams import Running, on_sockets, serving

PROTOCOLS = ("chat", "news")


def shown(event: Event) -> dict[str, Any]:
    return {
        "url": event.request.target.decode(),
        "host": event.headers["host"],
        "origin": event.headers.get("origin"),
        "key": event.headers.get("x-key"),
        "for": event.headers.get("x-forwarded-for"),
        "cookie": event.headers.get("cookie"),
    }


async def show(event: Event) -> dict[str, Any]:
    return shown(event)


socket = define_websocket_handler(protocols=PROTOCOLS)


@socket.open
def greet(peer: Peer) -> None:
    peer.send(shown(peer.request))


@socket.message
def echo(peer: Peer, message: Message) -> None:
    if str(message) == "bye":
        peer.close(4000, "enough")
    else:
        peer.send(message)


BACK = {"/refuse": show, "/[...path]": show, "/ws/[...path]": socket}


def front(rules: dict[str, Any], **routes: Any) -> Any:
    table = {"/own": lambda: "own", "/api/exact": lambda: "exact", "/[...rest]": lambda: "rest", **routes}
    return serving(table, sources=(DevProxy(check_rules(rules)),))


async def get(running: Running, path: str, **headers: str) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(running.url + path, headers=headers)
        assert response.status_code == 200, response.text
        return response.json() if response.text.startswith("{") else response.text


@on_sockets
async def test_contexts() -> None:
    async with serving(BACK) as back:
        rules = {
            "/api/v2": {"target": f"{back.url}/two"},
            "/api": back.url,
            "^/re-[0-9]+/": back.url,
            "/dir/": back.url,
        }
        async with front(rules) as running:
            for path in ("/api", "/api/", "/api/a%20b?c=d", "/api?x", "/re-12/x", "/dir/x"):
                assert (await get(running, path))["url"] == path
            assert (await get(running, "/api/v2/x"))["url"] == "/two/api/v2/x"
            for path in ("/apiary", "/re-x/y", "/dir", "/else", "/x/api"):
                assert await get(running, path) == "rest"
            assert await get(running, "/own") == "own"
            # A route without parameters is before any proxy.
            assert await get(running, "/api/exact") == "exact"


@on_sockets
async def test_whom_the_target_sees() -> None:
    async with serving(BACK) as back:
        host = back.url.removeprefix("http://")
        rules = {
            "/short": back.url,
            "/kept": {"target": back.url},
            "/all": {"target": back.url, "change_origin": True, "xfwd": True, "headers": {"X-Key": "1"}},
            "/ws-target": {"target": back.websocket_url},
        }
        async with front(rules) as running:
            own = running.url.removeprefix("http://")
            assert (await get(running, "/short"))["host"] == host
            kept = await get(running, "/kept", cookie="a=b")
            assert (kept["host"], kept["cookie"], kept["for"], kept["key"]) == (own, "a=b", None, None)
            everything = await get(running, "/all")
            assert (everything["host"], everything["for"], everything["key"]) == (host, "127.0.0.1", "1")
            assert (await get(running, "/ws-target"))["host"] == own


@on_sockets
async def test_rewrite_and_bypass() -> None:
    async with serving(BACK) as back:
        rules = {
            "/a": {"target": back.url, "rewrite": lambda path: path.removeprefix("/a")},
            "/b": {"target": f"{back.url}/base/", "rewrite": ("^/b", "")},
            "/c": {"target": back.url, "bypass": lambda event: False if "no" in event.query else None},
            "/d": {"target": back.url, "bypass": lambda event: "/elsewhere/ä"},
        }
        async with front(rules) as running:
            assert (await get(running, "/a/x?y"))["url"] == "/x?y"
            assert (await get(running, "/a"))["url"] == "/"
            assert (await get(running, "/b/x"))["url"] == "/base/x"
            assert (await get(running, "/c?yes"))["url"] == "/c?yes"
            assert await get(running, "/d") == "rest"
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"{running.url}/c?no")).status_code == 404


@on_sockets
async def test_websockets() -> None:
    async with serving(BACK) as back:
        host = back.url.removeprefix("http://")
        rules = {
            "/ws/plain": {"target": back.url},
            "/ws/own": {"target": back.url, "ws": True},
            "/ws/changed": {
                "target": back.websocket_url,
                "change_origin": True,
                "rewrite_ws_origin": True,
                "rewrite": ("^/ws/changed", "/ws/x"),
                "headers": {"X-Key": "1"},
            },
        }
        async with front(rules, **{"/ws/own/exact": socket}) as running:
            own = running.url.removeprefix("http://")
            options: dict[str, Any] = {"proxy": None, "origin": running.url, "subprotocols": ["news", "chat"]}
            async with connect(f"{running.websocket_url}/ws/own/a?b", **options) as talk:
                seen = json.loads(await talk.recv())
                assert (seen["url"], seen["host"], seen["origin"]) == ("/ws/own/a?b", own, running.url)
                assert talk.subprotocol == "chat"
                await talk.send(b"\x00")
                assert await talk.recv() == b"\x00"
                await talk.send("bye")
                await talk.wait_closed()
                assert (talk.close_code, talk.close_reason) == (4000, "enough")
            async with connect(f"{running.websocket_url}/ws/changed/a", **options) as talk:
                seen = json.loads(await talk.recv())
                assert (seen["url"], seen["host"], seen["origin"]) == ("/ws/x/a", host, f"http://{host}")
                assert seen["key"] == "1"
            # A route of ours is before the proxy; a rule without `ws` takes no WebSocket.
            async with connect(f"{running.websocket_url}/ws/own/exact", **options) as talk:
                assert json.loads(await talk.recv())["url"] == "/ws/own/exact"
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{running.websocket_url}/ws/plain", **options)
            assert refused.value.response.status_code == 400


@on_sockets
async def test_a_foreign_page_is_refused_and_so_is_what_the_target_refuses() -> None:
    async with serving(BACK) as back, front({"/": {"target": back.url, "ws": True}}) as running:
        for origin, path, status in (("https://evil.example", "/ws/x", 403), (running.url, "/refuse", 400)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{running.websocket_url}{path}", proxy=None, origin=origin)  # type: ignore[arg-type]
            assert refused.value.response.status_code == status


def test_a_target_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="/api"):
        DevProxy(check_rules({"/api": "http://a:99999"}))
