"""The chat, at ws://localhost:3000/api/ws/chat."""

from longwave import CloseDetails, Peer, define_websocket_handler
from msgspec import Struct


class Said(Struct):
    """What a client sends; anything else is answered with an error."""

    message: str


class Line(Struct):
    """What everybody in the room receives."""

    user: str
    message: str


handler = define_websocket_handler()


@handler.open
def greet(peer: Peer) -> None:
    peer.send(Line("server", f"Welcome {peer}!"))
    peer.publish("chat", Line("server", f"{peer} joined!"))
    peer.subscribe("chat")


@handler.message
def relay(peer: Peer, said: Said) -> None:
    peer.publish("chat", Line(str(peer), said.message), include_self=True)


@handler.close
def leave(peer: Peer, details: CloseDetails) -> None:
    peer.publish("chat", Line("server", f"{peer} left!"))
