"""What the inspector's page and the server say to each other: JSON objects on one WebSocket.

The WebSocket is `/_longwave/inspector`, its subprotocol `longwave-inspector`; `?token=` is what the page has
in `<meta name="longwave-token">` (`access.py` says who gets one). Times are seconds since 1970 (`at`,
`began`) or seconds; addresses are `host:port`.

The server says, first `hello`, then the errors and reloads of before, then what happens:

- `hello`: `version mode node uptime features routes`, each route with `method pattern kind source`
- `state`, about each second, and soon after a `view`: `at counters limits loop_lag_ms dropped connections
  topics`. `counters` are those of `App.stats`, `limits` the values of `limits.*` and `timeouts.*`.
  `loop_lag_ms` is the most that the loop was late since the last one. `dropped` is how many messages were
  left out since, because there were too many or they were not taken. `connections` has `total matching rows`,
  `topics` has `total rows`; `rows` are there where the view asks for them.
  A connection: `id kind method path route source address began age received received_bytes sent sent_bytes
  buffered topics namespace user protocol`. A topic: `topic namespace subscribers publications rate`, counted
  while somebody looks.
- `publication`, for the tail: `at namespace topic text|base64 size subscribers`; `size` is that of the whole,
  of which a part is shown. `subscribers` are those in this process
- `request`: `at method path status seconds address upgrade`
- `opened`: `at id kind method path address`; `closed`: the same with `code reason seconds received sent`
- `error`: `id at level where text file line code traceback`; `id` grows
- `reload`: `id at kind ...`, the rest as `longwave.dev.feed` has it; with `routes_now` when it is news
- `answer`: `to ok error`

The client says:

- `{"do": "view", "connections": {"filter", "sort", "limit"}, "topics": {"filter", "limit"}, "tail":
  {"topic"}}`: what it wants to see from now on. What is null or left out is not sent; a `tail` whose topic is
  null is that of all topics
- `{"do": "publish", "topic", "namespace", "data", "to"}`: as `App.publish`
- `{"do": "close", "id", "code", "to"}`: closes a connection

An answer has the `to` of what it answers, null where that said none; a view is answered where it cannot be.
"""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from longwave.contract import Address
from longwave.hub.outgoing import Outgoing
from longwave.inspector.activity import Closed, Connection, Happening, Requested

__all__ = [
    "MOST_ROWS",
    "PROTOCOL",
    "Close",
    "Command",
    "ConnectionsView",
    "Publish",
    "Sort",
    "TailView",
    "TopicsView",
    "View",
    "answer",
    "connection_row",
    "happening_message",
    "publication_message",
    "read_command",
    "shortened",
    "sound",
    "user_text",
]

PROTOCOL = "longwave-inspector"
MOST_ROWS = 500
MOST_TEXT = 4096
"""Characters of a publication that are shown."""
MOST_BYTES = 1024
MOST_ERROR = 300
MOST_USER = 120

Text = TypeVar("Text", str, str | None)
Sort: TypeAlias = Literal[
    "age", "received", "sent", "buffered", "kind", "path", "address", "topics", "user", "namespace"
]
Filter: TypeAlias = Annotated[str, Meta(max_length=200)]
Limit: TypeAlias = Annotated[int, Meta(ge=0, le=MOST_ROWS)]


class ConnectionsView(Struct, frozen=True):
    """Which connections are wanted.

    Each word of the filter is somewhere in what is shown of them.
    """

    filter: Filter = ""
    sort: Sort = "age"
    limit: Limit = 100


class TopicsView(Struct, frozen=True):
    """Which topics are wanted, those with the most publications first."""

    filter: Filter = ""
    limit: Limit = 100


class TailView(Struct, frozen=True):
    """The publications that are wanted, of one topic or of all."""

    topic: str | None = None


class View(Struct, frozen=True, tag_field="do", tag="view"):
    """What is wanted from now on."""

    connections: ConnectionsView | None = None
    topics: TopicsView | None = None
    tail: TailView | None = None


class Publish(Struct, frozen=True, tag_field="do", tag="publish"):
    """Publish something."""

    topic: str
    data: Any
    namespace: str | None = None


class Close(Struct, frozen=True, tag_field="do", tag="close"):
    """Close a connection."""

    id: str
    code: int = 1000


Command: TypeAlias = View | Publish | Close


def read_command(message: dict[str, Any]) -> Command:
    """Return what a client wants; raises `ValueError` that says what is wrong with it."""
    try:
        command: Command = msgspec.convert(message, Command)
    except msgspec.ValidationError as error:
        raise ValueError(shortened(str(error), MOST_ERROR)) from None
    return command


def answer(message: dict[str, Any], error: Exception | None = None) -> dict[str, Any]:
    """Return the answer to a message."""
    to = message.get("to")
    # JSON has longer numbers than can be sent back.
    known = to if isinstance(to, int) and abs(to) < 2**53 else None
    answered = {"type": "answer", "to": known, "ok": error is None}
    if error is not None:
        answered["error"] = shortened(str(error), MOST_ERROR)
    return answered


def connection_row(connection: Connection) -> dict[str, Any]:
    """Return what is shown of a connection."""
    return {
        "id": connection.id,
        "kind": connection.kind,
        "method": connection.method,
        "path": connection.path,
        "route": connection.route,
        "source": connection.source,
        "address": _address(connection.address),
        "began": connection.began,
        "age": connection.age,
        "received": connection.received,
        "received_bytes": connection.received_bytes,
        "sent": connection.sent,
        "sent_bytes": connection.sent_bytes,
        "buffered": connection.buffered,
        "topics": sorted({sound(topic) for topic, _ in connection.topics})[:MOST_ROWS],
        "namespace": sound(connection.namespace),
        "user": user_text(connection),
        "protocol": connection.protocol,
    }


def happening_message(happening: Happening) -> dict[str, Any]:
    """Return the message of what happened."""
    if isinstance(happening, Requested):
        return {
            "type": "request",
            "at": time.time(),
            "method": happening.method,
            "path": shortened(happening.path, MOST_ERROR),
            "status": happening.status,
            "seconds": happening.seconds,
            "address": _address(happening.address),
            "upgrade": happening.is_upgrade,
        }
    connection = happening.connection
    message = {
        "type": "opened",
        "at": time.time(),
        "id": connection.id,
        "kind": connection.kind,
        "method": connection.method,
        "path": shortened(connection.path, MOST_ERROR),
        "address": _address(connection.address),
    }
    if isinstance(happening, Closed):
        message |= {
            "type": "closed",
            "code": happening.code,
            "reason": happening.reason,
            "seconds": happening.seconds,
            "received": connection.received,
            "sent": connection.sent,
        }
    return message


def publication_message(outgoing: Outgoing, namespace: str | None, subscribers: int) -> dict[str, Any]:
    """Return the message of a publication, of which a part is shown."""
    message: dict[str, Any] = {
        "type": "publication",
        "at": time.time(),
        "namespace": sound(namespace),
        "topic": sound(outgoing.topic),
        "size": len(outgoing.payload),
        "subscribers": subscribers,
    }
    if outgoing.is_text:
        # A character that is cut in the middle is left out.
        message["text"] = outgoing.payload[:MOST_TEXT].decode(errors="ignore")
    else:
        message["base64"] = b64encode(outgoing.payload[:MOST_BYTES]).decode()
    return message


def user_text(connection: Connection) -> str | None:
    """Return how the user of a connection is shown."""
    user = connection.user
    if user is None:
        return None
    try:
        text = user if isinstance(user, str) else repr(user)
    except Exception as error:
        text = f"<{type(user).__name__}, whose repr raised {type(error).__name__}>"
    return shortened(text, MOST_USER)


def shortened(text: str, most: int) -> str:
    """Return a text of so many characters at most, which can be sent as JSON."""
    return sound(f"{text[:most]}…" if len(text) > most else text)


def sound(text: Text) -> Text:
    """Return a text, if any, without what JSON cannot carry: lone surrogates."""
    return text if text is None or text.isascii() else text.encode(errors="replace").decode()


def _address(address: Address | None) -> str | None:
    if address is None:
        return None
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
