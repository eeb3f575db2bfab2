"""Plays one request to become a WebSocket to any server and judges the answer."""

from __future__ import annotations

import re

from tests.conformance.handshake_cases import Handshake, request
from tests.conformance.verdicts import Result, Verdict
from tests.conformance.wire import Address, Answer, Timing, Wire, connected
from tests.conformance.ws_cases import decode

__all__ = ["play", "section"]

SECTIONS = {
    "K": "Handshake: keys",
    "V": "Handshake: versions",
    "M": "Handshake: methods and bodies",
    "U": "Handshake: Upgrade and Connection",
    "P": "Handshake: subprotocols",
    "X": "Handshake: extensions and early bytes",
    "D": "Handshake: offers of permessage-deflate",
}


def section(case: Handshake) -> str:
    """Return the title of the section that a case belongs to."""
    return SECTIONS[case.id[0]]


async def play(case: Handshake, address: Address, timing: Timing) -> Result:
    """Play one request; behind a refusal a good one has to be accepted."""

    def result(verdict: Verdict, saw: str) -> Result:
        return Result(section(case), case.id, case.description, verdict, saw, verdict)

    try:
        async with connected(address, timing) as wire:
            wire.send(case.request.replace(b" /ws HTTP/", b" " + address.path + b" HTTP/") + case.rest)
            answer = await wire.answer(head_only=case.request.startswith(b"HEAD "))
            if answer is None:
                return result(Verdict.UNCLEAN, "cut without an answer")
            verdict, saw = _judge(case, answer)
            if verdict is Verdict.OK and case.echo:
                verdict, saw = await _echo(case, wire, saw)
        if 101 not in case.status and not await _still_works(address, timing):
            return result(Verdict.FAILED, f"{saw}, and no WebSocket after it")
    except TimeoutError:
        return result(Verdict.FAILED, "no answer")
    except (OSError, ValueError) as error:
        return result(Verdict.FAILED, f"{type(error).__name__}: {error}")
    return result(verdict, saw)


def _judge(case: Handshake, answer: Answer) -> tuple[Verdict, str]:
    saw = str(answer.status)
    if (answer.status != 101 and answer.status < 400) or (answer.status == 101) != (101 in case.status):
        return Verdict.FAILED, saw
    wrong = [
        name.decode()
        for name, value in case.headers.items()
        if answer.fields.get(name, []) != [value.strip().lower()]
    ]
    wrong += [name.decode() for name in case.absent if name in answer.fields]
    extension = b", ".join(answer.fields.get(b"sec-websocket-extensions", ()))
    if case.extension and not re.fullmatch(case.extension, extension):
        wrong.append(f"extension {extension.decode('latin-1')}")
    if wrong:
        saw += f" with a wrong {', '.join(wrong)}"
    if answer.status not in case.status:
        return Verdict.NON_STRICT, saw
    if wrong:
        return (Verdict.FAILED if answer.status == 101 else Verdict.NON_STRICT), saw
    return Verdict.OK, saw


async def _echo(case: Handshake, wire: Wire, saw: str) -> tuple[Verdict, str]:
    held = b""
    while len(decode(held)[0]) < len(case.echo):
        more = await wire.some()
        if not more:
            return Verdict.FAILED, f"{saw}, and the end instead of an echo"
        held += more
    if tuple(decode(held)[0]) != case.echo:
        return Verdict.FAILED, f"{saw}, and another echo"
    return Verdict.OK, saw


async def _still_works(address: Address, timing: Timing) -> bool:
    async with connected(address, timing) as wire:
        wire.send(request(line=b"GET " + address.path + b" HTTP/1.1"))
        answer = await wire.answer()
        return answer is not None and answer.status == 101
