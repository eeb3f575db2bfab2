"""What waits for one slow client: pieces in order, a bound, and what happens past it."""

from __future__ import annotations

from collections import deque

from longwave.types import Piece, SendStatus, SlowPolicy

__all__ = ["Outbox"]


class Outbox:
    """Pieces that cannot go to the network yet.

    `bound` is compared before a piece is added, so that below it one whole piece is always taken: at most
    `bound` and one piece wait. What was given to the network and not taken by it yet counts as well; the
    caller tells it as `held`. `size` is the bytes that wait here; `dropped` counts the pieces that a policy
    threw away.
    """

    __slots__ = ("_bound", "_pieces", "_policy", "dropped", "size")

    def __init__(self, bound: int, policy: SlowPolicy = SlowPolicy.CLOSE) -> None:
        self._bound = bound
        self._policy = policy
        # A piece that must not be dropped has its size as a negative number.
        self._pieces: deque[tuple[Piece, int]] = deque()
        self.size = 0
        self.dropped = 0

    def __len__(self) -> int:
        """Return the number of pieces that wait."""
        return len(self._pieces)

    def offer(self, piece: Piece, size: int, held: int = 0) -> SendStatus:
        """Take a piece of `size` bytes, or do what the policy says.

        `SENT` below half the bound, `BUFFERED` above, `DROPPED` where the piece was not taken. `CLOSED`:
        the policy is to close the connection; what waited is dropped, but for what `keep` took.
        """
        bound = self._bound
        if held + self.size >= bound and (status := self._overflow(held)) is not None:
            return status
        self._pieces.append((piece, size))
        self.size += size
        return SendStatus.BUFFERED if 2 * (held + self.size) > bound else SendStatus.SENT

    def add(self, piece: Piece, size: int) -> None:
        """Take a piece that the caller knows to be within the bound."""
        self._pieces.append((piece, size))
        self.size += size

    def keep(self, piece: Piece, size: int) -> None:
        """Take a piece whatever waits already; no policy ever drops it (a control frame)."""
        self._pieces.append((piece, -size))
        self.size += size

    def take(self, least: int = 1) -> list[Piece]:
        """Remove and return the oldest pieces: at least `least` bytes, or all there are."""
        taken: list[Piece] = []
        pieces = self._pieces
        while pieces and least > 0:
            piece, size = pieces.popleft()
            size = abs(size)
            self.size -= size
            least -= size
            taken.append(piece)
        return taken

    def only(self) -> Piece | None:
        """Remove and return the piece that waits where it is the only one, else None."""
        if len(self._pieces) != 1:
            return None
        self.size = 0
        return self._pieces.popleft()[0]

    def clear(self) -> None:
        """Drop all that may be dropped."""
        kept = [entry for entry in self._pieces if entry[1] < 0]
        self.dropped += len(self._pieces) - len(kept)
        self._pieces = deque(kept)
        self.size = -sum(size for _, size in kept)

    def _overflow(self, held: int) -> SendStatus | None:
        """Apply the policy; None where it made room for one more piece."""
        if self._policy is SlowPolicy.CLOSE:
            self.dropped += 1
            self.clear()
            return SendStatus.CLOSED
        if self._policy is SlowPolicy.DROP_OLD:
            self._drop_oldest(held)
            if held + self.size < self._bound:
                return None
        self.dropped += 1
        return SendStatus.DROPPED

    def _drop_oldest(self, held: int) -> None:
        pieces = self._pieces
        kept = []
        while pieces and held + self.size >= self._bound:
            entry = pieces.popleft()
            if entry[1] < 0:
                kept.append(entry)
            else:
                self.size -= entry[1]
                self.dropped += 1
        pieces.extendleft(reversed(kept))
