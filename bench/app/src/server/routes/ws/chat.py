from longwave import CloseDetails, Message, Peer, define_websocket_handler


def open(peer: Peer) -> None:
    peer.send({"user": "server", "message": f"Welcome {peer}!"})
    peer.publish("chat", {"user": "server", "message": f"{peer} joined!"})
    peer.subscribe("chat")


def message(peer: Peer, message: Message) -> None:
    if "ping" in message.text():
        peer.send({"user": "server", "message": "pong"})
    else:
        reply = {"user": str(peer), "message": str(message)}
        peer.send(reply)  # echo
        peer.publish("chat", reply)


def close(peer: Peer, details: CloseDetails) -> None:
    peer.publish("chat", {"user": "server", "message": f"{peer} left!"})


handler = define_websocket_handler(open=open, message=message, close=close)
