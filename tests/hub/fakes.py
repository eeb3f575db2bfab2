"""A loop, wires and subscribers for the hub that know no network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from longwave.hub.hub import Hub
from longwave.hub.outgoing import Channel
from longwave.types import Publication


class Turns:
    """Stands for the loop: what is scheduled runs when `run` is called."""

    def __init__(self) -> None:
        self.callbacks: deque[Callable[[], None]] = deque()

    def schedule(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def turn(self) -> None:
        """Run what was scheduled until now, once."""
        for _ in range(len(self.callbacks)):
            self.callbacks.popleft()()

    def run(self) -> None:
        """Run turns until nothing is scheduled."""
        while self.callbacks:
            self.turn()


class FakeWire:
    """A wire whose pieces are lists of texts, marked with the wire's name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.encoded = 0
        self.joined = 0

    def encode(self, outgoing: Publication) -> list[str]:
        self.encoded += 1
        return [f"{self.name}:{outgoing.payload.decode()}"]

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> list[str]:
        return [f"{self.name}:{payload.decode()}"]

    def join(self, pieces: Sequence[list[str]]) -> list[str]:
        self.joined += 1
        return [text for piece in pieces for text in piece]

    def size(self, piece: list[str]) -> int:
        return sum(map(len, piece))


class FakeBytesWire(FakeWire):
    """A wire whose pieces are bytes, as a WebSocket's: a short head, then the payload."""

    def encode(self, outgoing: Publication) -> Any:
        self.encoded += 1
        return self.frame(outgoing.payload, True)

    def frame(self, payload: bytes, is_text: bool, compress: bool | None = None) -> Any:
        return f"\n{self.name}:".encode() + payload

    def join(self, pieces: Sequence[Any]) -> Any:
        self.joined += 1
        return b"".join(pieces)

    def size(self, piece: Any) -> int:
        return len(piece)


class FakeSubscriber:
    """Records the pieces that it is given, as they are and flattened."""

    def __init__(self, wire: FakeWire, hub: Hub) -> None:
        self.wire = wire
        self.hub = hub
        self.channels: tuple[Channel, ...] = ()
        self.pieces: list[Any] = []
        self.failing = False

    def deliver(self, piece: Any) -> None:
        if self.failing:
            raise RuntimeError("this one fails")
        self.pieces.append(piece)

    def send(self, text: str) -> None:
        piece = self.wire.frame(text.encode(), True)
        if not self.hub.hold(self, piece):
            self.deliver(piece)

    @property
    def got(self) -> list[str]:
        return [text for piece in self.pieces for text in _texts(piece)]


def _texts(piece: Any) -> list[str]:
    return piece.decode().split("\n")[1:] if isinstance(piece, bytes) else piece
