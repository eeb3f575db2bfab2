"""WebSockets that agreed on permessage-deflate (RFC 7692), and the choice of a connection's class."""

from __future__ import annotations

from collections.abc import Sequence

from longwave.contract import UpgradeReply
from longwave.core.deflate import Agreement, Deflater, Waiting, deflate_wire, takeover_wire
from longwave.core.inflate import InflatingWebSocket
from longwave.server.state import Worker
from longwave.server.websocket import WebSocketConnection
from longwave.types import Piece, SendStatus, Wire

__all__ = ["DeflatedConnection", "TakeoverConnection", "make_websocket"]


def make_websocket(worker: Worker, reply: UpgradeReply, agreed: Agreement | None) -> WebSocketConnection:
    """Return the connection of an accepted WebSocket."""
    if agreed is None or reply.compress is None:
        return WebSocketConnection(worker, reply.session, reply.policy)
    threshold = reply.compress.threshold
    if agreed.server_takeover:
        return TakeoverConnection(worker, reply, agreed, takeover_wire(threshold))
    return DeflatedConnection(worker, reply, agreed, deflate_wire(agreed.server_bits, threshold))


class DeflatedConnection(WebSocketConnection):
    """A WebSocket that compresses each message for itself.

    Its wire does it, once for all alike.
    """

    __slots__ = ("wire",)

    def __init__(self, worker: Worker, reply: UpgradeReply, agreed: Agreement, wire: Wire) -> None:
        super().__init__(worker, reply.session, reply.policy)
        self.wire = wire
        limits = worker.limits
        self._ws = InflatingWebSocket(
            limits.message, limits.fragments, agreed.client_bits, agreed.client_takeover
        )


class TakeoverConnection(DeflatedConnection):
    """A WebSocket whose messages refer to those before.

    They are compressed when they go to the network: what waits, waits as it is, so that a policy may drop it.
    """

    __slots__ = ("_deflater",)

    def __init__(self, worker: Worker, reply: UpgradeReply, agreed: Agreement, wire: Wire) -> None:
        super().__init__(worker, reply, agreed, wire)
        self._deflater = Deflater(agreed.server_bits)

    def write(self, piece: Piece) -> SendStatus:
        """Send a piece, in order; never raises for the network."""
        if self._ready:
            self._transport.write(self._deflater.pack(piece))
            return SendStatus.SENT if self._ready else SendStatus.BUFFERED
        return self.write_late(piece)

    def _split(self, piece: Waiting) -> Sequence[Piece]:
        return piece.split()

    def _put(self, pieces: list[Piece]) -> None:
        self._transport.write(b"".join([self._deflater.pack(piece) for piece in pieces]))
