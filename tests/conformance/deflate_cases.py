"""permessage-deflate against any echo server, as data: sections 12 and 13 of the Autobahn suite in miniature.

Each case is a client's offers, best first, and messages of one kind, size and fragment size (0: whole). The
server has to accept one of the offers, and to send back what it got. The suite sends each message 1 000
times; `COUNT` times are enough to fill the largest window several times over.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CASES", "COUNT", "Case", "Offer", "messages"]

COUNT = 10

KINDS = ("json", "html", "binary", "noise", "zeros")
SIZES = (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)
FRAGMENTED = ((8192, 256), (16384, 256), (32768, 256), (65536, 256), (131072, 256), (8192, 64), (16384, 1024))


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client asks of the server: no context takeover, a window (0: says nothing)."""

    no_context_takeover: bool = False
    window_bits: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `kind` names what the messages look like."""

    id: str
    offers: tuple[Offer, ...]
    kind: str
    size: int
    fragment: int = 0


PARAMETERS: tuple[tuple[Offer, ...], ...] = (
    (Offer(),),
    (Offer(True),),
    (Offer(False, 9),),
    (Offer(False, 15),),
    (Offer(True, 9),),
    (Offer(True, 15),),
    (Offer(True, 9), Offer(True), Offer()),
)


def messages(case: Case) -> Iterator[str | bytes]:
    """Yield the messages of a case: like each other and not the same, as those of an application are."""
    source = random.Random(case.id)
    for number in range(COUNT):
        if case.kind == "noise":
            yield source.randbytes(case.size)
        elif case.kind == "zeros":
            yield bytes(case.size)
        elif case.kind == "binary":
            yield b"".join(b"%08d" % (n * number % 997) for n in range(case.size // 8))
        else:
            rows, length = [""], 0
            while length < case.size:
                user, key = source.choice(("ann", "bob", "zoë")), source.randrange(1000)
                row = {"id": key, "user": user, "n": number}
                rows.append(json.dumps(row) if case.kind == "json" else f"<li>{user}</li>{key}")
                length += len(rows[-1])
            yield "".join(rows)[: case.size]


def _cases() -> Iterator[Case]:
    shapes = [*((size, 0) for size in SIZES), *FRAGMENTED]
    for x, kind in enumerate(KINDS, 1):
        for y, (size, fragment) in enumerate(shapes, 1):
            yield Case(f"12.{x}.{y}", (Offer(),), kind, size, fragment)
    for x, offers in enumerate(PARAMETERS, 1):
        for y, (size, fragment) in enumerate(shapes, 1):
            yield Case(f"13.{x}.{y}", offers, "json", size, fragment)


CASES = tuple(_cases())
