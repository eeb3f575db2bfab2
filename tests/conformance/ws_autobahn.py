"""The 247 cases of sections 1 to 7 and 10 of the Autobahn test suite, as data; see `ws_cases`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.conformance.utf8_cases import UTF8_SEQUENCES
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

__all__ = ["AUTOBAHN"]

HELLO = b"Hello, world!"
NOT_TEXT = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
EDITED = b"edited"
# The text of the suite's valid cases: Latin letters beyond ASCII, two octets each.
LATIN = "Hello-µ@ßöäüàá-UTF-8!!".encode()


def _section_1() -> Iterator[Case]:
    """Framing: text and binary messages of lengths around the borders of the length forms."""
    for group, opcode, octet, kind in ((1, TEXT, b"*", "text"), (2, BINARY, b"\xfe", "binary")):
        rows = [(size, 0) for size in (0, 125, 126, 127, 128, 65535, 65536)] + [(65536, 997)]
        for number, (size, chop) in enumerate(rows, 1):
            what = f"{kind} message of {size} octets" + (f", sent {chop} octets at a time" if chop else "")
            payload = octet * size
            step = (Frame(opcode, payload),)
            yield good(f"1.{group}.{number}", what, step, expect=[(opcode, payload)], chop=chop)


def _section_2() -> Iterator[Case]:
    """Pings and pongs."""

    def ping(number: int, what: str, payload: bytes, chop: int = 0) -> Case:
        return good(f"2.{number}", what, (Frame(PING, payload),), expect=[(PONG, payload)], chop=chop)

    yield ping(1, "ping without payload", b"")
    yield ping(2, "ping with text", HELLO)
    yield ping(3, "ping with octets that are not UTF-8", NOT_TEXT)
    yield ping(4, "ping of 125 octets", b"\xfe" * 125)
    yield bad("2.5", "ping of 126 octets", (Frame(PING, b"\xfe" * 126),))
    yield ping(6, "ping of 125 octets, octet by octet", b"\xfe" * 125, 1)
    unsolicited = Frame(PONG, b"unsolicited pong payload")
    yield good("2.7", "pong that nobody asked for, without payload", (Frame(PONG),))
    yield good("2.8", "pong that nobody asked for, with payload", (unsolicited,))
    yield good(
        "2.9",
        "pong that nobody asked for, then a ping",
        (unsolicited, Frame(PING, b"ping payload")),
        expect=[(PONG, b"ping payload")],
    )
    payloads = [f"payload-{index}".encode() for index in range(10)]
    pings = tuple(Frame(PING, payload) for payload in payloads)
    pongs = [(PONG, payload) for payload in payloads]
    yield good("2.10", "ten pings", pings, expect=pongs)
    yield good("2.11", "ten pings, octet by octet", pings, expect=pongs, chop=1)


def _section_3() -> Iterator[Case]:
    """Reserved bits without an extension."""
    hello = Frame(TEXT, HELLO)

    def after_text(rsv: int) -> Step:
        return hello, Frame(TEXT, HELLO, rsv=rsv), Frame(PING)

    echo = [(TEXT, HELLO)]
    yield bad("3.1", "text with RSV 1", (Frame(TEXT, HELLO, rsv=1),))
    yield bad("3.2", "text, text with RSV 2, ping", after_text(2), expect=echo)
    yield bad(
        "3.3", "text, text with RSV 3, ping, each by itself", *each(_frames(after_text(3))), expect=echo
    )
    yield bad("3.4", "text, text with RSV 4, ping, octet by octet", after_text(4), expect=echo, chop=1)
    yield bad("3.5", "binary with RSV 5", (Frame(BINARY, NOT_TEXT, rsv=5),))
    yield bad("3.6", "binary of text with RSV 6", (Frame(BINARY, HELLO, rsv=6),))
    yield bad("3.7", "close with RSV 7", (Frame(CLOSE, rsv=7),))


def _section_4() -> Iterator[Case]:
    """Reserved opcodes: 3 to 7 for data, 11 to 15 for control."""
    for group, base, kind in ((1, 3, "data"), (2, 11, "control")):
        for index in range(5):
            opcode = base + index
            what = f"reserved {kind} opcode {opcode}"
            name = f"4.{group}.{index + 1}"
            if index < 2:
                payload = b"reserved opcode payload" if index else b""
                yield bad(name, what, (Frame(opcode, payload),))
                continue
            payload = b"" if index == 2 else HELLO
            step: Step = (Frame(TEXT, HELLO), Frame(opcode, payload), Frame(PING))
            chop = 1 if index == 4 else 0
            yield bad(name, f"text, {what}, ping", step, expect=[(TEXT, HELLO)], chop=chop)


def _section_5() -> Iterator[Case]:
    """Fragmentation."""
    one, two = Frame(TEXT, b"fragment1", fin=False), Frame(CONTINUATION, b"fragment2")
    whole = [(TEXT, b"fragment1fragment2")]
    ping, pong = Frame(PING, b"ping payload"), (PONG, b"ping payload")
    for number, opcode, kind in ((1, PING, "ping"), (2, PONG, "pong")):
        yield bad(f"5.{number}", f"{kind} in two fragments", (Frame(opcode, b"fragment1", fin=False), two))
    # The same octets whole, a frame at a time, and an octet at a time.
    yield from _thrice(3, "text in two fragments", (one, two), expect=whole)
    yield from _thrice(
        6, "text in two fragments with a ping between them", (one, ping, two), expect=[pong, *whole]
    )
    for first, fin in ((9, True), (12, False)):
        lonely = Frame(CONTINUATION, b"non-continuation payload", fin=fin)
        what = f"continuation of nothing with FIN {fin:d}, then text"
        yield from _thrice(first, what, (lonely, Frame(TEXT, HELLO)))
    three = Frame(CONTINUATION, b"fragment3", fin=False)
    yield bad(
        "5.15",
        "text in two fragments, then a continuation of nothing, then text",
        (one, two, three, Frame(TEXT, b"fragment4")),
        expect=whole,
    )
    for number, fin in ((16, False), (17, True)):
        lonely = Frame(CONTINUATION, b"fragment1", fin=fin)
        rest = (Frame(TEXT, b"fragment2", fin=False), Frame(CONTINUATION, b"fragment3"))
        what = f"continuation of nothing with FIN {fin:d}, then text in two fragments; twice"
        yield bad(f"5.{number}", what, (lonely, *rest) * 2)
    yield bad("5.18", "two fragments with the opcode of text", (one, Frame(TEXT, b"fragment2")))
    pieces = [f"fragment{number}".encode() for number in range(1, 6)]
    begin = (
        Frame(TEXT, pieces[0], fin=False),
        Frame(CONTINUATION, pieces[1], fin=False),
        Frame(PING, b"pongme 1!"),
    )
    end = (
        Frame(CONTINUATION, pieces[2], fin=False),
        Frame(CONTINUATION, pieces[3], fin=False),
        Frame(PING, b"pongme 2!"),
        Frame(CONTINUATION, pieces[4]),
    )
    answers = [(PONG, b"pongme 1!"), (PONG, b"pongme 2!"), (TEXT, b"".join(pieces))]
    yield good(
        "5.19",
        "five fragments with two pings among them, a wait after the first",
        begin,
        end,
        expect=answers,
    )
    yield good("5.20", "the same, each frame by itself", *each(begin + end), expect=answers)


def _thrice(
    first: int, what: str, frames: tuple[Frame, ...], expect: Iterable[tuple[int, bytes]] = ()
) -> Iterator[Case]:
    make = good if expect else bad
    yield make(f"5.{first}", what, frames, expect=expect)
    yield make(f"5.{first + 1}", f"{what}, each frame by itself", *each(frames), expect=expect)
    yield make(f"5.{first + 2}", f"{what}, octet by octet", frames, expect=expect, chop=1)


def _frames(step: Step) -> Iterator[Frame]:
    for item in step:
        assert isinstance(item, Frame)
        yield item


def _octets(payload: bytes) -> Step:
    """A text message in fragments of one octet."""
    last = len(payload) - 1
    return tuple(
        Frame(CONTINUATION if index else TEXT, payload[index : index + 1], fin=index == last)
        for index in range(len(payload))
    )


def _section_6() -> Iterator[Case]:
    """UTF-8."""
    yield good("6.1.1", "empty text", (Frame(TEXT),), expect=[(TEXT, b"")])
    middle = b"middle frame payload"
    for number, payload in ((2, b""), (3, middle)):
        step = (Frame(TEXT, fin=False), Frame(CONTINUATION, payload, fin=False), Frame(CONTINUATION))
        what = f"three fragments of 0, {len(payload)} and 0 octets"
        yield good(f"6.1.{number}", what, step, expect=[(TEXT, payload)])
    edge = len("Hello-µ@ßöä".encode())
    halves = (Frame(TEXT, LATIN[:edge], fin=False), Frame(CONTINUATION, LATIN[edge:]))
    yield good("6.2.1", "text beyond ASCII", (Frame(TEXT, LATIN),), expect=[(TEXT, LATIN)])
    yield good("6.2.2", "the same in two fragments, cut between characters", halves, expect=[(TEXT, LATIN)])
    yield good("6.2.3", "the same in fragments of one octet", _octets(LATIN), expect=[(TEXT, LATIN)])
    yield good("6.2.4", "Greek in fragments of one octet", _octets(KOSME), expect=[(TEXT, KOSME)])
    surrogate = KOSME + b"\xed\xa0\x80" + EDITED
    yield bad("6.3.1", "a surrogate in the middle of text", (Frame(TEXT, surrogate),), code=1007)
    yield bad("6.3.2", "the same in fragments of one octet", _octets(surrogate), code=1007)
    # U+110000; its second octet, the thirteenth of the text, cannot be right any more.
    beyond = KOSME + b"\xf4\x90\x80\x80" + EDITED
    for number, cuts in ((1, (11, 15)), (2, (12, 13))):
        parts = (beyond[: cuts[0]], beyond[cuts[0] : cuts[1]], beyond[cuts[1] :])
        frames = (
            Frame(TEXT, parts[0], fin=False),
            Frame(CONTINUATION, parts[1], fin=False),
            Frame(CONTINUATION, parts[2]),
        )
        what = f"U+110000 in the second of three fragments, cut at octets {cuts[0]} and {cuts[1]}"
        yield bad(f"6.4.{number}", what, *each(frames), code=1007, fails_at=1)
        frame = Frame(TEXT, beyond)
        edges = (0, *cuts, len(beyond))
        steps = tuple((Part(frame, edges[index], edges[index + 1]),) for index in range(3))
        what = f"U+110000 in the second of three pieces of one frame, cut at octets {cuts[0]} and {cuts[1]}"
        yield bad(f"6.4.{number + 2}", what, *steps, code=1007, fails_at=1)
    for section, (title, rows) in enumerate(UTF8_SEQUENCES, 5):
        for number, (valid, payload) in enumerate(rows, 1):
            name, frame = f"6.{section}.{number}", Frame(TEXT, payload)
            if valid:
                yield good(name, title, (frame,), expect=[(TEXT, payload)])
            else:
                yield bad(name, title, (frame,), code=1007)


def _section_7() -> Iterator[Case]:
    """The closing handshake."""
    greeting = b"Hello World!"
    text = Frame(TEXT, greeting)
    yield good("7.1.1", "text, then close", (text,), expect=[(TEXT, greeting)])

    def after_close(number: int, what: str, *frames: Frame, before: Step = ()) -> Case:
        step = (*before, close(), *frames)
        return Case(f"7.1.{number}", what, (step,), (), frozenset({1000}))

    yield after_close(2, "two close frames", close(None))
    yield after_close(3, "a ping after close gets no pong", Frame(PING))
    yield after_close(4, "a text after close gets no echo", text)
    first = Frame(TEXT, b"fragment1", fin=False)
    yield after_close(
        5, "close inside a fragmented message", Frame(CONTINUATION, b"fragment2"), before=(first,)
    )
    large = (b"BAsd7&jh23" * (262_144 // 10 + 1))[:262_144]
    step = (Frame(TEXT, large), text, close(), Frame(PING))
    yield Case(
        "7.1.6",
        "a message of 256 KiB, a small one, close, ping, at once: both messages are echoed before the close",
        (step,),
        ((TEXT, large), (TEXT, greeting)),
        frozenset({1000}),
    )

    def closing(name: str, what: str, payload: bytes, *codes: int) -> Case:
        return Case(name, what, ((Frame(CLOSE, payload),),), (), frozenset(codes))

    normal = (1000).to_bytes(2, "big")
    yield closing("7.3.1", "close without a code", b"", 1000, 1005)
    yield closing("7.3.2", "close with one octet", b"a", 1002)
    yield closing("7.3.3", "close with a code", normal, 1000)
    yield closing("7.3.4", "close with a code and a reason", normal + greeting, 1000)
    yield closing("7.3.5", "close with the longest reason, 123 octets", normal + b"*" * 123, 1000)
    yield closing("7.3.6", "close with a reason of 124 octets", normal + b"*" * 124, 1002)
    broken = KOSME + b"\xed\xa0\x80" + EDITED
    yield closing("7.5.1", "close with a reason that is not UTF-8", normal + broken, 1007)
    allowed = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(allowed, 1):
        yield closing(f"7.7.{number}", f"close with {code}", code.to_bytes(2, "big"), 1000, code)
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield closing(f"7.9.{number}", f"close with {code}, not allowed", code.to_bytes(2, "big"), 1002)
    for number, code in enumerate((5000, 65535), 1):
        yield closing(f"7.13.{number}", f"close with {code}, out of range", code.to_bytes(2, "big"), 1002)


def _section_10() -> Iterator[Case]:
    """A message that the client's library cuts into frames by itself."""
    payload = b"*" * 65536
    frames = cut(TEXT, payload, 1300)
    yield good("10.1.1", "65 536 octets in frames of 1 300", frames, expect=[(TEXT, payload)])


AUTOBAHN: tuple[Case, ...] = (
    *_section_1(),
    *_section_2(),
    *_section_3(),
    *_section_4(),
    *_section_5(),
    *_section_6(),
    *_section_7(),
    *_section_10(),
)
"""Sections 1 to 7 and 10 of the Autobahn test suite."""
