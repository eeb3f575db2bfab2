"""A room of compressed, plain and takeover clients (`?compress=`): everybody hears everything, in order."""

from __future__ import annotations

from longwave import Compression, Event, Message, Peer, UpgradeResult, define_websocket_handler

handler = define_websocket_handler(namespace="room")


@handler.upgrade
def choose(event: Event) -> UpgradeResult:
    if event.query.get("compress") == "takeover":
        return UpgradeResult(compress=Compression(context_takeover=True, client_context_takeover=True))
    return UpgradeResult(compress=event.query.get("compress") != "no")


@handler.open
def join(peer: Peer) -> None:
    peer.subscribe("room")
    peer.send("joined")


@handler.message
def relay(peer: Peer, message: Message) -> None:
    text = message.text()
    peer.publish("room", text, include_self=True)
    peer.send("private " + text)
    peer.publish("room", "plain " + text, include_self=True, compress=False)
