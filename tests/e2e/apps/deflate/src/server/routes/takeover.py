"""Says everything back, with context takeover both ways; `?bits=9` by the upgrade hook."""

from __future__ import annotations

from longwave import Compression, Event, Message, Peer, UpgradeResult, define_websocket_handler

handler = define_websocket_handler(
    compress=Compression(context_takeover=True, client_context_takeover=True, window_bits=15, threshold=0)
)


@handler.upgrade
def choose(event: Event) -> UpgradeResult | None:
    bits = event.query.get("bits")
    if bits == "off":
        return UpgradeResult(compress=False)
    if bits is None:
        return None
    return UpgradeResult(compress=Compression(True, True, int(bits), int(bits), 0))


@handler.message
def echo(peer: Peer, message: Message) -> None:
    peer.send(message)
