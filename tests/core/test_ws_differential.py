"""The same random frames, compressed or not, given to our codec and to the protocol of `websockets`."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError as TheirProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.protocol import State
from websockets.server import ServerProtocol

from longwave.core.inflate import InflatingWebSocket
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
    cut,
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


EDGES = st.sets(st.integers(0, 1000), max_size=6)


@given(FRAMES, EDGES)
@settings(max_examples=600, deadline=None)
def test_verdicts_are_those_of_websockets(frames: list[Frame], edges: set[int]) -> None:
    check_verdicts(frames, edges)


TEXTS = st.one_of(
    NEAR_UTF8,
    st.text("abé€", max_size=40).map(lambda text: (text * 9).encode()),
    st.binary(max_size=LIMIT + 10),
    st.integers(LIMIT - 1, LIMIT + 1).map(lambda size: b"x" * size),
)
BLOCKS = st.sampled_from([b"", b"\0", b"\x02\0", b"\0\0\0\xff\xff", b"\x03\0", b"\xff", b"\xf2\0\x11\0\0"])
MESSAGES = st.lists(
    st.tuples(TEXTS, st.booleans(), st.integers(0, 9), st.integers(1, 200), BLOCKS, st.integers(0, 40)),
    max_size=4,
)
INSERTED = st.lists(st.tuples(st.integers(0, 20), FRAMES.map(lambda frames: frames[:1])), max_size=2)


@given(MESSAGES, INSERTED, EDGES, st.booleans(), st.sampled_from([9, 12, 15]))
@settings(max_examples=600, deadline=None)
def test_compressed_verdicts_are_those_of_websockets(
    sent: list[tuple[bytes, bool, int, int, bytes, int]],
    inserted: list[tuple[int, list[Frame]]],
    edges: set[int],
    takeover: bool,
    bits: int,
) -> None:
    """Messages that a client compressed, some of them broken, with other frames among theirs."""
    frames: list[Frame] = []
    packer = zlib.compressobj(9, zlib.DEFLATED, -bits)
    for payload, is_text, level, step, more, broken in sent:
        if not takeover:
            packer = zlib.compressobj(level, zlib.DEFLATED, -bits)
        packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
        packed = packed + more if more and broken < 10 else packed[:-4]
        if broken == 0 and packed:
            packed = packed[:-1] + bytes([packed[-1] ^ 0x55])
        first, *others = cut(TEXT if is_text else BINARY, packed, step) or [Frame(TEXT)]
        frames += [replace(first, rsv=4), *others]
    for at, extra in inserted:
        frames[at:at] = extra
    check_verdicts(frames, edges, (takeover, bits))


def check_verdicts(frames: list[Frame], edges: set[int], deflate: tuple[bool, int] | None = None) -> None:
    """Give frames to both, to us in pieces; the fuzzing harness `ws_peers` judges by this too.

    `deflate` says whether the client takes over its context, and the bits of its window.
    """
    websocket = (
        WebSocket(LIMIT) if deflate is None else InflatingWebSocket(LIMIT, 4096, deflate[1], deflate[0])
    )
    ours: list[Event] = []
    code = None
    try:
        for piece in pieces_of(encode_step(tuple(frames)), edges):
            ours += websocket.receive(piece)
    except ProtocolError as error:
        code = error.code
    theirs, codes = their_verdict(frames, deflate)
    if codes == ENDED:
        assert ours[: len(theirs)] == theirs
        return
    assert ours == theirs
    assert code in codes


def their_verdict(
    frames: list[Frame], deflate: tuple[bool, int] | None = None
) -> tuple[list[Event], set[int | None]]:
    """What `websockets` makes of the frames: events, and the codes that an error may have.

    We differ from it on purpose in five points, which are put right here: it takes lengths that are not in
    their shortest form; it leaves UTF-8 of messages to the layer above; it calls a close inside a
    fragmented message an error (Autobahn 7.1.5); it counts a ping inside a message against the limit of the
    message (so the limit is applied here); and where a frame breaks two rules, it may name the other.

    With compression there are three more. What cannot be inflated is 1002 there and 1007 here: RFC 7692 has
    no code for it, and RFC 6455 has 1007 for "data within a message that was not consistent with the type of
    the message". We bound what a message may take on the wire as well. And it takes a block that says it is
    the last (section 7.2.3.4) for the end of all data: what follows is lost. From there on, nothing is
    compared (`ENDED`).
    """
    protocol = ServerProtocol(state=State.OPEN, max_size=None)
    extension = None if deflate is None else Watched(not deflate[0], True, deflate[1], 15)
    protocol.extensions = [] if extension is None else [extension]
    events: list[Event] = []
    message = b""
    opcode = None
    packed, taken = False, 0
    for frame in frames:
        codes: set[int | None] = set()
        protocol.receive_data(encode(frame))
        size = len(frame.payload)
        if extension is not None and extension.has_ended:
            return events, ENDED
        if frame.opcode in (TEXT, BINARY):
            packed, taken = extension is not None and frame.rsv == 4, 0
        taken += size if frame.opcode < CLOSE else 0
        if frame.length_bytes is not None and size < (126 if frame.length_bytes == 2 else 65536):
            codes.add(1002)
        room = LIMIT if not packed else 2 * LIMIT + 64
        if frame.opcode < CLOSE and taken > room:
            codes.add(1009)
        error = protocol.parser_exc
        got = protocol.events_received()
        inside = frame.opcode == CLOSE and opcode is not None and "incomplete fragmented" in str(error)
        if error is not None and not inside:
            broken = "decompression failed" in str(error)
            # Before the error in a frame there may be too much, or what is no UTF-8: 1007 as well.
            codes |= {1007, 1009} if broken else {THEIR_CODES[type(error)]}
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
        message += got[0].data  # type: ignore[union-attr]
        too_much = packed and len(message) > LIMIT
        if opcode == TEXT and not (is_utf8(message) if frame.fin else can_be_utf8(message)):
            return events, {1007, 1009} if too_much else {1007}
        if too_much:
            return events, {1009}
        if frame.fin:
            events.append(event_of(opcode, message))
            message, opcode = b"", None
    return events, {None}


class Watched(PerMessageDeflate):
    """Tells whether its inflater has met a block that says it is the last."""

    _ended = False

    @property
    def has_ended(self) -> bool:
        """Whether it has in any message so far."""
        return self._ended or (hasattr(self, "decoder") and bool(self.decoder.eof))

    def __delattr__(self, name: str) -> None:
        self._ended = self.has_ended
        super().__delattr__(name)


THEIR_CODES = {TheirProtocolError: 1002, UnicodeDecodeError: 1007}
ENDED: set[int | None] = {-1}


def both(*frames: Frame) -> tuple[WebSocket, ServerProtocol]:
    """Return our half and theirs, which may take over its context, behind the same frames."""
    ours = InflatingWebSocket(LIMIT, 9, 15, True)
    theirs = ServerProtocol(state=State.OPEN)
    theirs.extensions = [PerMessageDeflate(False, False, 15, 15)]
    data = encode_step(frames)
    theirs.receive_data(data)
    ours.receive(data)
    return ours, theirs


HELLO = bytes.fromhex("f248cdc9c90700")
FINAL = bytes.fromhex("f348cdc9c90700")


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(TEXT, FINAL + b"\0", rsv=4), Frame(TEXT, HELLO, rsv=4)],
        [Frame(TEXT, FINAL + HELLO, rsv=4)],
    ],
)
def test_what_follows_a_final_block_is_lost_there(frames: list[Frame]) -> None:
    """The examples of RFC 7692 section 7.2.3: the difference that is left out above."""
    ours, theirs = both(*frames)
    assert "".join(event for event in ours.receive(b"") if isinstance(event, str)) == "HelloHello"
    got = [event.data for event in theirs.events_received() if isinstance(event, TheirFrame)]
    assert b"".join(got) == b"Hello"


def test_what_cannot_be_inflated_has_another_code_there() -> None:
    ours, theirs = both(Frame(TEXT, b"\xff\xff", rsv=4))
    with pytest.raises(ProtocolError) as caught:
        list(ours.receive(b""))
    assert theirs.close_sent is not None
    assert (caught.value.code, theirs.close_sent.code) == (1007, 1002)
