"""The inspector: whoever looks at its page, and what they are sent.

While nobody looks nothing runs: no timer, no tap on the hub, nobody who hears of requests.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from msgspec import structs

from longwave.app.app import App
from longwave.app.event import Event
from longwave.app.handlers import Plugin
from longwave.app.runtime import Timer
from longwave.app.service import ServiceSocket
from longwave.app.upgrade import read_protocols
from longwave.app.values import encode_json
from longwave.hub.outgoing import Channel, Outgoing
from longwave.inspector.access import Access
from longwave.inspector.activity import Activity, Happening
from longwave.inspector.looker import FULL, Kind, Looker
from longwave.inspector.pages import answer_page, asks_socket
from longwave.inspector.protocol import (
    PROTOCOL,
    Close,
    Publish,
    View,
    answer,
    happening_message,
    publication_message,
    read_command,
)
from longwave.inspector.records import ErrorRecords
from longwave.inspector.rows import connection_rows, topic_rows
from longwave.inspector.tally import Tally
from longwave.routing.table import Match

__all__ = ["Inspector"]

error_log = logging.getLogger("longwave.error")

BEAT = 0.1
"""Seconds between two looks at how late the loop is, while somebody looks."""
STATE = 1.0
SHARE = 20
"""A state that took so long is followed by another one after so many times that: at most 5 % of the loop."""
KEPT = 100
"""Errors, and reloads, that are kept for who looks later."""


class Inspector:
    """The inspector of one application, whose activity an `Observed` fills in.

    It takes its place in the application before that starts.
    """

    def __init__(
        self, app: App, activity: Activity, access: Access, *, mode: str = "", root: Path | None = None
    ) -> None:
        self._app = app
        self._activity = activity
        self._access = access
        self._mode = mode
        self._root = root
        self._began = time.monotonic()
        self._lookers: dict[ServiceSocket, Looker] = {}
        self._errors: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._reloads: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0
        self._unfollow = _nothing
        self._timer: Timer | None = None
        self._due = self._turns = 0.0
        self._lag = 0.0
        self._tally: Tally | None = None
        app.add_claim(self.claim)
        app.add_plugin(Plugin(self._run, "inspector"))

    def claim(self, event: Event, match: Match[Any] | None) -> Any:
        """Answer what is for the inspector, or return None; raises `HTTPError`."""
        if not event.path.startswith("/_longwave"):
            return None
        if not event.is_upgrade:
            return answer_page(event, self._access)
        if not asks_socket(event, read_protocols(event)):
            return None
        self._access.check_socket(event)
        socket = ServiceSocket("the inspector", opened=self._opened, told=self._told, gone=self._gone)
        return socket.accept(PROTOCOL)

    def reloaded(self, news: Mapping[str, Any]) -> None:
        """Tell of what became of changed files; `type` of the news is their `kind` here."""
        self._count += 1
        fields = {name: value for name, value in news.items() if name != "type"}
        message = {**fields, "type": "reload", "kind": news["type"], "id": self._count, "at": time.time()}
        self._reloads.append(message)
        if self._lookers:
            self._tell("record", {**message, "routes_now": self._routes()})

    async def _run(self, app: App) -> AsyncIterator[None]:
        loop = app.runtime.loop

        def tell(found: dict[str, Any]) -> None:
            # From whichever thread; what is logged after the end is nobody's.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._failed, found)

        records = ErrorRecords(self._root, tell)
        error_log.addHandler(records)
        try:
            yield
        finally:
            error_log.removeHandler(records)
            for looker in list(self._lookers.values()):
                looker.socket.close(GOING_AWAY)
                self._gone(looker.socket)

    def _failed(self, found: dict[str, Any]) -> None:
        self._count += 1
        message = {**found, "id": self._count}
        self._errors.append(message)
        self._tell("record", message)

    def _tell(self, kind: Kind, message: dict[str, Any]) -> None:
        """Send a message to all who look and have room for it."""
        if self._lookers:
            payload = encode_json(message)
            for looker in self._lookers.values():
                if looker.takes(kind):
                    looker.send(kind, payload)

    # Whoever looks.

    def _opened(self, socket: ServiceSocket) -> None:
        now = self._app.runtime.clock.now()
        if not self._lookers:
            self._unfollow = self._activity.subscribe(self._happened)
            self._due, self._turns, self._lag = now + BEAT, now, 0.0
            self._timer = self._app.runtime.call_later(BEAT, self._beat)
        full = min(FULL, self._app.limits.outgoing // 4)
        socket.send(self._hello())
        for kept in (self._errors, self._reloads):
            for payload in _newest(kept, full):
                socket.send_text(payload)
        self._lookers[socket] = Looker(socket, now, full)

    def _gone(self, socket: ServiceSocket) -> None:
        if self._lookers.pop(socket, None) is None:
            return
        self._follow_hub()
        if not self._lookers:
            self._unfollow()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _told(self, socket: ServiceSocket, message: dict[str, Any]) -> None:
        looker = self._lookers.get(socket)
        if looker is None:
            return
        try:
            command = read_command(message)
            if isinstance(command, View):
                looker.view = command
                looker.due = 0.0
                self._follow_hub()
                return
            self._do(command)
        except Exception as error:
            socket.send(answer(message, error))
            return
        socket.send(answer(message))

    def _do(self, command: Publish | Close) -> None:
        if isinstance(command, Publish):
            self._app.publish(command.topic, command.data, namespace=command.namespace)
            return
        connection = self._activity.connections.get(command.id)
        if connection is None:
            raise ValueError("there is no such connection: it has ended")
        connection.close(command.code)

    # What they are sent.

    def _happened(self, happening: Happening) -> None:
        self._tell("happening", happening_message(happening))

    def _follow_hub(self) -> None:
        """Count and show publications while somebody wants to see topics, and no longer."""
        views = [looker.view for looker in self._lookers.values()]
        wanted = any(view.topics is not None or view.tail is not None for view in views)
        if wanted == (self._tally is not None):
            return
        runtime = self._app.runtime
        self._tally = Tally(runtime.clock.now()) if wanted else None
        runtime.hub.tap(self._published if wanted else None)

    def _published(self, outgoing: Outgoing, namespace: str | None, channels: list[Channel]) -> None:
        if self._tally is not None:
            self._tally.add(channels)
        payload = None
        for looker in self._lookers.values():
            if looker.follows(outgoing.topic) and looker.takes("publication"):
                if payload is None:
                    subscribers = sum(len(channel.subscribers) for channel in channels)
                    payload = encode_json(publication_message(outgoing, namespace, subscribers))
                looker.send("publication", payload)

    def _beat(self) -> None:
        runtime = self._app.runtime
        now = runtime.clock.now()
        self._timer = runtime.call_later(BEAT, self._beat)
        self._lag = max(self._lag, now - self._due)
        self._due = now + BEAT
        if self._tally is not None and now - self._turns >= STATE - BEAT / 2:
            self._tally.turn(now)
            self._turns = now
        due = [looker for looker in self._lookers.values() if looker.due <= now]
        if not due:
            return
        common = self._common()
        for looker in due:
            if looker.is_behind:
                continue
            began = time.perf_counter()
            looker.send_state(self._state(looker, common))
            # Half a beat less: a beat that is late by next to nothing is still the one.
            looker.due = now - BEAT / 2 + max(STATE, SHARE * (time.perf_counter() - began))
        self._lag = 0.0

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "version": metadata.version("longwave"),
            "mode": self._mode,
            "node": self._app.node,
            "uptime": time.monotonic() - self._began,
            "features": ["websocket"] if self._app.websocket else [],
            "routes": self._routes(),
        }

    def _routes(self) -> list[dict[str, Any]]:
        return [structs.asdict(route) for route in self._app.routes()]

    def _common(self) -> dict[str, Any]:
        """Return what is the same in the states of all."""
        app = self._app
        limits = {f"limits.{name}": value for name, value in structs.asdict(app.limits).items()}
        timeouts = {f"timeouts.{name}": value for name, value in structs.asdict(app.timeouts).items()}
        return {
            "type": "state",
            "at": time.time(),
            "counters": app.stats(),
            "limits": limits | timeouts,
            "loop_lag_ms": round(self._lag * 1000, 1),
        }

    def _state(self, looker: Looker, common: dict[str, Any]) -> dict[str, Any]:
        connections = self._activity.connections
        view = looker.view
        matching: int = 0
        rows: list[dict[str, Any]] = []
        if view.connections is not None:
            matching, rows = connection_rows(connections, view.connections)
        topics = []
        if view.topics is not None and self._tally is not None:
            topics = topic_rows(self._app.runtime.hub.channels, view.topics, self._tally)
        return {
            **common,
            "dropped": looker.take_dropped(),
            "connections": {"total": len(connections), "matching": matching, "rows": rows},
            "topics": {"total": common["counters"]["topics"], "rows": topics},
        }


def _newest(kept: Iterable[dict[str, Any]], most: int) -> list[bytes]:
    """Return the newest of some messages, in order, of so many bytes at most."""
    payloads: list[bytes] = []
    for message in reversed(list(kept)):
        payload = encode_json(message)
        most -= len(payload)
        if most < 0:
            break
        payloads.append(payload)
    return payloads[::-1]


def _nothing() -> None:
    """Stands for the end of what was not begun."""


GOING_AWAY = 1001
