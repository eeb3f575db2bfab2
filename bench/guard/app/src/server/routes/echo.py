from longwave import Message, Peer, define_websocket_handler


def message(peer: Peer, message: Message) -> None:
    peer.send(message.text())


handler = define_websocket_handler(message=message)
