"""What harnesses make of an input: numbers, choices, texts, and the pieces that a network cuts bytes into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["Source", "pieces"]

T = TypeVar("T")


class Source:
    """An input, read from its front; past its end there are zeros and nothing.

    Every number is one byte and every text says its length in one, so that small changes of an input are
    small changes of what is made of it.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """Return the next byte, 0 past the end."""
        if not self:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[self.byte() % len(choices)]

    def take(self, size: int | None = None) -> bytes:
        """Return so many bytes, or as many as the next byte says."""
        size = self.byte() if size is None else size
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def text(self) -> str:
        """Return a text; one byte in 64 of its length says that bytes are code points, surrogates too."""
        size = self.byte()
        raw = self.take(size & 63)
        if size >= 192:
            return raw.decode("utf-16-le", "surrogatepass") if len(raw) % 2 == 0 else raw.decode("latin-1")
        return raw.decode("utf-8", "replace")

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take(len(self._data))


def pieces(data: bytes, how: int) -> Iterator[bytes]:
    """Yield the bytes in pieces: for `how` below 128 all of `how + 1` bytes, else of 1 to 64 in disorder."""
    at = 0
    size = how + 1
    while at < len(data):
        if how >= 128:
            how = (how * 1103515245 + 12345) & 0x7FFFFFFF | 128
            size = (how >> 16) % 64 + 1
        yield data[at : at + size]
        at += size
