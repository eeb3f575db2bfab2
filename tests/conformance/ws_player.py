"""Plays one case of the WebSocket tables to any server and judges what came back."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass, field

from tests.conformance.handshake_cases import request
from tests.conformance.verdicts import Result, Verdict, worst
from tests.conformance.wire import Address, Timing, Wire, connected
from tests.conformance.ws_cases import Case, Step, decode, encode, encode_step
from tests.conformance.ws_model import CLOSE, Frame

__all__ = ["INFORMATIONAL", "Seen", "judge", "play", "section"]

INFORMATIONAL = frozenset({"7.1.6", "7.13.1", "7.13.2"})
"""Cases that the Autobahn test suite leaves open."""

SECTIONS = {
    "1": "WebSocket 1: framing",
    "2": "WebSocket 2: pings and pongs",
    "3": "WebSocket 3: reserved bits",
    "4": "WebSocket 4: opcodes",
    "5": "WebSocket 5: fragmentation",
    "6": "WebSocket 6: UTF-8",
    "7": "WebSocket 7: closing",
    "10": "WebSocket 10: fragments by a library",
    "B1": "Beyond Autobahn 1: lengths",
    "B2": "Beyond Autobahn 2: masking",
    "B3": "Beyond Autobahn 3: any cut",
    "B4": "Beyond Autobahn 4: between fragments",
    "B5": "Beyond Autobahn 5: closing",
    "B6": "Beyond Autobahn 6: UTF-8",
    "B9": "Beyond Autobahn 9: compressed frames",
}


@dataclass(slots=True)
class Seen:
    """What the server did: whole frames before its close frame, its code, whether the connection ended.

    `code` is None without a close frame and 1005 for one without a code. `late` means that an error was
    noticed only after more was sent. `broken` says what is wrong with the server's own frames.
    """

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    code: int | None = None
    ended: bool = False
    late: bool = False
    broken: str = ""


def section(case: Case) -> str:
    """Return the title of the section that a case belongs to."""
    return SECTIONS.get(case.id.partition(".")[0], "Default limits of a message")


async def play(case: Case, address: Address, timing: Timing, *, polite: bool = True) -> Result:
    """Play one case.

    A polite client waits for its echoes before it closes, as the Autobahn test suite does, and answers a
    close frame of the server. One that is not does neither: the standard demands the same of the server
    then, but for messages that a close frame overtakes in it.
    """
    try:
        async with connected(address, timing) as wire:
            offer = (b"Sec-WebSocket-Extensions: " + case.extensions,) if case.extensions else ()
            wire.send(request(*offer, line=b"GET " + address.path + b" HTTP/1.1"))
            answer = await wire.answer()
            if answer is None or answer.status != 101:
                text = f"no WebSocket: {answer.status if answer else 'the connection ended'}"
                return Result(section(case), case.id, case.description, Verdict.FAILED, text, Verdict.FAILED)
            if case.extensions and b"sec-websocket-extensions" not in answer.fields:
                text = "no offer was accepted"
                return Result(section(case), case.id, case.description, Verdict.FAILED, text, Verdict.FAILED)
            seen = await _Player(case, wire, timing, polite).play()
    except (OSError, ValueError) as error:
        seen = Seen(broken=f"{type(error).__name__}: {error}")
    return judge(case, seen)


def judge(case: Case, seen: Seen) -> Result:
    """Compare what the server did with what the case demands."""

    def result(verdict: Verdict, saw: str, suite: Verdict | None = None) -> Result:
        if verdict is not Verdict.OK and case.id in INFORMATIONAL:
            verdict = suite = Verdict.INFORMATIONAL
        return Result(section(case), case.id, case.description, verdict, saw, suite or verdict)

    client_closes = 1000 in case.close
    closed = "cut" if seen.code is None else f"closed with {seen.code}"
    if seen.code == 1005:
        closed = "closed without a code"
    missing = not client_closes and len(seen.frames) < len(case.expect)
    if seen.broken:
        return result(Verdict.FAILED, seen.broken)
    if tuple(seen.frames) != case.expect[: len(seen.frames) if missing else None]:
        return result(Verdict.FAILED, f"{closed} after other frames than those expected")
    if seen.code is None and not seen.ended:
        return result(Verdict.FAILED, "no close frame and no end")
    lateness = Verdict.NON_STRICT if seen.late or missing else Verdict.OK
    saw = f"{closed}, late" if seen.late else f"{closed} before the echo" if missing else closed
    if seen.code in (None, 1005) and seen.code not in case.close:
        # RFC 6455 section 7.1.7: an endpoint that fails the connection "SHOULD send a Close frame with an
        # appropriate status code".
        return result(Verdict.UNCLEAN, saw, Verdict.UNCLEAN if client_closes else lateness)
    if seen.code not in case.close:
        return result(Verdict.FAILED, closed)
    if not seen.ended:
        return result(Verdict.UNCLEAN, f"{saw}, connection left open")
    return result(worst(lateness), saw)


class _Player:
    """One case on one connection."""

    def __init__(self, case: Case, wire: Wire, timing: Timing, polite: bool) -> None:
        self.case = case
        self.wire = wire
        self.timing = timing
        self.polite = polite
        self.seen = Seen()
        self.over = asyncio.Event()  # a close frame came, or the end
        self.echoed = asyncio.Event()  # as many frames came as are expected, or `over`
        self.closing = False  # the client's close frame has gone out
        # One for all messages is right for a server with context takeover and for one without.
        self.inflater = zlib.decompressobj(-15) if case.extensions else None

    async def play(self) -> Seen:
        reading = asyncio.create_task(self._read())
        try:
            for number, step in enumerate(self.case.steps):
                if self.polite and number and step is self.case.steps[-1] and _is_goodbye(step):
                    await self._within(self.echoed, self.timing.patience)
                await self.wire.chopped(encode_step(step), self.case.chop)
                self.closing = self.closing or any(
                    isinstance(item, Frame) and item.opcode == CLOSE for item in step
                )
                if self.case.fails_at == number and not await self._within(self.over, self.timing.notice):
                    self.seen.late = True
                elif self.over.is_set() and self.case.fails_at is not None:
                    break
                await asyncio.sleep(0)
            await asyncio.wait([reading], timeout=self.timing.patience)
        finally:
            self.seen.ended = reading.done()
            reading.cancel()
        return self.seen

    async def _within(self, event: asyncio.Event, seconds: float) -> bool:
        if not (self.case.expect or event is self.over):
            return True
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self) -> None:
        """Take frames until the connection ends; nothing may come behind a close frame."""
        held = b""
        try:
            while data := await self._some():
                frames, held = decode(held + data, self.inflater)
                if self.seen.code is not None and (frames or held):
                    raise ValueError("bytes behind the close frame")
                for index, (opcode, payload) in enumerate(frames):
                    if opcode == CLOSE:
                        self._closed(payload)
                        if held or index < len(frames) - 1:
                            raise ValueError("bytes behind the close frame")
                        break
                    self.seen.frames.append((opcode, payload))
                if len(self.seen.frames) >= len(self.case.expect):
                    self.echoed.set()
            if held:
                raise ValueError(f"{len(held)} bytes of a frame that did not end")
        except (ValueError, zlib.error) as error:
            self.seen.broken = str(error)
        self.over.set()
        self.echoed.set()

    async def _some(self) -> bytes:
        try:
            return await self.wire.reader.read(1 << 20)
        except ConnectionError:
            return b""

    def _closed(self, payload: bytes) -> None:
        payload[2:].decode()  # a reason that is not UTF-8 is a ValueError
        if len(payload) == 1:
            raise ValueError("a close frame of one byte")
        self.seen.code = int.from_bytes(payload[:2], "big") if payload else 1005
        self.over.set()
        if self.polite and not self.closing:
            self.closing = True
            self.wire.send(encode(Frame(CLOSE, payload[:2])))


def _is_goodbye(step: Step) -> bool:
    return all(isinstance(item, Frame) and item.opcode == CLOSE for item in step)
