"""What a client makes of all that a server wrote: answers by h11, then frames by a reader of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

import h11

from longwave.core.http1_write import CONTINUE

__all__ = ["check_answers", "check_frames"]

_LINE = re.compile(r'\S+ - "(\S+)(?: .*)?" (\d{3})')


def check_answers(written: bytes, lines: Sequence[str], targets: Sequence[bytes], was_cut: bool) -> None:
    """Read the answers that the access log names, in order, and nothing but them.

    `targets` are those of the requests that the application had; an answer that tells its target tells one
    of them, in order. Where the connection was cut the last answer may be incomplete.
    """
    rest = written
    left = list(targets)
    for line in lines:
        match = _LINE.fullmatch(line)
        assert match is not None, f"no line of a log: {line!r}"
        method, status = match[1], int(match[2])
        if was_cut and not rest.replace(CONTINUE, b""):
            return
        body, after = read_answer(rest, "GET" if method == "-" else method, status, was_cut)
        if body is None:
            return
        rest = after
        if body.startswith(b"hello "):
            del left[: left.index(body[6:]) + 1]
        if status == 101:
            check_frames(rest)
            return
    assert rest in (b"", CONTINUE), f"{rest[:100]!r} belongs to no answer"


def read_answer(data: bytes, method: str, status: int, was_cut: bool) -> tuple[bytes | None, bytes]:
    """Return the body of one answer, None where it is not whole, and what follows it."""
    client = h11.Connection(h11.CLIENT)
    fields = [("Host", "a")]
    if status == 101:
        fields += [("Upgrade", "websocket"), ("Connection", "upgrade")]
    client.send(h11.Request(method=method, target="/", headers=fields))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    body = b""
    ended = False
    while True:
        try:
            event = client.next_event()
        except h11.RemoteProtocolError:
            if was_cut and ended:
                return None, b""
            raise
        if isinstance(event, h11.InformationalResponse):
            assert event.status_code in (100, status), event
            if event.status_code == 101:
                return b"", client.trailing_data[0]
        elif isinstance(event, h11.Response):
            assert event.status_code == status, f"{event.status_code} was sent, {status} was logged"
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return body, client.trailing_data[0]
        else:
            assert event is h11.NEED_DATA, event
            assert not ended
            ended = True
            client.receive_data(b"")


def check_frames(data: bytes) -> None:
    """Check that bytes are whole frames as a server may send them, and none behind a close frame."""
    at = 0
    closed = False
    while at < len(data):
        assert not closed, "a frame behind a close frame"
        first, second = data[at : at + 2]
        opcode = first & 15
        assert first & 0xF0 == 0x80 and opcode in (1, 2, 8, 9, 10), f"a frame begins with {first:#x}"
        at += 2
        size = second
        if second >= 126:
            assert opcode < 8 and second < 128
            width = 2 if second == 126 else 8
            size = int.from_bytes(data[at : at + width], "big")
            at += width
            assert size >= (126 if width == 2 else 0x10000)
        payload = data[at : at + size]
        assert len(payload) == size, "a frame is not whole"
        at += size
        if opcode == 1:
            payload.decode()
        elif opcode == 8:
            closed = True
            assert size != 1
            payload[2:].decode()
