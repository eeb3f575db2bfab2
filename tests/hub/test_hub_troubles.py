"""The hub when something under it fails, comes back to it, or does not keep up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from longwave.errors import LimitError
from longwave.hub import hub as hub_module
from longwave.hub.drivers import Deliver, Envelope
from longwave.hub.hub import Hub
from longwave.limits import Limits
from longwave.types import Publication
from tests.hub.fakes import FakeSubscriber, FakeWire, Turns

Errors = list[tuple[BaseException, str]]


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def errors() -> Errors:
    return []


@pytest.fixture
def hub(turns: Turns, errors: Errors) -> Hub:
    return Hub(turns.schedule, lambda error, stage: errors.append((error, stage)))


class PickyWire(FakeWire):
    """A wire that cannot encode one payload, or join anything."""

    def __init__(self, name: str, bad: bytes = b"bad", joins: bool = True) -> None:
        super().__init__(name)
        self.bad = bad
        self.joins = joins

    def encode(self, outgoing: Publication) -> list[str]:
        if outgoing.payload == self.bad:
            raise ValueError("this wire cannot carry it")
        return super().encode(outgoing)

    def join(self, pieces: Any) -> list[str]:
        if not self.joins:
            raise RuntimeError("no joining")
        return super().join(pieces)


class Reacting(FakeSubscriber):
    """A subscriber that does something to the hub in the middle of a delivery."""

    def __init__(self, wire: FakeWire, hub: Hub, react: Callable[[], object] | None = None) -> None:
        super().__init__(wire, hub)
        self.react = react

    def deliver(self, piece: list[str]) -> None:
        super().deliver(piece)
        react, self.react = self.react, None
        if react is not None:
            react()


@pytest.mark.parametrize("slice_size", [1000, 1])
@pytest.mark.parametrize("topics", [("t",), ("t", "u")])
def test_a_wire_that_cannot_encode_loses_that_entry_for_itself_alone(
    hub: Hub,
    turns: Turns,
    errors: Errors,
    topics: tuple[str, ...],
    slice_size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "SLICE", slice_size)
    good, picky = FakeWire("g"), PickyWire("p")
    # The picky ones stand among the others: what was joined for one wire is never given to another.
    peers = [FakeSubscriber(picky if i % 3 else good, hub) for i in range(6)]
    for peer in peers:
        for topic in topics:
            hub.subscribe(peer, topic, "/n")
    for payload in (b"1", b"bad", b"2"):
        for topic in topics:
            hub.publish(topic, payload, True, "/n")
    peers[1].send("own")
    turns.run()
    assert not hub.pending
    times = len(topics)
    for peer in peers:
        name = peer.wire.name
        expected = ["1", "bad", "2"] if name == "g" else ["1", "2"]
        own = ["own"] if peer is peers[1] else []
        assert peer.got == [f"{name}:{text}" for text in expected for _ in range(times)] + [
            f"{name}:{text}" for text in own
        ]
    assert [stage for _, stage in errors] == ["delivery"] * times
    hub.publish("t", b"3", True, "/n")
    turns.run()
    assert all(peer.got[-1] == f"{peer.wire.name}:3" for peer in peers)


def test_a_wire_that_cannot_join_hinders_no_other(hub: Hub, turns: Turns, errors: Errors) -> None:
    good, bad = FakeWire("g"), PickyWire("b", joins=False)
    peers = [FakeSubscriber(bad if i in (1, 2) else good, hub) for i in range(4)]
    for peer in peers:
        hub.subscribe(peer, "t", "/n")
    for payload in (b"1", b"2"):
        hub.publish("t", payload, True, "/n")
    peers[2].send("own")
    turns.run()
    assert [peer.got for peer in peers] == [["g:1", "g:2"], [], [], ["g:1", "g:2"]]
    assert len(errors) == 2 and not hub.pending


def test_each_wire_joins_once_however_its_receivers_are_mixed(hub: Hub, turns: Turns) -> None:
    wires = [FakeWire("a"), FakeWire("b")]
    peers = [FakeSubscriber(wires[i % 2], hub) for i in range(6)]
    for peer in peers:
        hub.subscribe(peer, "t")
    hub.publish("t", b"1", True)
    hub.publish("t", b"2", True)
    turns.run()
    assert [wire.joined for wire in wires] == [1, 1]
    assert peers[0].pieces[0] is peers[4].pieces[0]


def test_what_is_published_within_a_delivery_is_pending_until_it_is_written(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    first = Reacting(wire, hub, lambda: hub.publish("t", b"2", True))
    second = FakeSubscriber(wire, hub)
    for peer in (first, second):
        hub.subscribe(peer, "t")
    hub.publish("t", b"1", True)
    turns.turn()
    assert hub.pending
    second.send("own")
    turns.run()
    assert first.got == ["w:1", "w:2"]
    assert second.got == ["w:1", "w:2", "w:own"]
    assert not hub.pending


@pytest.mark.parametrize("topics", [("t",), ("t", "u")])
@pytest.mark.parametrize(
    "what", ["publish much", "subscribe", "unsubscribe", "leave", "settle", "send", "nothing"]
)
def test_a_delivery_that_comes_back_to_the_hub_breaks_no_order(
    hub: Hub,
    turns: Turns,
    errors: Errors,
    what: str,
    topics: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "LOG_BYTES", 100)
    wire = FakeWire("w")
    newcomer = FakeSubscriber(wire, hub)

    def react() -> None:
        hub.publish("t", b"2", True)
        if what == "publish much":
            hub.publish("t", b"x" * 101, True)
        elif what == "subscribe":
            hub.subscribe(newcomer, "t")
        elif what == "unsubscribe":
            hub.unsubscribe(last, "t")
        elif what == "leave":
            hub.leave(last)
        elif what == "settle":
            hub.settle(last)
            settled.extend(last.got)
        elif what == "send":
            last.send("own")

    settled: list[str] = []
    first, middle = Reacting(wire, hub, react), FakeSubscriber(wire, hub)
    last = FakeSubscriber(wire, hub)
    for peer in (first, middle, last):
        for topic in topics:
            hub.subscribe(peer, topic)
    for topic in topics:
        hub.publish(topic, b"1", True)
    turns.run()
    ones = ["w:1"] * len(topics)
    much = ["w:" + "x" * 101] if what == "publish much" else []
    assert first.got == middle.got == [*ones, "w:2", *much]
    if what == "leave":
        assert last.got in (ones, [])
    else:
        assert last.got == [*ones, "w:2", *much, *(["w:own"] if what == "send" else [])]
    if what == "settle":
        assert settled == [*ones, "w:2"]
    assert newcomer.got == []
    assert errors == [] and not hub.pending


def test_leaving_in_a_flush_and_being_delivered_to_is_no_failure(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    peers = [FakeSubscriber(wire, hub) for _ in range(3)]
    leaver = Reacting(wire, hub)
    leaver.react = lambda: hub.leave(leaver)
    for peer in (leaver, *peers):
        hub.subscribe(peer, "t")
    hub.publish("t", b"1", True)
    hub.publish("t", b"2", True)
    turns.run()
    assert [peer.got for peer in peers] == [["w:1", "w:2"]] * 3
    assert leaver.channels == () and hub.listeners("t") == 3


def test_unsubscribing_from_what_is_unknown_is_nothing(hub: Hub) -> None:
    peer = FakeSubscriber(FakeWire("w"), hub)
    hub.unsubscribe(peer, "t", "/n")
    hub.subscribe(peer, "t", "/n")
    hub.unsubscribe(peer, "t", "/other")
    hub.unsubscribe(FakeSubscriber(FakeWire("w"), hub), "t", "/n")
    hub.leave(FakeSubscriber(FakeWire("w"), hub))
    assert peer.channels[0].topic == "t" and hub.listeners("t", "/n") == 1
    hub.leave(peer)
    hub.leave(peer)
    assert hub.topics == []


def test_a_limit_that_is_reached_leaves_no_channel_behind(turns: Turns) -> None:
    backplane = SlowBackplane()
    hub = Hub(turns.schedule, ignore_error, limits=Limits(topics_per_peer=1), backplane=backplane, node="n")
    peer = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(peer, "a", "/n")
    for topic, namespace in (("b", "/n"), ("a", "/other"), ("a", None)):
        with pytest.raises(LimitError):
            hub.subscribe(peer, topic, namespace)
    assert hub.topics == ["a"] and hub.namespaces("a") == ["/n"]
    assert backplane.watched == ["a"]
    hub.leave(peer)
    assert hub.topics == [] and backplane.unwatched == ["a"]


class SlowBackplane:
    """Hands out a watch that is done when the test says so."""

    class Watch:
        def __await__(self) -> Generator[None, None, None]:
            yield

    def __init__(self) -> None:
        self.watched: list[str] = []
        self.unwatched: list[str] = []

    async def start(self, deliver: Deliver) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def publish(self, envelope: Envelope) -> None:
        pass

    def watch(self, topic: str) -> Awaitable[None]:
        self.watched.append(topic)
        return self.Watch()

    def unwatch(self, topic: str) -> None:
        self.unwatched.append(topic)


def test_every_subscriber_may_wait_until_all_nodes_deliver(turns: Turns) -> None:
    backplane = SlowBackplane()
    hub = Hub(turns.schedule, ignore_error, backplane=backplane, node="n")
    one, two = (FakeSubscriber(FakeWire("w"), hub) for _ in range(2))
    assert isinstance(hub.subscribe(one, "t"), SlowBackplane.Watch)
    assert isinstance(hub.subscribe(two, "t"), SlowBackplane.Watch)
    assert isinstance(hub.subscribe(two, "t"), SlowBackplane.Watch)
    hub.unsubscribe(one, "t")
    assert backplane.unwatched == []
    hub.unsubscribe(two, "t")
    assert backplane.unwatched == ["t"]


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope("o", 7, b"x", True),  # type: ignore[arg-type]
        Envelope("o", ["t"], b"x", True),  # type: ignore[arg-type]
        Envelope("o", "t", "x", True),  # type: ignore[arg-type]
        Envelope("o", "t", None, False),  # type: ignore[arg-type]
        Envelope("o", "t", b"x", True, ["/n"]),  # type: ignore[arg-type]
        Envelope("o", "t", b"x", True, None, None, 7),  # type: ignore[arg-type]
        Envelope("o", "t", b"\xff", True),
    ],
)
def test_malformed_envelopes_are_counted_and_ignored(
    hub: Hub, turns: Turns, errors: Errors, envelope: Envelope
) -> None:
    peer = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(peer, "t")
    hub.received(envelope)
    hub.received(Envelope("o", "t", "é".encode(), True))
    turns.run()
    assert peer.got == ["w:é"] and errors == []
    assert hub.stats()["envelopes_malformed"] == 1


def test_what_waits_to_catch_up_is_called_once_also_when_another_fails(
    hub: Hub, turns: Turns, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SLICE", 2)
    peers = [FakeSubscriber(FakeWire("w"), hub) for _ in range(5)]
    for peer in peers:
        hub.subscribe(peer, "t")
    called: list[str] = []

    def fail() -> None:
        raise RuntimeError("callback")

    def publish() -> None:
        called.append("publish")
        hub.publish("t", b"2", True)

    hub.publish("t", b"1", True)
    turns.turn()
    hub.publish("t", b"in between", True)
    for callback in (fail, publish, publish):
        hub.when_caught_up(callback)
    turns.run()
    assert called == ["publish"]
    assert all(peer.got == ["w:1", "w:in between", "w:2"] for peer in peers)
    assert [str(error) for error, _ in errors] == ["callback"] and not hub.pending
    hub.when_caught_up(lambda: called.append("nothing waited"))
    turns.run()
    assert called == ["publish", "nothing waited"]


def test_batches_are_bounded_whoever_publishes(
    hub: Hub, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SLICE", 2)
    monkeypatch.setattr(hub_module, "LOG_BYTES", 0)
    peers = [FakeSubscriber(FakeWire("w"), hub) for _ in range(3)]
    for peer in peers:
        hub.subscribe(peer, "t")
    count = hub_module.MOST_BATCHES + 5
    for i in range(count):
        hub.publish("t", str(i).encode(), True)
        assert hub.stats()["waiting_batches"] <= hub_module.MOST_BATCHES
    turns.run()
    assert all(peer.got == [f"w:{i}" for i in range(count)] for peer in peers)


@pytest.mark.parametrize("slice_size", [1000, 2])
@pytest.mark.parametrize("topics", [("t",), ("t", "u")])
def test_deliveries_count_publications_not_pieces(
    hub: Hub, turns: Turns, topics: tuple[str, ...], slice_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SLICE", slice_size)
    wire = FakeWire("w")
    peers = [FakeSubscriber(wire, hub) for _ in range(4)]
    for peer in peers:
        for topic in topics:
            hub.subscribe(peer, topic)
    for topic in topics:
        hub.publish(topic, b"1", True)
        hub.publish(topic, b"2", True, None, peers[0])
        hub.publish(topic, b"3", True)
    peers[0].send("own")
    peers[3].failing = True
    turns.run()
    got = [peer.got for peer in peers]
    assert [len(texts) for texts in got] == [2 * len(topics) + 1, 3 * len(topics), 3 * len(topics), 0]
    assert hub.stats()["deliveries"] == 8 * len(topics)
    assert hub.stats()["delivery_failures"] == 1
    assert hub.stats()["published"] == 3 * len(topics)


def test_a_loop_that_takes_nothing_leaves_the_hub_as_it_was(errors: Errors) -> None:
    def closed(callback: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    hub = Hub(closed, lambda error, stage: errors.append((error, stage)))
    peer = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(peer, "t")
    with pytest.raises(RuntimeError, match="closed"):
        hub.publish("t", b"1", True)
    assert not hub.pending
    assert not hub.hold(peer, ["x"])


def ignore_error(error: BaseException, stage: str) -> None:
    raise AssertionError(stage) from error
