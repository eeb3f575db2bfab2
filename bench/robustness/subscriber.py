"""Check 19: one of many listeners stops to read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.robustness.crowd import crowd
from bench.robustness.load import Listener, Publisher, quiet
from bench.robustness.target import Latencies, Target

__all__ = ["SlowSubscriber", "slow_subscriber"]


@dataclass(slots=True)
class SlowSubscriber:
    """What it did to the others, and what was done to it."""

    before: float
    """The others' p99 before, in seconds."""
    during: float
    """The same while one did not read."""
    lost: int
    """Deliveries that the others did not get, or got out of order."""
    buffered: int
    """The most bytes that waited for it; 0 where nobody can tell."""
    cut_after: float | None
    """Seconds until the server had let go of it; None: never."""
    code: int | None
    """The close code that it found when it read again."""
    got: int
    wrong: int
    """What it had got until then, and how much of that out of order."""


async def slow_subscriber(
    target: Target,
    listeners: int,
    rate: float,
    seconds: tuple[float, float],
    *,
    size: int = 1024,
    publishers: int = 1,
    after: float | None = None,
    buffered: Callable[[], Awaitable[int]] | None = None,
    is_cut: Callable[[], Awaitable[bool]] | None = None,
) -> SlowSubscriber:
    """Publish for some seconds to listeners that read, and for some more while one of them does not.

    `buffered` and `is_cut` ask the server for what waits, and whether it has let go of the one. Once it has,
    it goes on for the seconds of `after`, where that is set.
    """
    before, during, unread = Latencies(), Latencies(), Latencies()
    async with crowd(target.port) as people:
        slow = await people.join("/bench/room", lambda: Listener(unread), receive=16 * 1024)
        others = await people.fill("/bench/room", lambda: Listener(before), listeners - 1)
        voices = [
            Publisher(await people.join("/bench/room", lambda: Listener(unread)), name, size)
            for name in range(publishers)
        ]

        async def speak(time_: float) -> None:
            await asyncio.gather(*(voice.speak(rate / publishers, time_) for voice in voices))

        await speak(seconds[0])
        await quiet(others, sum(voice.said for voice in voices))
        for member in others:
            member.latencies = during
        slow.transport.pause_reading()
        result = SlowSubscriber(before.p99, 0.0, 0, 0, None, None, 0, 0)
        began = time.monotonic()
        speaking = asyncio.create_task(speak(seconds[1]))
        while not speaking.done():
            if buffered is not None:
                result.buffered = max(result.buffered, await buffered())
            if result.cut_after is None and is_cut is not None and await is_cut():
                result.cut_after = time.monotonic() - began
                slow.transport.resume_reading()
            if result.cut_after is not None and after is not None:
                if time.monotonic() - began > result.cut_after + after:
                    for voice in voices:
                        voice.stop()
            await asyncio.sleep(0.02)
        said = sum(voice.said for voice in voices)
        await quiet(others, said)
        if result.cut_after is None:
            slow.transport.resume_reading()
            await asyncio.sleep(0.5)
        result.during = during.p99
        result.lost = sum(said - member.got + member.wrong for member in others)
        result.code = slow.code
        result.got, result.wrong = slow.got, slow.wrong
        return result
