"""Plays one case of section 9 to any server and judges what came back."""

from __future__ import annotations

import asyncio

from tests.conformance.handshake_cases import request
from tests.conformance.large_cases import Large, frames, payload
from tests.conformance.verdicts import Result, Verdict
from tests.conformance.wire import Address, Timing, Wire, connected
from tests.conformance.ws_model import CLOSE, close, encode

__all__ = ["SECTION", "WITHIN", "play"]

SECTION = "WebSocket 9: large messages and many"
WITHIN = 100.0
"""Seconds for a case; the Autobahn test suite has as many."""
LAST = 5.0
"""Seconds from the answer to the close frame to the end of the connection."""


async def play(case: Large, address: Address) -> Result:
    """Play one case; a server that is busy with another one may take its time."""
    try:
        async with asyncio.timeout(WITHIN), connected(address, Timing(patience=WITHIN)) as wire:
            wire.send(request(line=b"GET " + address.path + b" HTTP/1.1"))
            answer = await wire.answer()
            if answer is None or answer.status != 101:
                verdict, saw = Verdict.FAILED, f"no WebSocket: {answer.status if answer else 'the end'}"
            else:
                verdict, saw = await _round_trips(case, wire)
    except TimeoutError:
        verdict, saw = Verdict.FAILED, "no answer in time"
    except asyncio.IncompleteReadError:
        verdict, saw = Verdict.FAILED, "cut"
    except (OSError, ValueError) as error:
        verdict, saw = Verdict.FAILED, f"{type(error).__name__}: {error}"
    return Result(SECTION, case.id, case.description, verdict, saw, verdict)


async def _round_trips(case: Large, wire: Wire) -> tuple[Verdict, str]:
    expected = case.opcode, payload(case)
    # Encoded once: what is measured out here is the server, not the client.
    data = b"".join(map(encode, frames(case)))
    for number in range(case.count):
        # Both at once: a server may begin to answer, or to refuse, before it has the whole message.
        sending = asyncio.create_task(wire.chopped(data, case.chop))
        try:
            opcode, body = await _frame(wire)
        finally:
            sending.cancel()
        if opcode == CLOSE:
            return Verdict.FAILED, f"closed with {int.from_bytes(body[:2], 'big')} at message {number}"
        if (opcode, body) != expected:
            return Verdict.FAILED, f"message {number} came back as another one"
    wire.send(encode(close()))
    opcode, body = await _frame(wire)
    if (opcode, body[:2]) != (CLOSE, b"\x03\xe8"):
        return Verdict.UNCLEAN, f"the close was answered by opcode {opcode} with {body[:20]!r}"
    wire.patience = LAST
    try:
        behind = await wire.rest()
    except TimeoutError:
        return Verdict.UNCLEAN, "closed with 1000, connection left open"
    return (Verdict.FAILED, "bytes behind the close frame") if behind else (Verdict.OK, "closed with 1000")


async def _frame(wire: Wire) -> tuple[int, bytes]:
    """Read one frame, whenever it comes."""
    reader = wire.reader
    first, size = await reader.readexactly(2)
    if first & 0xF0 != 0x80 or size > 127:
        raise ValueError(f"a server does not send a frame that begins with {bytes((first, size))!r}")
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 0x0F, await reader.readexactly(size)
