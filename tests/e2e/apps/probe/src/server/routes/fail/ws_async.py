"""Hooks that fail, each where the query says so: async."""

from __future__ import annotations

import asyncio

from longwave import CloseDetails, Event, Message, Peer, define_websocket_handler

from ...state import fail_at, note

handler = define_websocket_handler()


@handler.upgrade
async def upgrade(event: Event) -> None:
    await asyncio.sleep(0)
    fail_at(event, "upgrade")


@handler.open
async def opened(peer: Peer) -> None:
    await asyncio.sleep(0)
    fail_at(peer.request, "open")


@handler.message
async def message(peer: Peer, message: Message) -> None:
    await asyncio.sleep(0)
    fail_at(peer.request, "message")
    if peer.request.query.get("fail") == "error":
        raise ValueError("for the error hook")
    if peer.request.query.get("fail") == "drain":
        peer.send(b"x" * int(message.text()))
        note(f"sent {peer.request.query['id']}")
        return
    peer.send(message)


@handler.close
async def closed(peer: Peer, details: CloseDetails) -> None:
    await asyncio.sleep(0)
    fail_at(peer.request, "close")


@handler.drain
async def drained(peer: Peer) -> None:
    await asyncio.sleep(0)
    fail_at(peer.request, "drain")


@handler.error
async def error(peer: Peer, error: Exception) -> None:
    await asyncio.sleep(0)
    note("error hook")
    fail_at(peer.request, "error")


@handler.ping
async def pinged(peer: Peer, data: bytes) -> None:
    await asyncio.sleep(0)
    fail_at(peer.request, "ping")


@handler.pong
async def ponged(peer: Peer, data: bytes) -> None:
    await asyncio.sleep(0)
    fail_at(peer.request, "pong")
