"""permessage-deflate against any echo server, as data: sections 12 and 13 of the Autobahn suite, and more.

A case is a client's offers, best first, and messages: of one kind, of so many octets each, in fragments of
so many (0: whole). The server has to accept one of the offers, to keep to it, and to send each message back
before the next one comes. Section 12 has five kinds of data, section 13 seven sets of parameters; each has
the suite's 18 sizes. The suite sends every message 1 000 times; so do these, but of what is larger than
`WORTH` / 1 000 octets only as many as are worth `WORTH`, which fill the largest window a thousand times.

`PARAMETERS` goes on where section 13 stops: with and without context takeover on either side, and every
window from 9 to 15. `HUGE` has messages of up to 16 MiB.

The server under test compresses whatever it is sent, takes over its context where it may and lets the client
do so, with windows of 15 bits, and accepts messages of 16 MiB and 65 537 frames.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

__all__ = ["AUTOBAHN", "CASES", "HUGE", "PARAMETERS", "Case", "Offer", "messages", "shortened"]

KIB = 1024
MIB = 1024 * KIB
COUNT = 1000
WORTH = 4 * MIB
SHAPES = (
    *((size, 0) for size in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)),
    *((size, 256) for size in (8192, 16384, 32768, 65536, 131072)),
    *((131072, fragment) for fragment in (1024, 4096, 32768)),
)
"""Octets of a message and of its fragments."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client asks of the server, and offers of its own: no context takeover, a window (0: unsaid).

    Without a window of its own a client offers to be told one.
    """

    server_fresh: bool = False
    server_bits: int = 0
    client_fresh: bool = False
    client_bits: int = 0

    def __str__(self) -> str:
        words = [
            name
            for name, said in (
                ("server_no_context_takeover", self.server_fresh),
                ("client_no_context_takeover", self.client_fresh),
                (f"server_max_window_bits={self.server_bits}", self.server_bits),
                (f"client_max_window_bits={self.client_bits}", self.client_bits),
            )
            if said
        ]
        return "; ".join(words) or "no parameters"


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `kind` names what the messages look like."""

    id: str
    offers: tuple[Offer, ...]
    kind: str
    size: int
    fragment: int
    count: int

    @property
    def description(self) -> str:
        """What the client does, in words."""
        words = f"{self.count} messages of {self.size} octets of {self.kind}"
        if self.fragment:
            words += f" in fragments of {self.fragment}"
        return f"{words}; {', else '.join(map(str, self.offers))}"


def messages(case: Case) -> Iterator[str | bytes]:
    """Yield the messages of a case: a window that moves over one long text, or over bytes."""
    data = _DATA[case.kind]()
    at = 0
    for _ in range(case.count):
        part = data[at : at + case.size]
        while len(part) < case.size:
            part += data[: case.size - len(part)]
        at = (at + case.size) % len(data)
        yield _text(part) if case.kind in _TEXTS else part


def shortened(case: Case, share: float) -> Case:
    """Return a case with a share of its messages, or where it has one of its octets."""
    if case.count > 1:
        return replace(case, count=max(2, round(case.count * share)))
    return replace(case, size=round(case.size * share))


def _text(part: bytes) -> str:
    """Return octets as text; spaces take the place of characters that were cut apart."""
    text = part.decode(errors="ignore")
    return text + " " * (len(part) - len(text.encode()))


@cache
def _json() -> bytes:
    source = random.Random(12)
    rows = [
        {"id": source.randrange(10**6), "user": source.choice(("ann", "bob", "zoë")), "ok": n % 3 == 0}
        for n in range(5000)
    ]
    return json.dumps(rows, ensure_ascii=False).encode()


@cache
def _picture() -> bytes:
    """Grey values that change slowly, with some grain."""
    source = random.Random(13)
    return bytes((x * y // 600 + source.randrange(4)) & 255 for y in range(512) for x in range(512))


@cache
def _prose() -> bytes:
    source = random.Random(14)
    syllables = [a + b for a in "bdfghklmnrstw" for b in ("a", "ei", "o", "ü", "er")]
    words = ["".join(source.choices(syllables, k=source.randrange(1, 4))) for _ in range(4000)]
    return " ".join(source.choices(words, k=40_000)).encode()


@cache
def _html() -> bytes:
    source = random.Random(15)
    names = ("ann", "bob", "zoë", "🦊")
    return "".join(
        f'<li class="row-{n % 7}">{source.choice(names)}<b>{source.randrange(1000)}</b></li>\n'
        for n in range(6000)
    ).encode()


@cache
def _noise() -> bytes:
    return random.Random(16).randbytes(MIB)


@cache
def _zeros() -> bytes:
    return bytes(MIB)


_TEXTS = frozenset({"json", "html"})
_DATA: dict[str, Callable[[], bytes]] = {
    "json": _json,
    "picture": _picture,
    "prose": _prose,
    "html": _html,
    "noise": _noise,
    "zeros": _zeros,
}

SETS: tuple[tuple[Offer, ...], ...] = (
    (Offer(),),
    (Offer(True),),
    (Offer(False, 9),),
    (Offer(False, 15),),
    (Offer(True, 9),),
    (Offer(True, 15),),
    (Offer(True, 9), Offer(True), Offer()),
)
"""The parameters of section 13."""


def _autobahn() -> Iterator[Case]:
    def rows(prefix: str, offers: tuple[Offer, ...], kind: str) -> Iterator[Case]:
        for number, (size, fragment) in enumerate(SHAPES, 1):
            yield Case(f"{prefix}.{number}", offers, kind, size, fragment, min(COUNT, WORTH // size))

    for number, kind in enumerate(("json", "picture", "prose", "html", "noise"), 1):
        yield from rows(f"12.{number}", (Offer(),), kind)
    for number, offers in enumerate(SETS, 1):
        yield from rows(f"13.{number}", offers, "json")


def _parameters() -> Iterator[Case]:
    windows = [(bits, bits) for bits in range(9, 16)] + [(9, 15), (15, 9)]
    for takeover in range(4):
        for number, (server, client) in enumerate(windows, 1):
            offer = Offer(bool(takeover & 1), server, bool(takeover & 2), client)
            # A hundred messages of 4 KiB refer to each other over any window; one of 128 KiB to itself.
            yield Case(f"B7.{takeover + 1}.{number}a", (offer,), "json", 4 * KIB, 0, 100)
            yield Case(f"B7.{takeover + 1}.{number}b", (offer,), "picture", 128 * KIB, 1000, 10)


def _huge() -> Iterator[Case]:
    for number, fresh in enumerate((False, True), 1):
        offer = Offer(server_fresh=fresh, client_fresh=fresh)
        rows = [(kind, size, 0) for kind in ("json", "noise", "zeros") for size in (MIB, 4 * MIB, 16 * MIB)]
        rows += [("json", 4 * MIB, 64), ("noise", 4 * MIB, 64 * KIB), ("html", 16 * MIB, 64 * KIB)]
        for row, (kind, size, fragment) in enumerate(rows, 1):
            yield Case(f"B8.{number}.{row}", (offer,), kind, size, fragment, 1)


AUTOBAHN: tuple[Case, ...] = tuple(_autobahn())
"""The 216 cases of sections 12 and 13."""
PARAMETERS: tuple[Case, ...] = tuple(_parameters())
"""Every window, and context takeover on and off, on both sides."""
HUGE: tuple[Case, ...] = tuple(_huge())
"""Messages of up to 16 MiB."""
CASES: tuple[Case, ...] = AUTOBAHN + PARAMETERS + HUGE
"""Every case."""
