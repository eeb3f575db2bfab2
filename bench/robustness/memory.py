"""Checks 17 and 18: clients that want memory, by compression, by fragments, by messages without an end."""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections import Counter
from dataclasses import dataclass

from bench.robustness.crowd import Member, crowd, frame
from bench.robustness.target import MIB, Target

__all__ = ["Hostile", "Unfinished", "deflate_bomb", "fragments", "unfinished"]


@dataclass(frozen=True, slots=True)
class Hostile:
    """What one connection did to the server."""

    sent: int
    """Bytes, until it was closed or all was sent."""
    code: int | None
    """Of the close frame; None: none."""
    seconds: float
    """To the close frame, or to the end of the patience."""
    grown: int
    """The most memory meanwhile, in bytes above what there was before."""


async def fragments(
    target: Target, count: int, *, patience: float = 3.0, path: str = "/bench/echo"
) -> Hostile:
    """Send one message of so many frames with a byte each, which never ends."""
    piece = 4096
    data = [frame(b"f", final=False) + b"".join(frame(b"f", 0, final=False) for _ in range(piece - 1))]
    more = b"".join(frame(b"f", 0, final=False) for _ in range(piece))
    data += [more] * (count // piece)
    return await _attack(target, path, data, patience)


async def deflate_bomb(
    target: Target, size: int, *, pieces: int = 1, takeover: bool = False, patience: float = 20.0
) -> Hostile | None:
    """Send zeros, compressed to a thousandth, in so many frames; None where compression is not negotiated.

    With `takeover` a harmless message fills the window first, and the bomb refers to it.
    """
    path = "/bench/takeover" if takeover else "/bench/packed"
    # A window of 4 KiB is what Longwave asks for; a smaller one than agreed on is always right.
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    before = b""
    if takeover:
        packed = packer.compress(os.urandom(32 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH)
        before = frame(packed[:-4], 2, first=0x40)
    # After a full flush each MiB of zeros is as the one before.
    packed = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = (packed * (size // MIB))[:-4]
    step = -(-len(packed) // pieces)
    cut = [packed[at : at + step] for at in range(0, len(packed), step)]
    data = [
        frame(part, 1 if number == 0 else 0, final=number == len(cut) - 1, first=0x40 if number == 0 else 0)
        for number, part in enumerate(cut)
    ]
    async with crowd(target.port) as people:
        first = await people.join(path, Handshaken, deflate=True)
        if b"permessage-deflate" not in first.head or (
            takeover and b"client_no_context_takeover" in first.head
        ):
            return None
    return await _attack(target, path, data, patience, deflate=True, before=before)


class Handshaken(Member):
    """Keeps the head of the answer."""

    __slots__ = ("head",)

    def __init__(self) -> None:
        super().__init__()
        self.head = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self.head += data
        super().data_received(data)


async def _attack(
    target: Target,
    path: str,
    data: list[bytes],
    patience: float,
    *,
    deflate: bool = False,
    before: bytes = b"",
) -> Hostile:
    async with crowd(target.port) as people:
        calm = await people.join(path, Member, deflate=deflate)
        calm.send(b"warm")
        member = await people.join(path, Member, deflate=deflate)
        member.transport.write(before)
        await asyncio.sleep(0.3)
        assert member.code is None, "what came before the attack was refused"
        rss = target.rss()
        target.forget_peak()
        began, sent = time.monotonic(), 0
        for piece in data:
            if member.code is not None or member.ended is not None:
                break
            member.transport.write(piece)
            sent += len(piece)
            while member.transport.get_write_buffer_size() > MIB and member.ended is None:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
        while member.ended is None and member.code is None and time.monotonic() - began < patience:
            await asyncio.sleep(0.005)
        seconds = time.monotonic() - began
        await asyncio.sleep(0.1)
        return Hostile(sent, member.code, seconds, target.peak() - rss)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What many messages without an end did."""

    connections: int
    offered: int
    """Bytes that were sent of messages that never end."""
    codes: Counter[int | None]
    grown: int
    """The most memory meanwhile, in bytes above what there was before."""
    left: int
    """What of it was still there after all were gone."""


async def unfinished(
    target: Target, connections: int, held: int, *, size: int = MIB, path: str = "/bench/echo"
) -> Unfinished:
    """Let each of so many connections send `held` bytes of a message of `size`, and no more."""
    data = frame(b"u" * size)[: held + 14]
    async with crowd(target.port) as people:
        members = await people.fill(path, Member, connections)
        await asyncio.sleep(0.1)
        before = target.rss()
        target.forget_peak()
        for member in members:
            if member.ended is None:
                member.transport.write(data)
            if member.transport.get_write_buffer_size():
                await asyncio.sleep(0.002)
        for _ in range(1000):
            if not any(
                member.ended is None and member.transport.get_write_buffer_size() for member in members
            ):
                break
            await asyncio.sleep(0.01)
        await target.rests()
        peak = target.peak()
        codes = Counter(
            member.code if member.code is not None or member.ended is None else 1006 for member in members
        )
    await target.rests()
    return Unfinished(connections, connections * held, codes, peak - before, target.rss() - before)
