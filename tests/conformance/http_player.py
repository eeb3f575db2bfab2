"""Plays one case of the HTTP tables to any server and judges what came back, and what the handler saw.

The server under test answers every request with 200 once it has read the body, whole, and notes both by the
client's port: `GET /seen/PORT` returns, as JSON, `{"begun": n, "whole": [[method, target, body], ...]}` for
the connection from that port (bytes as Latin-1) and forgets it. Without it the answers alone are judged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from tests.conformance.http_cases import CHUNKS, FRAMING, HOSTS, LINES, REQUEST_LINES, SPEC_1, SPEC_2, Case
from tests.conformance.verdicts import Result, Verdict
from tests.conformance.wire import Address, Answer, Timing, Wire, connected

__all__ = ["SECTIONS", "Noted", "Seen", "judge", "play", "section", "token"]

SECTIONS = {
    "HTTP: the first suite": SPEC_1,
    "HTTP: the second suite": SPEC_2,
    "Smuggling: length and coding": FRAMING,
    "Smuggling: chunks": CHUNKS,
    "Smuggling: header lines": LINES,
    "Smuggling: Host": HOSTS,
    "Smuggling: request lines": REQUEST_LINES,
}
_TITLES = {case.name: title for title, cases in SECTIONS.items() for case in cases}
STILL = b"GET /still HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Noted:
    """What the handler saw of one connection."""

    begun: int
    whole: tuple[tuple[str, bytes, bytes], ...]


@dataclass(slots=True)
class Seen:
    """What the server did: its answers, whether it closed, and bytes that nobody asked for."""

    answers: list[Answer] = field(default_factory=list)
    closed: bool = False
    still: bool = False
    noted: Noted | None = None
    broken: str = ""


def section(case: Case) -> str:
    """Return the title of the section that a case belongs to."""
    return _TITLES[case.name]


async def play(case: Case, address: Address, timing: Timing, *, size: int = 0) -> Result:
    """Play one case, `size` bytes at a time where that is not 0."""
    try:
        async with connected(address, timing) as wire:
            await wire.chopped(case.data, size)
            seen = await _play(case, wire, timing)
        seen.noted = await _ask(address, timing, wire.local)
    except (OSError, ValueError) as error:
        seen = Seen(broken=f"{type(error).__name__}: {error}")
    if size:
        # In pieces a handler may begin before its body breaks.
        case = case._replace(begun=True)
    return judge(case, seen)


def judge(case: Case, seen: Seen) -> Result:
    """Compare what the server did with what the case demands."""
    verdict = _judge(case, seen)
    return Result(section(case), case.name, _shown(case.data), verdict, token(case, seen), verdict)


def token(case: Case, seen: Seen) -> str:
    """Return in a word what became of the request that matters: the last of the case.

    `ok[5]` when the handler had it whole, with a body of 5 bytes, `ok` when it had it without a body or 2xx
    was answered, with the status behind it where that is another one; else a status; `closed`; `hangs`.
    """
    if seen.broken:
        return seen.broken
    last = len(case.requests) if case.refused else max(0, len(case.requests) - 1)
    whole = seen.noted.whole[last:] if seen.noted else ()
    answers = seen.answers[last:]
    behind = "" if seen.closed or not case.refused else ", left open"
    if whole and whole[0][1] == b"/next":
        behind = ", and the next request went through"
    elif whole:
        size = len(whole[0][2])
        then = f", then {answers[0].status}" if answers and answers[0].status >= 300 else ""
        return f"ok[{size}]{then}" if size else f"ok{then}"
    if not answers:
        return "closed" if seen.closed else "hangs"
    return "ok" if answers[0].status < 300 else f"{answers[0].status}{behind}"


async def _play(case: Case, wire: Wire, timing: Timing) -> Seen:
    seen = Seen()
    try:
        if case.waits:
            try:
                early = await wire.some(timing.quiet)
            except TimeoutError:
                return seen
            seen.closed = not early
            if early:
                seen.answers.append(Answer(int(early.split(b" ")[1]), {}))
            return seen
        expected = [request.method == "HEAD" for request in case.requests] + [False] * bool(case.refused)
        for head_only in expected:
            answer = await wire.answer(head_only=head_only)
            if answer is None:
                seen.closed = True
                return seen
            seen.answers.append(answer)
        if not case.refused and case.keeps:
            wire.send(STILL)
            answer = await wire.answer()
            seen.still = answer is not None and answer.status == 200
            return seen
        await _end(case, wire, seen, timing)
    except TimeoutError:
        pass
    return seen


async def _end(case: Case, wire: Wire, seen: Seen, timing: Timing) -> None:
    """Read to the end of the connection, which is due; more answers are noted, too."""
    wire.patience = min(timing.patience, 1.0)
    while (answer := await wire.answer()) is not None:
        seen.answers.append(answer)
    seen.closed = True


async def _ask(address: Address, timing: Timing, port: int) -> Noted | None:
    """Return what the handler saw of the connection from a port."""
    async with connected(address, replace(timing, patience=max(timing.patience, 2.0))) as wire:
        wire.send(b"GET /seen/%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % port)
        answer = await wire.answer()
    if answer is None or answer.status != 200:
        return None
    found = json.loads(answer.body)
    whole = ((method, _bytes(target), _bytes(body)) for method, target, body in found["whole"])
    return Noted(found["begun"], tuple(whole))


def _judge(case: Case, seen: Seen) -> Verdict:
    if seen.broken:
        return Verdict.FAILED
    if case.waits:
        whole = seen.noted is not None and seen.noted.whole
        return Verdict.FAILED if seen.answers or seen.closed or whole else Verdict.OK
    if not _answered(case, seen):
        return Verdict.FAILED
    if seen.noted is not None and any(
        noted[1] != request.target for noted, request in zip(seen.noted.whole, case.requests, strict=False)
    ):
        return Verdict.NON_STRICT
    if case.refused:
        return _refused(case, seen)
    if case.keeps:
        return Verdict.OK if seen.still else Verdict.FAILED
    if len(seen.answers) > len(case.requests):
        return Verdict.FAILED
    return Verdict.OK if seen.closed else Verdict.UNCLEAN


def _answered(case: Case, seen: Seen) -> bool:
    """Tell whether the good requests of the case were answered, and were what the handler saw."""
    good = seen.answers[: len(case.requests)]
    if len(good) < len(case.requests) or any(not 200 <= answer.status < 300 for answer in good):
        return False
    if seen.noted is None:
        return True
    whole = seen.noted.whole
    if seen.still:
        whole = whole[:-1]
    # Some servers hand over the target as it came: that is another verdict.
    return [(method, body) for method, _, body in whole] == [
        (request.method, request.body) for request in case.requests
    ]


def _refused(case: Case, seen: Seen) -> Verdict:
    # `_answered` has seen to it that no handler had the bad request whole.
    rest = seen.answers[len(case.requests) :]
    begun = seen.noted is not None and seen.noted.begun > len(case.requests)
    if begun and not case.begun:
        return Verdict.FAILED
    if not rest:
        return Verdict.UNCLEAN if seen.closed else Verdict.FAILED
    if len(rest) > 1 or rest[0].status < 400:
        return Verdict.FAILED
    if not seen.closed:
        return Verdict.UNCLEAN
    return Verdict.OK if rest[0].status in case.refused else Verdict.NON_STRICT


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _shown(data: bytes) -> str:
    text = data.decode("latin-1").encode("unicode_escape").decode()
    return text if len(text) <= 160 else f"{text[:150]}... ({len(data)} bytes)"
