"""Instructions of the interpreter and calls: the same in every run of one version of Python."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import longwave

__all__ = ["Cost", "cost_of"]

ROOT = str(Path(longwave.__file__).parent)


@dataclass
class Cost:
    """Instructions of Longwave's own code, and the calls that it makes, of C functions too."""

    instructions: int = 0
    calls: int = 0


async def cost_of(work: Awaitable[object]) -> Cost:
    """Await some work and count."""
    cost = Cost()

    def trace(frame: FrameType, what: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOT):
            return None
        cost.calls += 1
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return count

    def count(frame: FrameType, what: str, argument: Any) -> Any:
        if what == "opcode":
            cost.instructions += 1
        return count

    def profile(frame: FrameType, what: str, argument: Any) -> None:
        if what == "c_call" and frame.f_code.co_filename.startswith(ROOT):
            cost.calls += 1

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        await work
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return cost
