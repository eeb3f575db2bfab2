"""Section 9 of the Autobahn test suite, as data: large messages, tiny fragments, many round trips.

A case is a number of round trips: the client sends one message, in frames of `fragment` octets and in writes
of `chop` octets where these are not 0, and waits until it has come back, whole and of the same type, before
it sends the next one. The last thing it sends is a close frame with 1000, which has to be answered.

As there, a message whose size is a multiple of `fragment` ends in an empty frame: Node's ws, which takes
16 384 frames, fails 9.3.2 and 9.4.2 by that one.

The server under test has to take messages of `LARGEST` octets and of `MOST_FRAMES` frames. `shortened` makes
a case that a run in a hurry can afford.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.conformance.ws_model import BINARY, CONTINUATION, TEXT, Frame

__all__ = ["LARGE", "LARGEST", "MOST_FRAMES", "Large", "frames", "payload", "shortened"]

KIB = 1024
MIB = 1024 * KIB
LARGEST = 16 * MIB
MOST_FRAMES = 4 * MIB // 64 + 1
ROUND_TRIPS = 1000
# One, two, three and four octets: most fragments begin and end inside a character.
CHARACTERS = "aé€𤭢".encode()


@dataclass(frozen=True, slots=True)
class Large:
    """One case: round trips of one message of so many octets."""

    id: str
    opcode: int
    size: int
    fragment: int = 0
    chop: int = 0
    count: int = 1

    @property
    def description(self) -> str:
        """What the client does, in words."""
        kind = "text" if self.opcode == TEXT else "binary"
        words = f"{_amount(self.size)} of {kind}"
        if self.fragment:
            words += f" in frames of {_amount(self.fragment)}"
        if self.chop:
            words += f" in writes of {_amount(self.chop)}"
        return words if self.count == 1 else f"{words}, there and back {self.count} times"


def payload(case: Large) -> bytes:
    """Return the message of a case."""
    if case.opcode == BINARY:
        return (bytes(range(256)) * (case.size // 256 + 1))[: case.size]
    whole = CHARACTERS * (case.size // len(CHARACTERS))
    return whole + b"*" * (case.size - len(whole))


def frames(case: Large) -> Iterator[Frame]:
    """Yield the frames of one message of a case."""
    data = payload(case)
    step = case.fragment or case.size + 1
    for start in range(0, case.size + 1, step):
        part = data[start : start + step]
        yield Frame(CONTINUATION if start else case.opcode, part, fin=start + step > case.size)


def shortened(case: Large, share: float) -> Large:
    """Return a case with a share of its round trips, or where it has one of its octets."""
    if case.count > 1:
        return replace(case, count=max(1, round(case.count * share)))
    return replace(case, size=round(case.size * share))


def _amount(size: int) -> str:
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} octets"


def _cases() -> Iterator[Large]:
    for kind, opcode in enumerate((TEXT, BINARY)):
        for number, size in enumerate((64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, LARGEST), 1):
            yield Large(f"9.{1 + kind}.{number}", opcode, size)
        for number in range(9):
            yield Large(f"9.{3 + kind}.{number + 1}", opcode, 4 * MIB, fragment=64 * 4**number)
        for number in range(6):
            yield Large(f"9.{5 + kind}.{number + 1}", opcode, MIB, chop=64 * 2**number)
        for number, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
            yield Large(f"9.{7 + kind}.{number}", opcode, size, count=ROUND_TRIPS)


LARGE: tuple[Large, ...] = tuple(sorted(_cases(), key=lambda case: case.id))
"""The 54 cases of section 9."""
