"""Every limit and time-out, with its default; the settings `limits.*` and `timeouts.*`."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

__all__ = ["COUNTERS", "Limits", "Timeouts"]

KIB = 1024
MIB = 1024 * KIB


class Limits(Struct, frozen=True):
    """Bounds in bytes or counts.

    What happens when one is passed stands in docs/reference/limits.md.
    """

    request_line: int = 8 * KIB
    """Bytes of the request line; past it 414. nginx: 8 KiB."""
    headers: int = 16 * KIB
    """Bytes of the header block; past it 431. Node.js: 16 KiB."""
    header_count: int = 100
    """Header fields; past it 431. uWebSockets: 100."""
    body: int = MIB
    """Bytes of a request body; past it 413. nginx: 1 MiB."""
    pipeline: int = 16
    """Requests that may wait behind the one being answered; past it reading pauses."""
    connections: int = 0
    """Connections of one worker; past it 503. 0 is the file limit less 100."""
    connections_per_address: int = 0
    """Connections of one client address; past it 429. 0 is off."""
    messages_per_turn: int = 256
    """WebSocket messages of one connection that are handled before others get their turn."""
    message: int = MIB
    """Bytes of a WebSocket message; past it 1009. websockets: 1 MiB."""
    fragments: int = 4096
    """Frames of a WebSocket message; past it 1008. websockets: 4096."""
    outgoing: int = MIB
    """Bytes waiting for one peer or stream; past it the policy for slow clients. Centrifugo: 1 MiB."""
    outgoing_total: int = 1024 * MIB
    """Bytes waiting for all peers and streams of a worker; past it the largest are over their bound."""
    backplane: int = 16 * MIB
    """Bytes waiting for one other worker; past it publications are dropped for that one."""
    unfinished_total: int = 256 * MIB
    """Bytes of all unfinished WebSocket messages of a worker; past it 1009 for the largest."""
    waiting_messages: int = 64
    """Messages that wait for an asynchronous hook of one peer; past it reading pauses."""
    message_rate: int = 0
    """WebSocket messages per second of one peer (token bucket); past it 1008. 0 is off."""
    topics_per_peer: int = 1024
    """Topics of one peer or stream; past it `LimitError` at subscribe."""
    topic_length: int = 256
    """Characters of a topic; past it `ValueError`. Centrifugo: 255."""


class Timeouts(Struct, frozen=True):
    """Time limits in seconds."""

    header: float = 10.0
    """To the first byte of a connection, and from it to a complete header block; past it 408."""
    body: float = 20.0
    """Between two reads of a request body; past it 408."""
    keep_alive: float = 75.0
    """Idle between two requests; past it the connection closes. nginx: 75 s."""
    response: float = 30.0
    """A client takes no byte of a response; past it the connection is cut. nginx: send_timeout."""
    turn: float = 0.005
    """Work of one connection before others get their turn."""
    upgrade: float = 10.0
    """For the `upgrade` hook and everything before it; past it 503."""
    ping: float = 20.0
    """Silence of a WebSocket client before it is pinged. 0 is off. uvicorn: 20 s."""
    pong: float = 10.0
    """For any byte after the ping; past it the connection is cut with 1006."""
    close: float = 5.0
    """For the answer to our close frame, and for a hook that still runs when its peer went away."""
    shutdown: float = 25.0
    """For everything to end after SIGTERM; past it everything is cut. Kubernetes kills at 30 s."""
    heartbeat: float = 15.0
    """Silence of an event stream before a comment is sent. 0 is off. WHATWG HTML: 15 s."""


COUNTERS: Final = tuple(
    f"{section}.{name}"
    for section, kind in (("limits", Limits), ("timeouts", Timeouts))
    for name in kind.__struct_fields__
)
"""The names of all limits and time-outs, under which it is counted how often each was passed."""
