"""Listens to the flood; a peer that does not keep up: drop_new."""

from __future__ import annotations

from longwave import Message, Peer, define_websocket_handler

from ....state import note, peers

handler = define_websocket_handler(slow="drop_new", namespace="flood")


@handler.open
def opened(peer: Peer) -> None:
    peer.subscribe("flood")
    peers.append(peer)


@handler.message
def echo(peer: Peer, message: Message) -> None:
    peer.send(message)


@handler.drain
def drained(peer: Peer) -> None:
    note("drained")


@handler.close
def closed(peer: Peer) -> None:
    peers.remove(peer)
