from __future__ import annotations

from longwave.asgi.wire import ASGI_WS


class Outgoing:
    payload = "grüße".encode()
    is_text = True
    topic = "t"
    position = None
    compress = None


def test_frames() -> None:
    text = ASGI_WS.frame("grüße".encode(), True)
    binary = ASGI_WS.frame(b"\x00\xff", False)
    assert text == [{"type": "websocket.send", "text": "grüße"}]
    assert binary == [{"type": "websocket.send", "bytes": b"\x00\xff"}]
    assert (ASGI_WS.size(text), ASGI_WS.size(binary)) == (7, 2)


def test_encode_and_join() -> None:
    first = ASGI_WS.encode(Outgoing())
    joined = ASGI_WS.join([first, ASGI_WS.frame(b"ab", False)])
    assert [message.get("text") or message.get("bytes") for message in joined] == ["grüße", b"ab"]
    assert ASGI_WS.size(joined) == 9


def test_joined_messages_come_apart_again() -> None:
    one, two = ASGI_WS.frame("grüße".encode(), True), ASGI_WS.frame(b"\x00", False)
    pieces = ASGI_WS.join([one, two]).split()
    assert pieces == [one, two]
    assert [piece.size for piece in pieces] == [7, 1]
    assert one.split() == [one]
