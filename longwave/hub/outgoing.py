"""A publication as the hub holds it: `Outgoing`, the channels it goes to, and the log of one turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from longwave.types import Piece, Wire

__all__ = ["Channel", "Log", "Mark", "Outgoing", "Subscriber"]


class Subscriber(Protocol):
    """One receiver of publications: a peer, or an event stream. Hashed by identity."""

    channels: tuple[Channel, ...]
    """Kept by the hub: what this subscriber listens to."""

    @property
    def wire(self) -> Wire:
        """The format of its link."""

    def deliver(self, piece: Piece) -> object:
        """Write a piece of its wire to its link.

        Never blocks, and does nothing after its end.
        """


class Channel:
    """The subscribers of one topic in one namespace, or (None) in all of them."""

    __slots__ = ("namespace", "subscribers", "topic")

    def __init__(self, topic: str, namespace: str | None) -> None:
        self.topic = topic
        self.namespace = namespace
        self.subscribers: dict[Subscriber, None] = {}


class Outgoing:
    """One publication: encoded once, framed once for each wire of a receiver."""

    __slots__ = ("compress", "is_text", "payload", "position", "topic")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        is_text: bool,
        position: str | None = None,
        compress: bool | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.is_text = is_text
        self.position = position
        self.compress = compress


Mark = tuple[int, Piece | None]
"""At entry i of the log a subscriber's stream skips it (None), or has a piece of its own before it."""


class Log:
    """What was published in one turn, and where single receivers differ from it."""

    __slots__ = ("entries", "errors", "frames", "marks", "size", "touched")

    def __init__(self) -> None:
        self.entries: list[Outgoing] = []
        self.touched: dict[Channel, list[int]] = {}
        self.marks: dict[Subscriber, list[Mark]] = {}
        self.frames: dict[Wire, list[Piece]] = {}
        self.errors: list[Exception] = []
        self.size = 0

    def mark(self, subscriber: Subscriber, piece: Piece | None) -> None:
        """Note that one subscriber skips the next entry, or has a piece before it."""
        mark = (len(self.entries), piece)
        marks = self.marks.get(subscriber)
        if marks is None:
            self.marks[subscriber] = [mark]
        else:
            marks.append(mark)

    def leave_out(self, subscriber: Subscriber, entry: Outgoing) -> None:
        """Note that one subscriber skips the next entry, which is to be this one.

        Who was sent the very same just before, as in a chat that echoes, gets it as all others do: so its
        stream differs in nothing, and needs no piece of its own.
        """
        marks = self.marks.get(subscriber)
        if marks is not None:
            index, piece = marks[-1]
            if index == len(self.entries) and piece is not None and _is_frame(piece, subscriber.wire, entry):
                marks.pop()
                if not marks:
                    del self.marks[subscriber]
                return
        self.mark(subscriber, None)

    def touches(self, subscriber: Subscriber) -> bool:
        """Whether the log holds anything for this subscriber.

        Costs the smaller of the two sides.
        """
        touched, channels = self.touched, subscriber.channels
        if len(channels) < len(touched):
            return any(channel in touched for channel in channels)
        return any(subscriber in channel.subscribers for channel in touched)

    def frames_of(self, wire: Wire) -> list[Piece]:
        """Return the frame of every entry on this wire; made once per wire.

        An entry that the wire cannot encode is an empty frame, and its error one of `errors`.
        """
        frames = self.frames.get(wire)
        if frames is None:
            encode = wire.encode
            try:
                frames = [encode(entry) for entry in self.entries]
            except Exception:
                frames = [self._encode(wire, entry) for entry in self.entries]
            self.frames[wire] = frames
        return frames

    def listeners(self) -> dict[Subscriber, tuple[Channel, ...]]:
        """Return who listens to which channels of the log."""
        listens: dict[Subscriber, tuple[Channel, ...]] = {}
        for channel in self.touched:
            alone = (channel,)
            for subscriber in channel.subscribers:
                known = listens.get(subscriber)
                listens[subscriber] = alone if known is None else (*known, channel)
        return listens

    def indices(self, channels: tuple[Channel, ...]) -> list[int]:
        """Return the entries that went to any of these channels, in order."""
        if len(channels) == 1:
            return self.touched[channels[0]]
        return sorted({index for channel in channels for index in self.touched[channel]})

    def piece_for(self, wire: Wire, indices: list[int] | None = None) -> Piece:
        """Return one piece of the entries at these indices, or of all of them."""
        frames = self.frames_of(wire)
        if indices is not None and len(indices) != len(frames):
            frames = [frames[i] for i in indices]
        return frames[0] if len(frames) == 1 else wire.join(frames)

    def private_piece(
        self, wire: Wire, indices: Sequence[int], marks: list[Mark]
    ) -> tuple[Piece, int] | None:
        """Return the piece of a subscriber with marks and its number of entries.

        None for nothing.
        """
        if len(marks) == len(indices) and all(piece is None for _, piece in marks):
            # A publisher that is left out of all its own publications: nothing is encoded for it.
            return None
        every = self.frames_of(wire)
        frames: list[Piece] = []
        skipped = {index for index, piece in marks if piece is None}
        inserts = [(index, piece) for index, piece in marks if piece is not None]
        at = 0
        for index in indices:
            while at < len(inserts) and inserts[at][0] <= index:
                frames.append(inserts[at][1])
                at += 1
            if index not in skipped:
                frames.append(every[index])
        frames.extend(piece for _, piece in inserts[at:])
        if not frames:
            return None
        return (frames[0] if len(frames) == 1 else wire.join(frames)), len(frames) - len(inserts)

    def _encode(self, wire: Wire, entry: Outgoing) -> Piece:
        try:
            return wire.encode(entry)
        except Exception as error:
            self.errors.append(error)
            return wire.join([])


def _is_frame(piece: Piece, wire: Wire, entry: Outgoing) -> bool:
    """Whether a piece is what the wire makes of an entry; what is compressed is not asked for."""
    return isinstance(piece, bytes) and piece.endswith(entry.payload) and piece == wire.encode(entry)
