"""Hooks that fail, each where the query says so: sync."""

from __future__ import annotations

from longwave import CloseDetails, Event, Message, Peer, define_websocket_handler

from ...state import fail_at, note

handler = define_websocket_handler()


@handler.upgrade
def upgrade(event: Event) -> None:
    fail_at(event, "upgrade")


@handler.open
def opened(peer: Peer) -> None:
    fail_at(peer.request, "open")


@handler.message
def message(peer: Peer, message: Message) -> None:
    fail_at(peer.request, "message")
    if peer.request.query.get("fail") == "error":
        raise ValueError("for the error hook")
    if peer.request.query.get("fail") == "drain":
        peer.send(b"x" * int(message.text()))
        note(f"sent {peer.request.query['id']}")
        return
    peer.send(message)


@handler.close
def closed(peer: Peer, details: CloseDetails) -> None:
    fail_at(peer.request, "close")


@handler.drain
def drained(peer: Peer) -> None:
    fail_at(peer.request, "drain")


@handler.error
def error(peer: Peer, error: Exception) -> None:
    note("error hook")
    fail_at(peer.request, "error")


@handler.ping
def pinged(peer: Peer, data: bytes) -> None:
    fail_at(peer.request, "ping")


@handler.pong
def ponged(peer: Peer, data: bytes) -> None:
    fail_at(peer.request, "pong")
