"""A rate limit: so many things a second, and as many at once after a pause."""

from __future__ import annotations

from math import inf

__all__ = ["Bucket"]


class Bucket:
    """A token bucket that holds the tokens of one second and is full at first."""

    __slots__ = ("_rate", "_since", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._since = -inf

    def take(self, now: float) -> bool:
        """Take one token at a time that never goes back; False when there is none."""
        self._tokens = min(self._rate, self._tokens + (now - self._since) * self._rate)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
