from longwave import Message, Peer, define_websocket_handler


def open(peer: Peer) -> None:
    peer.subscribe("room")


def message(peer: Peer, message: Message) -> None:
    peer.publish("room", message.text())


handler = define_websocket_handler(open=open, message=message)
