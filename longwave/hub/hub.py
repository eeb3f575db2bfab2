"""The hub of one worker: an index of subscribers by topic and namespace, and one log per turn of the loop.

A publication is appended to the log; `flush`, once per turn, joins the frames of the log once per wire and
hands every subscriber the same bytes. A subscriber whose stream differs carries marks (`Log.marks`).
Membership is that of the moment of `publish`: whatever changes it on a topic of the log flushes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import NoneType
from typing import Any, TypeAlias

from longwave.errors import LimitError
from longwave.hub.drivers import Backplane, Envelope, OnError
from longwave.hub.outgoing import Channel, Log, Outgoing, Subscriber
from longwave.limits import Limits
from longwave.types import Piece, Wire

__all__ = ["Hub"]

LOG_BYTES = 1024 * 1024
"""Payload bytes of one turn's log; past it the log is flushed within the turn.

At most half of what may wait for a receiver: one with room takes a whole log and stays within its bound.
"""
SLICE = 1000
"""Receivers that are written to in one turn: about 10 ms at 10 us a write."""
BATCHES = 4
"""Batches that may wait to be written before publishers are asked to slow down."""
MOST_BATCHES = 16
"""Batches that may wait at all; past it the oldest is written within the turn."""

Plan: TypeAlias = dict[Subscriber, tuple[Piece, int]]
"""What each receiver of a log gets, and how many entries of the log that is."""


class Hub:
    """Hands each publication to each subscriber of its topic, once and in order.

    `schedule(callback)` runs a callback at the next turn of the loop. `on_error(error, stage)` hears of
    what went wrong in a driver ("publish", "subscribe") or in a subscriber ("delivery").
    """

    def __init__(
        self,
        schedule: Callable[[Callable[[], None]], object],
        on_error: OnError,
        *,
        limits: Limits | None = None,
        backplane: Backplane | None = None,
        node: str = "",
    ) -> None:
        self._schedule = schedule
        self._on_error = on_error
        self._limits = limits or Limits()
        self._backplane = backplane
        self._node = node
        self._topics: dict[str, dict[str | None, Channel]] = {}
        self._log = Log()
        self._most_bytes = min(LOG_BYTES, self._limits.outgoing // 2)
        self._batches: deque[Plan] = deque()
        self._unfinished: list[Callable[[], None]] = []
        self._waiting: dict[Callable[[], None], None] = {}
        self.pending = False
        """Whether anything published is not yet written to all its receivers."""
        self.published = self.deliveries = self.failures = self.ignored = self.malformed = 0
        self.flushes = self.sliced = 0
        self.passed = {"limits.topics_per_peer": 0, "limits.topic_length": 0}

    # Called by peers, streams and the application.

    def subscribe(
        self, subscriber: Subscriber, topic: str, namespace: str | None = None
    ) -> Awaitable[None] | None:
        """Add a subscriber to a topic; what was published before does not reach it.

        Returns what a backplane says: an awaitable that is done when every node delivers here. Raises
        `ValueError` for an impossible topic and `LimitError` past `limits.topics_per_peer`.
        """
        self.check(topic)
        channels = self._topics.get(topic)
        channel = channels.get(namespace) if channels is not None else None
        if channel is not None and subscriber in channel.subscribers:
            return self._watch(topic)
        if len(subscriber.channels) >= self._limits.topics_per_peer:
            self.passed["limits.topics_per_peer"] += 1
            raise LimitError(
                f"a subscriber may listen to {self._limits.topics_per_peer} topics (limits.topics_per_peer)"
            )
        if channels is None:
            channels = self._topics[topic] = {}
        if channel is None:
            channel = channels[namespace] = Channel(topic, namespace)
        elif channel in self._log.touched:
            self._settle()
        channel.subscribers[subscriber] = None
        subscriber.channels = (*subscriber.channels, channel)
        return self._watch(topic)

    def unsubscribe(self, subscriber: Subscriber, topic: str, namespace: str | None = None) -> None:
        """Take a subscriber out of a topic; what was published before still reaches it."""
        channel = self._topics.get(topic, {}).get(namespace)
        if channel is None or subscriber not in channel.subscribers:
            return
        if channel in self._log.touched:
            self._settle()
        self._remove(subscriber, channel)
        subscriber.channels = tuple(other for other in subscriber.channels if other is not channel)

    def leave(self, subscriber: Subscriber) -> None:
        """Take a subscriber whose link is gone out of everything."""
        self._log.marks.pop(subscriber, None)
        for batch in self._batches:
            batch.pop(subscriber, None)
        for channel in subscriber.channels:
            self._remove(subscriber, channel)
        subscriber.channels = ()

    def publish(
        self,
        topic: str,
        payload: bytes,
        is_text: bool,
        namespace: str | None = None,
        exclude: Subscriber | None = None,
        compress: bool | None = None,
    ) -> None:
        """Publish to the subscribers of a topic, here and on other nodes.

        In one namespace, or (None) in all. `compress` is for wires that can.
        """
        self.check(topic)
        self.published += 1
        self._append(Outgoing(topic, payload, is_text, None, compress), namespace, exclude)
        if self._backplane is not None:
            try:
                envelope = Envelope(self._node, topic, payload, is_text, namespace, compress=compress)
                self._backplane.publish(envelope)
            except Exception as error:
                self._on_error(error, "publish")

    def received(self, envelope: Envelope) -> None:
        """Deliver what another node published; called by the backplane.

        An echo of this node's own and what is malformed are counted and left out.
        """
        if envelope.node == self._node:
            self.ignored += 1
            return
        if not _is_sound(envelope):
            self.malformed += 1
            return
        outgoing = Outgoing(
            envelope.topic, envelope.payload, envelope.is_text, envelope.position, envelope.compress
        )
        self._append(outgoing, envelope.namespace, None)

    def hold(self, subscriber: Subscriber, piece: Piece) -> bool:
        """Keep a private piece in its place behind what is pending for a subscriber.

        False says that nothing is pending for it: write the piece at once.
        """
        if self._batches or self._unfinished:
            self._catch_up(subscriber)
        log = self._log
        if not log.entries or not log.touches(subscriber):
            return False
        log.mark(subscriber, piece)
        log.size += subscriber.wire.size(piece)
        if log.size > self._most_bytes:
            self._settle()
        return True

    def settle(self, subscriber: Subscriber) -> None:
        """Write everything that is pending for a subscriber now, as before a close."""
        if self._log.entries and self._log.touches(subscriber):
            self._settle()
        if self._batches or self._unfinished:
            self._catch_up(subscriber)

    @property
    def behind(self) -> bool:
        """Whether so much is waiting to be written that publishers should slow down."""
        return len(self._batches) >= BATCHES

    def when_caught_up(self, callback: Callable[[], None]) -> None:
        """Call back once, when everything settled so far has been written.

        In a later turn of the loop.
        """
        if self._batches:
            self._waiting[callback] = None
        else:
            self._schedule(callback)

    def check(self, topic: str) -> None:
        """Raise `TypeError` or `ValueError` for what cannot be a topic."""
        if topic.__class__ is not str and not isinstance(topic, str):
            raise TypeError(f"a topic is a str, not {type(topic).__name__}")
        if not 0 < len(topic) <= self._limits.topic_length:
            self.passed["limits.topic_length"] += 1
            raise ValueError(
                f"a topic has 1 to {self._limits.topic_length} characters (limits.topic_length), "
                f"this one has {len(topic)}"
            )

    def listeners(self, topic: str, namespace: str | None = None) -> int:
        """Return how many subscribers a publication would reach in this worker."""
        return sum(len(channel.subscribers) for channel in self._targets(topic, namespace))

    def namespaces(self, topic: str) -> list[str | None]:
        """Return the namespaces in which a topic has subscribers; None stands for "any"."""
        return list(self._topics.get(topic, ()))

    @property
    def topics(self) -> list[str]:
        """The topics that have subscribers in this worker."""
        return list(self._topics)

    @property
    def channels(self) -> Iterator[Channel]:
        """Every topic in each namespace that has subscribers in this worker."""
        return (channel for channels in self._topics.values() for channel in channels.values())

    def tap(self, told: Callable[[Outgoing, str | None, list[Channel]], None] | None) -> None:
        """Tell of each publication, its namespace and whom it goes to; None ends that.

        One can listen, and must not raise. Nobody pays for it while there is none.
        """
        self.__dict__.pop("_append", None)
        if told is None:
            return
        append = self._append

        def tapped(outgoing: Outgoing, namespace: str | None, exclude: Subscriber | None) -> None:
            told(outgoing, namespace, self._targets(outgoing.topic, namespace))
            append(outgoing, namespace, exclude)

        self._append = tapped  # type: ignore[method-assign]

    def stats(self) -> dict[str, int]:
        """Return the hub's counters."""
        return {
            "topics": len(self._topics),
            "published": self.published,
            "deliveries": self.deliveries,
            "delivery_failures": self.failures,
            "envelopes_ignored": self.ignored,
            "envelopes_malformed": self.malformed,
            "flushes": self.flushes,
            "sliced": self.sliced,
            "waiting_batches": len(self._batches),
            **self.passed,
        }

    def flush(self) -> None:
        """Write the log to its receivers; runs once per turn of the loop."""
        if self._batches:
            return
        if self._log.entries:
            self._settle()
        # A delivery may have published: then the log is that of another flush.
        self.pending = bool(self._batches or self._log.entries)

    # Below: how it is done.

    def _append(self, outgoing: Outgoing, namespace: str | None, exclude: Subscriber | None) -> None:
        channels = self._targets(outgoing.topic, namespace)
        if not channels:
            return
        log = self._log
        if not log.entries:
            self._schedule(self.flush)
            self.pending = True
        index = len(log.entries)
        touched = log.touched
        for channel in channels:
            if channel in touched:
                touched[channel].append(index)
            else:
                touched[channel] = [index]
        if exclude is not None and any(exclude in channel.subscribers for channel in channels):
            log.leave_out(exclude, outgoing)
        log.entries.append(outgoing)
        log.size += len(outgoing.payload)
        if log.size > self._most_bytes:
            self._settle()

    def _targets(self, topic: str, namespace: str | None) -> list[Channel]:
        channels = self._topics.get(topic)
        if channels is None:
            return []
        if namespace is None:
            return list(channels.values())
        if len(channels) == 1:
            ((only, channel),) = channels.items()
            return [channel] if only is None or only == namespace else []
        found = (channels.get(namespace), channels.get(None))
        return [channel for channel in found if channel is not None]

    def _settle(self) -> None:
        """Turn the log into writes: at once for few receivers, sliced over turns for many."""
        log, self._log = self._log, Log()
        self.flushes += 1
        self._finish()
        if len(log.touched) == 1:
            ((channel, _),) = log.touched.items()
            receivers = dict(channel.subscribers)
            if not self._batches and len(receivers) <= SLICE:
                self._write_one_channel(log, receivers)
                return
            plan = self._plan(log, dict.fromkeys(receivers, (channel,)))
        else:
            plan = self._plan(log, log.listeners())
        if not self._batches and len(plan) <= SLICE:
            self._write(plan.items())
            return
        if not self._batches:
            self._schedule(self._write_slice)
        self._batches.append(plan)
        self.pending = True
        if len(self._batches) > MOST_BATCHES:
            # Somebody publishes without a pause, and nobody can make them wait: the loop has to.
            self._write(self._batches.popleft().items())

    def _write_one_channel(self, log: Log, receivers: dict[Subscriber, None]) -> None:
        size = len(log.entries)
        plan: Plan = {}
        for subscriber, marks in log.marks.items():
            receivers.pop(subscriber, None)
            try:
                found = log.private_piece(subscriber.wire, range(size), marks)
            except Exception as error:
                self._failed(error)
                continue
            if found is not None:
                plan[subscriber] = found
        self.deliveries += len(receivers) * size
        remaining = iter(receivers)
        self._unfinished.append(lambda: self._write_all(log, remaining, size))
        try:
            if plan:
                self._write(plan.items())
            self._write_all(log, remaining, size)
        finally:
            self._unfinished.pop()

    def _write_all(self, log: Log, remaining: Iterator[Subscriber], size: int) -> None:
        """Deliver the whole log to each; a subscriber that fails does not stop the rest."""
        pieces: dict[Wire, Piece] = {}
        wire, piece = None, None
        while True:
            try:
                for subscriber in remaining:
                    if subscriber.wire is not wire:
                        new = subscriber.wire
                        if new not in pieces:
                            pieces[new] = log.piece_for(new)
                            self._report(log)
                        wire, piece = new, pieces[new]
                    subscriber.deliver(piece)
                return
            except Exception as error:
                self.deliveries -= size
                self._failed(error)

    def _plan(self, log: Log, listens: dict[Subscriber, tuple[Channel, ...]]) -> Plan:
        """Return what each of these gets of the log: its piece, and how many entries that is."""
        plan: Plan = {}
        shared: dict[Any, tuple[Piece, int]] = {}
        remaining = iter(listens.items())
        while True:
            try:
                for subscriber, channels in remaining:
                    marks = log.marks.get(subscriber)
                    if marks is not None:
                        found = log.private_piece(subscriber.wire, log.indices(channels), marks)
                        if found is not None:
                            plan[subscriber] = found
                        continue
                    key = (subscriber.wire, channels)
                    if key not in shared:
                        indices = log.indices(channels)
                        shared[key] = log.piece_for(subscriber.wire, indices), len(indices)
                    plan[subscriber] = shared[key]
                break
            except Exception as error:
                self._failed(error)
        self._report(log)
        return plan

    def _write(self, plan: Iterable[tuple[Subscriber, tuple[Piece, int]]]) -> None:
        """Deliver each piece; a subscriber that fails does not stop the rest."""
        remaining = iter(list(plan))
        self._unfinished.append(lambda: self._write_each(remaining))
        try:
            self._write_each(remaining)
        finally:
            self._unfinished.pop()

    def _write_each(self, remaining: Iterator[tuple[Subscriber, tuple[Piece, int]]]) -> None:
        while True:
            try:
                for subscriber, (piece, size) in remaining:
                    subscriber.deliver(piece)
                    self.deliveries += size
                return
            except Exception as error:
                self._failed(error)

    def _finish(self) -> None:
        """Finish what is being written, where a `deliver` came back to the hub: order is kept for all."""
        for go_on in self._unfinished[::-1]:
            go_on()

    def _write_slice(self) -> None:
        room = SLICE
        while room and self._batches:
            batch = self._batches[0]
            part = [batch.popitem() for _ in range(min(room, len(batch)))]
            room -= len(part)
            self._write(part)
            if not batch:
                self._batches.popleft()
        self.sliced += 1
        if self._batches:
            self._schedule(self._write_slice)
            return
        waiting, self._waiting = self._waiting, {}
        for callback in waiting:
            try:
                callback()
            except Exception as error:
                self._failed(error)
        self.flush()

    def _catch_up(self, subscriber: Subscriber) -> None:
        self._finish()
        for batch in self._batches:
            found = batch.pop(subscriber, None)
            if found is not None:
                self._write(((subscriber, found),))

    def _remove(self, subscriber: Subscriber, channel: Channel) -> None:
        channel.subscribers.pop(subscriber, None)
        if channel.subscribers:
            return
        channels = self._topics[channel.topic]
        channels.pop(channel.namespace, None)
        if not channels:
            del self._topics[channel.topic]
            if self._backplane is not None:
                self._backplane.unwatch(channel.topic)

    def _watch(self, topic: str) -> Awaitable[None] | None:
        if self._backplane is None:
            return None
        try:
            return self._backplane.watch(topic)
        except Exception as error:
            self._on_error(error, "subscribe")
            return None

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._on_error(error, "delivery")

    def _report(self, log: Log) -> None:
        """Tell of publications that a wire could not encode: they are lost for its receivers alone."""
        while log.errors:
            self._failed(log.errors.pop())


def _is_sound(envelope: Any) -> bool:
    """Whether an envelope holds what its fields say: a broker passes on what anybody sends."""
    payload = envelope.payload
    if not (
        isinstance(envelope.topic, str)
        and isinstance(payload, bytes)
        and isinstance(envelope.namespace, (str, NoneType))
        and isinstance(envelope.position, (str, NoneType))
        and isinstance(envelope.compress, (bool, NoneType))
    ):
        return False
    if envelope.is_text and not payload.isascii():
        try:
            # Browsers fail the whole connection upon a text that is not UTF-8 (RFC 6455 section 8.1).
            payload.decode()
        except UnicodeDecodeError:
            return False
    return True
