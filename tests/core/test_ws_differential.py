"""The same random frames given to our codec and to the server protocol of `websockets`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError as TheirProtocolError
from websockets.protocol import State
from websockets.server import ServerProtocol

from longwave.core.ws import Close, Event, WebSocket
from longwave.errors import ProtocolError
from tests.conformance.ws_model import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    encode,
    encode_step,
)
from tests.core.test_ws import NEAR_UTF8, can_be_utf8, event_of, is_utf8, pieces_of

LIMIT = 300

FRAMES = st.lists(
    st.builds(
        Frame,
        opcode=st.sampled_from([TEXT, BINARY, CONTINUATION, CONTINUATION, PING, PONG] * 6 + [CLOSE, 3, 11]),
        payload=st.one_of(
            NEAR_UTF8,
            st.text(max_size=10).map(str.encode),
            st.sampled_from(
                [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"x" * 120, b"x" * 126, b"x" * 200]
            ),
        ),
        fin=st.sampled_from([True, True, False]),
        rsv=st.sampled_from([0] * 30 + [1, 2, 4]),
        masked=st.sampled_from([True] * 30 + [False]),
        length_bytes=st.sampled_from([None] * 20 + [2, 8]),
    ),
    max_size=12,
)


@given(FRAMES, st.sets(st.integers(0, 1000), max_size=6))
@settings(max_examples=600, deadline=None)
def test_verdicts_are_those_of_websockets(frames: list[Frame], edges: set[int]) -> None:
    check_verdicts(frames, edges)


def check_verdicts(frames: list[Frame], edges: set[int]) -> None:
    """Give frames to both, to us in pieces; the fuzzing harness `ws_peers` judges by this too."""
    websocket = WebSocket(max_message=LIMIT)
    ours: list[Event] = []
    code = None
    try:
        for piece in pieces_of(encode_step(tuple(frames)), edges):
            ours += websocket.receive(piece)
    except ProtocolError as error:
        code = error.code
    theirs, codes = their_verdict(frames)
    assert ours == theirs
    assert code in codes


def their_verdict(frames: list[Frame]) -> tuple[list[Event], set[int | None]]:
    """What `websockets` makes of the frames: events, and the codes that an error may have.

    We differ from it on purpose in five points, which are put right here: it takes lengths that are not in
    their shortest form; it leaves UTF-8 of messages to the layer above; it calls a close inside a
    fragmented message an error (Autobahn 7.1.5); it counts a ping inside a message against the limit of the
    message (so the limit is applied here); and where a frame breaks two rules, it may name the other.
    """
    protocol = ServerProtocol(state=State.OPEN, max_size=None)
    events: list[Event] = []
    message = b""
    opcode = None
    for frame in frames:
        codes: set[int | None] = set()
        protocol.receive_data(encode(frame))
        size = len(frame.payload)
        if frame.length_bytes is not None and size < (126 if frame.length_bytes == 2 else 65536):
            codes.add(1002)
        if frame.opcode < CLOSE and len(message) + size > LIMIT:
            codes.add(1009)
        error = protocol.parser_exc
        got = protocol.events_received()
        inside = frame.opcode == CLOSE and opcode is not None and "incomplete fragmented" in str(error)
        if error is not None and not inside:
            codes |= {THEIR_CODES[type(error)]}
            if frame.opcode == CLOSE and size > 2 and not is_utf8(frame.payload[2:]):
                codes |= {1002, 1007}
        if codes:
            return events, codes
        if frame.opcode == CLOSE:
            closed = Close(int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode())
            return [*events, closed if size else Close(1005, "")], {None}
        assert len(got) == 1
        if frame.opcode >= CLOSE:
            events.append(event_of(frame.opcode, frame.payload))
            continue
        opcode = opcode or frame.opcode
        message += frame.payload
        if opcode == TEXT and not (is_utf8(message) if frame.fin else can_be_utf8(message)):
            return events, {1007}
        if frame.fin:
            events.append(event_of(opcode, message))
            message, opcode = b"", None
    return events, {None}


THEIR_CODES = {TheirProtocolError: 1002, UnicodeDecodeError: 1007}
