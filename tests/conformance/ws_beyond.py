"""WebSocket cases that the Autobahn test suite does not have, as data; see `ws_cases`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.ws_model import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KOSME,
    PING,
    PONG,
    TEXT,
    Case,
    Frame,
    Part,
    Step,
    bad,
    close,
    cut,
    each,
    good,
)

__all__ = ["BEYOND", "LIMITS"]

MESSAGE_LIMIT = 1024 * 1024
FRAME_LIMIT = 4096


def _lengths() -> Iterator[Case]:
    """RFC 6455 section 5.2: the shortest form of a length, and lengths that nobody can mean."""
    rows = [(TEXT, 0, 2), (TEXT, 5, 2), (BINARY, 125, 2), (TEXT, 5, 8), (BINARY, 126, 8), (TEXT, 65535, 8)]
    rows += [(PING, 5, 2), (CLOSE, 2, 2), (PING, 5, 8), (CONTINUATION, 5, 2)]
    for number, (opcode, size, width) in enumerate(rows, 1):
        before: Step = (Frame(TEXT, b"x", fin=False),) if opcode == CONTINUATION else ()
        payload = b"\x03\xe8" if opcode == CLOSE else b"*" * size
        frame = Frame(opcode, payload, length_bytes=width)
        what = f"opcode {opcode}: a length of {size} in {width} octets more than it needs"
        yield bad(f"B1.{number}", what, (*before, frame, Frame(PING)))
    # Only the header is sent: the answer must not wait for the payload.
    sizes = (2**63, 2**64 - 1, 2**63 - 1, 2**32, MESSAGE_LIMIT + 1)
    for number, size in enumerate(sizes, 11):
        for opcode, suffix in ((TEXT, "t"), (BINARY, "b")):
            header = Frame(opcode, length=size, length_bytes=8)
            yield bad(f"B1.{number}{suffix}", f"a length of {size}", (header,), code=1009)
    begin = Frame(BINARY, b"x", fin=False)
    header = Frame(CONTINUATION, length=2**63, length_bytes=8)
    yield bad("B1.16", "a continuation with a length of 2^63", (begin, header), code=1009)
    header = Frame(PING, length=2**63, length_bytes=8)
    yield bad("B1.17", "a ping with a length of 2^63", (header,))


def _masking() -> Iterator[Case]:
    """RFC 6455 section 5.1: a client masks every frame."""
    for number, opcode in enumerate((TEXT, BINARY, PING, PONG, CLOSE), 1):
        payload = b"\x03\xe8" if opcode == CLOSE else b"plain"
        yield bad(f"B2.{number}", f"opcode {opcode} unmasked", (Frame(opcode, payload, masked=False),))
    step: Step = (Frame(TEXT, b"one"), Frame(TEXT, b"two", masked=False), Frame(TEXT, b"three"))
    yield bad("B2.6", "an unmasked frame between masked ones", step, expect=[(TEXT, b"one")])
    step = (Frame(TEXT, b"one", fin=False), Frame(CONTINUATION, b"two", masked=False))
    yield bad("B2.7", "an unmasked continuation", step)
    yield bad("B2.8", "empty unmasked text", (Frame(TEXT, masked=False),))
    yield bad("B2.9", "a large unmasked frame, its header alone", (Frame(TEXT, masked=False, length=70_000),))


def _octet_by_octet() -> Iterator[Case]:
    """Any cut between reads."""
    for number, size in enumerate((0, 1, 125, 126, 300), 1):
        text, data = "é€𤭢x".encode() * size, b"\xfe" * size
        yield good(
            f"B3.{number}t",
            f"text of {len(text)} octets",
            (Frame(TEXT, text),),
            expect=[(TEXT, text)],
            chop=1,
        )
        yield good(
            f"B3.{number}b",
            f"binary of {size} octets",
            (Frame(BINARY, data),),
            expect=[(BINARY, data)],
            chop=1,
        )
    payload = bytes(range(256)) * 12
    frames = cut(BINARY, payload, 100)
    yield good("B3.6", "fragments of 100 octets, 7 at a time", frames, expect=[(BINARY, payload)], chop=7)
    yield bad(
        "B3.7", "a non-minimal length, octet by octet", (Frame(TEXT, b"*" * 5, length_bytes=8),), chop=1
    )
    many = tuple(Frame(TEXT if index & 1 else BINARY, b"%d" % index) for index in range(300))
    answers = [(frame.opcode, frame.payload) for frame in many]
    yield good("B3.8", "300 messages in one write", many, expect=answers)
    yield good("B3.9", "300 messages, 5 octets at a time", many, expect=answers, chop=5)
    large = bytes(range(256)) * 1024
    step = (Frame(BINARY, large), Frame(PING))
    yield good("B3.10", "256 KiB in one frame, a ping behind", step, expect=[(BINARY, large), (PONG, b"")])


def _between_fragments() -> Iterator[Case]:
    """RFC 6455 section 5.4: control frames "MAY be injected in the middle of a fragmented message"."""
    one, two = Frame(TEXT, b"one", fin=False), Frame(CONTINUATION, b"two")
    pings = tuple(Frame(PING, bytes((index,)) * index) for index in range(126))
    pongs = [(PONG, ping.payload) for ping in pings]
    yield good("B4.1", "126 pings of 0 to 125 octets", (one, *pings, two), expect=[*pongs, (TEXT, b"onetwo")])
    step: Step = (one, Frame(PONG, b"\xff"), two)
    yield good("B4.2", "a pong between fragments", step, expect=[(TEXT, b"onetwo")])
    step = (Frame(TEXT, KOSME[:1], fin=False), Frame(PING, b"\xff"), Frame(CONTINUATION, KOSME[1:]))
    yield good("B4.3", "a ping inside a character", step, expect=[(PONG, b"\xff"), (TEXT, KOSME)])
    yield bad("B4.4", "a ping of 126 octets between fragments", (one, Frame(PING, b"*" * 126), two))
    yield bad(
        "B4.5", "a close in two fragments", (Frame(CLOSE, b"\x03", fin=False), Frame(CONTINUATION, b"\xe8"))
    )
    yield bad("B4.6", "binary begins inside text", (one, Frame(BINARY, b"two")))
    yield bad("B4.7", "a reserved bit on a continuation", (one, Frame(CONTINUATION, b"two", rsv=4)))
    yield bad("B4.8", "a reserved bit on a pong", (Frame(PONG, rsv=1),))
    yield bad("B4.9", "a reserved opcode between fragments", (one, Frame(3), two))
    step = (one, two, Frame(CONTINUATION, b"three"))
    yield bad("B4.10", "a continuation after the end", step, expect=[(TEXT, b"onetwo")])
    for number, payload in ((11, b""), (12, b"\xff\xfe")):
        step = (Frame(BINARY, payload, fin=False), Frame(CONTINUATION, payload))
        what = f"binary in two fragments of {len(payload)} octets"
        yield good(f"B4.{number}", what, step, expect=[(BINARY, payload * 2)])


def _closing() -> Iterator[Case]:
    """RFC 6455 sections 5.5.1, 7.1 and 7.4."""
    begin = Frame(TEXT, b"one", fin=False)

    def row(name: str, what: str, *step: Frame, codes: tuple[int, ...] = (1000,)) -> Case:
        return Case(name, what, (step,), (), frozenset(codes))

    yield row("B5.1", "close inside a fragmented message", begin, close())
    yield row("B5.2", "close inside a character", Frame(TEXT, b"\xc3", fin=False), close())
    yield row("B5.3", "close without a code inside a message", begin, close(None), codes=(1000, 1005))
    rest = (Frame(CONTINUATION, b"two"), Frame(TEXT, b"three"))
    yield row("B5.4", "after close: the rest of the message and another", begin, close(), *rest)
    yield row("B5.5", "after close: a reserved opcode", close(), Frame(15))
    yield row("B5.6", "after close: invalid UTF-8", close(), Frame(TEXT, b"\xff"))
    yield row("B5.7", "after close: an unmasked frame", close(), Frame(TEXT, b"x", masked=False))
    yield row("B5.8", "after close: a length of 2^63", close(), Frame(TEXT, length=2**63, length_bytes=8))
    yield row("B5.9", "after close: another code", close(), close(1001))
    for number, code in enumerate((1012, 1013, 1014), 10):
        yield row(f"B5.{number}", f"close with {code}, of the IANA registry", close(code), codes=(1000, code))
    for number, code in enumerate((1, 1015, 1017, 2500, 32768), 13):
        yield row(f"B5.{number}", f"close with {code}, not allowed", close(code), codes=(1002,))
    yield row("B5.18", "a close reason beyond ASCII", close(1000, KOSME))
    yield row("B5.19", "a close reason that ends inside a character", close(1000, KOSME[:-1]), codes=(1007,))
    yield row(
        "B5.20",
        "a code that is not allowed, a reason that is not UTF-8",
        close(999, b"\xff"),
        codes=(1002, 1007),
    )
    yield row("B5.21", "nothing but close after an error: text", Frame(3), Frame(TEXT, b"x"), codes=(1002,))
    yield row("B5.22", "nothing but close after an error: close", Frame(3), close(), codes=(1002,))


def _utf8() -> Iterator[Case]:
    """RFC 6455 section 8.1, and as early as it can be known."""
    for number, payload in enumerate(
        (b"\xef\xbb\xbfbom", b"nul\x00", "\u2028\u0085\x0b".encode(), b"\xf4\x8f\xbf\xbf"), 1
    ):
        what = f"{payload!r} is text as it stands"
        yield good(f"B6.{number}", what, (Frame(TEXT, payload),), expect=[(TEXT, payload)])
    raw = b"\xed\xa0\x80\xff"
    yield good("B6.5", "octets of binary are not looked at", (Frame(BINARY, raw),), expect=[(BINARY, raw)])
    for number, last in ((6, b""), (7, b"x")):
        step = (Frame(TEXT, b"\xe2\x82", fin=False), Frame(CONTINUATION, last))
        yield bad(f"B6.{number}", f"a character that {last!r} does not end", step, code=1007)
    frames = (
        Frame(TEXT, b"ok", fin=False),
        Frame(CONTINUATION, b"\xff", fin=False),
        Frame(CONTINUATION, b"!"),
    )
    yield bad("B6.8", "fail at the second fragment of three", *each(frames), code=1007, fails_at=1)
    frames = (
        Frame(TEXT, b"\xed", fin=False),
        Frame(CONTINUATION, b"\xa0", fin=False),
        Frame(CONTINUATION, b"\x80"),
    )
    yield bad("B6.9", "fail at the second octet of a surrogate", *each(frames), code=1007, fails_at=1)
    # Frames whose length takes two and eight more octets, cut so that no piece has a multiple of four.
    for number, size in ((10, 1000), (11, 70_000)):
        payload = ("aé€𤭢".encode() * (size // 10))[: size - 100] + b"\xff" + b"*" * 99
        frame, at = Frame(TEXT, payload), size - 100
        edges = (0, 0, 1, 7, at, at + 1, size)
        steps = tuple((Part(frame, *edges[index : index + 2]),) for index in range(1, 6))
        what = f"fail at the broken octet of a frame of {size}"
        yield bad(f"B6.{number}", what, *steps, code=1007, fails_at=3)
    frame = Frame(TEXT, KOSME * 100)
    steps = tuple((Part(frame, start, start + 11),) for start in range(0, 1100, 11))
    yield good("B6.12", "a frame of 1 100 octets in pieces of 11", *steps, expect=[(TEXT, KOSME * 100)])


def _limits() -> Iterator[Case]:
    """The default limits: 1 MiB and 4 096 frames."""
    full = b"*" * MESSAGE_LIMIT
    for opcode, suffix in ((TEXT, "t"), (BINARY, "b")):
        yield good(f"L1{suffix}", "a message of 1 MiB", (Frame(opcode, full),), expect=[(opcode, full)])
        step: Step = (Frame(opcode, full + b"*"),)
        yield bad(f"L2{suffix}", "one octet more", step, code=1009)
        header = Frame(opcode, length=MESSAGE_LIMIT + 1, length_bytes=8)
        yield bad(f"L3{suffix}", "one octet more, the header alone", (header,), code=1009)
        whole = cut(opcode, full, 65536)
        yield good(f"L4{suffix}", "1 MiB in 16 fragments", whole, expect=[(opcode, full)])
        step = (*cut(opcode, full + b"*", 65536),)
        yield bad(f"L5{suffix}", "one octet more, in 17 fragments", step, code=1009)
        tiny = b"*" * FRAME_LIMIT
        yield good(f"L6{suffix}", "a message of 4 096 frames", cut(opcode, tiny, 1), expect=[(opcode, tiny)])
        yield bad(f"L7{suffix}", "a message of 4 097 frames", cut(opcode, tiny + b"*", 1), code=1008)
        empty = (Frame(opcode, fin=False), *[Frame(CONTINUATION, fin=False)] * FRAME_LIMIT)
        yield bad(f"L8{suffix}", "4 097 empty frames without an end", empty, code=1008)
    pair = (Frame(TEXT, b"one", fin=False), Frame(CONTINUATION, b"two"))
    answers = [(TEXT, b"onetwo")] * (FRAME_LIMIT + 1)
    yield good("L9", "the frames of one message alone count", pair * (FRAME_LIMIT + 1), expect=answers)


BEYOND: tuple[Case, ...] = (
    *_lengths(),
    *_masking(),
    *_octet_by_octet(),
    *_between_fragments(),
    *_closing(),
    *_utf8(),
)
"""What the Autobahn test suite does not ask."""

LIMITS: tuple[Case, ...] = tuple(_limits())
"""The default limits of a message."""
