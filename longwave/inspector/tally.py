"""How often each topic is published to, while somebody looks."""

from __future__ import annotations

from collections.abc import Iterable

from longwave.hub.outgoing import Channel

__all__ = ["Tally"]


class Tally:
    """Counts publications by topic and namespace.

    `turn` begins the next span of the rates.
    """

    def __init__(self, now: float) -> None:
        self._began = now
        self._counts: dict[Channel, int] = {}
        self._before: dict[Channel, int] = {}
        self._rates: dict[Channel, float] = {}

    def add(self, channels: Iterable[Channel]) -> None:
        """Count a publication to these."""
        counts = self._counts
        for channel in channels:
            counts[channel] = counts.get(channel, 0) + 1

    def count(self, channel: Channel) -> int:
        """Return the publications to a topic so far."""
        return self._counts.get(channel, 0)

    def rate(self, channel: Channel) -> float:
        """Return those of a second in the span before this one."""
        return self._rates.get(channel, 0.0)

    def turn(self, now: float) -> None:
        """Begin a span; topics that nobody listens to any more are forgotten."""
        seconds = now - self._began
        if seconds <= 0:
            return
        counts = {channel: count for channel, count in self._counts.items() if channel.subscribers}
        self._rates = {
            channel: round((count - self._before.get(channel, 0)) / seconds, 1)
            for channel, count in counts.items()
        }
        self._began, self._counts, self._before = now, counts, dict(counts)
