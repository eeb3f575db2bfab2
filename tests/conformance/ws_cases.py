"""What a WebSocket echo server must do with a client's bytes: cases as data, for any server.

`AUTOBAHN` has the 247 cases of sections 1 to 7 and 10 of the Autobahn test suite, by their numbers there, and
strict everywhere: where the suite lets a server be late ("non-strict") or leaves the outcome open
("informational"), one outcome is demanded here. `BEYOND` has what that suite does not ask, `LIMITS` the
default limits (messages of 1 MiB, 4 096 frames).

The server under test echoes text as text and binary as binary, and answers pings.

How to run a case. Every step is written at once, or `chop` octets at a time where that is not 0. The last
step of a case that ends well is the client's close frame. What the server sends is `expect` as whole frames
(opcode, payload), in order, then one close frame whose code is in `close` (1005: a close frame without a
code), then the end of the connection; whether the client answers that close frame changes nothing. Where
`fails_at` is not None, the close frame has to come after that step, before the next one is sent: run
without that rule, the server passes as non-strict.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.conformance.ws_autobahn import AUTOBAHN
from tests.conformance.ws_beyond import BEYOND, LIMITS
from tests.conformance.ws_model import (
    DEFAULT_MASK,
    Case,
    Frame,
    Item,
    Part,
    Step,
    decode,
    encode,
    encode_step,
)

__all__ = [
    "AUTOBAHN",
    "BEYOND",
    "CASES",
    "DEFAULT_MASK",
    "LIMITS",
    "Case",
    "Frame",
    "Item",
    "Part",
    "Step",
    "decode",
    "encode",
    "encode_step",
    "sections",
]

CASES: tuple[Case, ...] = AUTOBAHN + BEYOND + LIMITS
"""Every case."""


def sections(cases: Iterable[Case]) -> dict[str, int]:
    """Return how many cases each section has, by the first part of their ids."""
    counts: dict[str, int] = {}
    for case in cases:
        section = case.id.partition(".")[0]
        counts[section] = counts.get(section, 0) + 1
    return counts
