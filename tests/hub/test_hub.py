from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.errors import LimitError
from longwave.hub import hub as hub_module
from longwave.hub.drivers import Deliver, Envelope
from longwave.hub.hub import Hub
from longwave.limits import Limits
from tests.hub.fakes import FakeBytesWire, FakeSubscriber, FakeWire, Turns

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


def test_one_turn_is_one_write_of_shared_pieces(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    peers = [FakeSubscriber(wire, hub) for _ in range(3)]
    for peer in peers:
        hub.subscribe(peer, "t", "/n")
    hub.publish("t", b"1", True, "/n")
    hub.publish("t", b"2", True, "/n")
    assert hub.stats()["flushes"] == 0
    turns.run()
    assert hub.stats()["flushes"] == 1
    assert [peer.pieces for peer in peers] == [[["w:1", "w:2"]]] * 3
    assert peers[0].pieces[0] is peers[1].pieces[0]
    assert (wire.encoded, wire.joined) == (2, 1)


def test_each_wire_encodes_once(hub: Hub, turns: Turns) -> None:
    wires = [FakeWire("a"), FakeWire("b")]
    for i in range(10):
        hub.subscribe(FakeSubscriber(wires[i % 2], hub), "t", "/n")
    hub.publish("t", b"1", True, "/n")
    turns.run()
    assert [wire.encoded for wire in wires] == [1, 1]


def test_the_publisher_is_left_out_and_its_own_messages_keep_their_place(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    me, other = FakeSubscriber(wire, hub), FakeSubscriber(wire, hub)
    for peer in (me, other):
        hub.subscribe(peer, "t", "/n")
    hub.publish("t", b"1", True, "/n")
    me.send("private")
    hub.publish("t", b"mine", True, "/n", me)
    hub.publish("t", b"2", True, "/n")
    turns.run()
    assert me.pieces == [["w:1", "w:private", "w:2"]]
    assert other.pieces == [["w:1", "w:mine", "w:2"]]


def test_a_send_with_nothing_pending_is_not_held(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    listener, stranger = FakeSubscriber(wire, hub), FakeSubscriber(wire, hub)
    hub.subscribe(listener, "t", "/n")
    hub.publish("t", b"1", True, "/n")
    assert not hub.hold(stranger, ["x"])
    assert hub.hold(listener, ["x"])


def test_membership_is_that_of_the_moment_of_publish(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    early, late, gone = (FakeSubscriber(wire, hub) for _ in range(3))
    hub.subscribe(early, "t", "/n")
    hub.subscribe(gone, "t", "/n")
    hub.publish("t", b"1", True, "/n")
    hub.subscribe(late, "t", "/n")
    hub.unsubscribe(gone, "t", "/n")
    hub.publish("t", b"2", True, "/n")
    turns.run()
    assert (early.got, late.got, gone.got) == (["w:1", "w:2"], ["w:2"], ["w:1"])


def test_namespaces_are_apart_and_global_reaches_all_once(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    here, there, everywhere = (FakeSubscriber(wire, hub) for _ in range(3))
    hub.subscribe(here, "t", "/a")
    hub.subscribe(there, "t", "/b")
    hub.subscribe(everywhere, "t")
    hub.subscribe(everywhere, "t", "/a")
    hub.publish("t", b"a", True, "/a")
    hub.publish("t", b"all", True)
    turns.run()
    assert here.got == ["w:a", "w:all"]
    assert there.got == ["w:all"]
    assert everywhere.got == ["w:a", "w:all"]


def test_one_failing_subscriber_stops_nobody(hub: Hub, turns: Turns, errors: Errors) -> None:
    wire = FakeWire("w")
    peers = [FakeSubscriber(wire, hub) for _ in range(4)]
    for peer in peers:
        hub.subscribe(peer, "t", "/n")
    peers[1].failing = True
    hub.publish("t", b"1", True, "/n")
    turns.run()
    assert [peer.got for peer in peers] == [["w:1"], [], ["w:1"], ["w:1"]]
    assert [stage for _, stage in errors] == ["delivery"]
    assert hub.stats()["delivery_failures"] == 1


def test_nothing_is_left_of_those_who_leave(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    peer = FakeSubscriber(wire, hub)
    for topic in ("a", "b"):
        hub.subscribe(peer, topic, "/n")
    hub.publish("a", b"1", True, "/n")
    peer.send("x")
    hub.leave(peer)
    assert peer.channels == ()
    assert hub.topics == []
    turns.run()
    ghost = weakref.ref(peer)
    del peer
    gc.collect()
    assert ghost() is None


def test_bad_topics_are_refused_at_the_call(hub: Hub) -> None:
    subscriber = FakeSubscriber(FakeWire("w"), hub)
    with pytest.raises(ValueError, match="1 to 256 characters"):
        hub.subscribe(subscriber, "x" * 257)
    with pytest.raises(ValueError, match="this one has 0"):
        hub.publish("", b"", True)
    with pytest.raises(TypeError, match="not int"):
        hub.publish(7, b"", True)  # type: ignore[arg-type]


def test_topics_per_subscriber_are_bounded(turns: Turns) -> None:
    hub = Hub(turns.schedule, lambda error, stage: None, limits=Limits(topics_per_peer=2))
    subscriber = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(subscriber, "a")
    hub.subscribe(subscriber, "b")
    hub.subscribe(subscriber, "b")
    with pytest.raises(LimitError, match="topics_per_peer"):
        hub.subscribe(subscriber, "c")
    assert hub.topics == ["a", "b"]


def test_a_log_over_its_bound_is_flushed_within_the_turn(hub: Hub) -> None:
    peer = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(peer, "t")
    # Half of what may wait for a receiver, so that one with room takes it and stays within its bound.
    for _ in range(3):
        hub.publish("t", b"x" * (Limits().outgoing // 4 + 1), True)
    assert len(peer.got) == 2


def test_many_receivers_are_written_to_over_several_turns(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    peers = [FakeSubscriber(wire, hub) for _ in range(hub_module.SLICE * 2 + 1)]
    for peer in peers:
        hub.subscribe(peer, "t")
    hub.publish("t", b"1", True)
    turns.turn()
    assert sum(len(peer.got) for peer in peers) == 0
    turns.turn()
    assert sum(len(peer.got) for peer in peers) == hub_module.SLICE
    hub.publish("t", b"2", True)
    unwritten = next(peer for peer in peers if not peer.got)
    unwritten.send("own")
    newcomer = FakeSubscriber(wire, hub)
    hub.subscribe(newcomer, "t")
    turns.run()
    assert all(peer.got == ["w:1", "w:2"] for peer in peers if peer is not unwritten)
    assert unwritten.got in (["w:1", "w:own", "w:2"], ["w:1", "w:2", "w:own"])
    assert newcomer.got == []
    assert not hub.pending


def test_publishers_hear_when_the_hub_has_caught_up(hub: Hub, turns: Turns) -> None:
    wire = FakeWire("w")
    for _ in range(hub_module.SLICE + 1):
        hub.subscribe(FakeSubscriber(wire, hub), "t")
    for i in range(hub_module.BATCHES):
        hub.publish("t", b"x" * (hub_module.LOG_BYTES + 1), True)
        assert hub.behind == (i == hub_module.BATCHES - 1)
    caught_up: list[bool] = []
    hub.when_caught_up(lambda: caught_up.append(hub.behind))
    turns.run()
    assert caught_up == [False]


class BrokenBackplane:
    def __init__(self) -> None:
        self.published: list[Envelope] = []
        self.watched: list[str] = []

    async def start(self, deliver: Deliver) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def publish(self, envelope: Envelope) -> None:
        self.published.append(envelope)
        raise ConnectionError("the broker is away")

    def watch(self, topic: str) -> None:
        self.watched.append(topic)
        raise ConnectionError("the broker is away")

    def unwatch(self, topic: str) -> None:
        self.watched.remove(topic)


def test_a_broken_backplane_never_reaches_the_publisher(turns: Turns, errors: Errors) -> None:
    backplane = BrokenBackplane()
    hub = Hub(
        turns.schedule,
        lambda error, stage: errors.append((error, stage)),
        backplane=backplane,  # type: ignore[arg-type]
        node="me",
    )
    peer = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(peer, "t", "/n")
    hub.publish("t", b"1", True, "/n")
    turns.run()
    assert peer.got == ["w:1"]
    assert [stage for _, stage in errors] == ["subscribe", "publish"]
    assert backplane.published == [Envelope("me", "t", b"1", True, "/n")]
    hub.leave(peer)
    assert backplane.watched == []


def test_what_other_nodes_publish_is_delivered_and_an_echo_is_not(hub: Hub, turns: Turns) -> None:
    peer = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(peer, "t", "/n")
    hub.received(Envelope("other", "t", b"1", True, "/n"))
    hub.received(Envelope("", "t", b"echo", True, "/n"))
    turns.run()
    assert peer.got == ["w:1"]
    assert hub.stats()["envelopes_ignored"] == 1


def test_a_speaker_who_is_sent_the_same_gets_the_piece_of_all(hub: Hub, turns: Turns) -> None:
    wire = FakeBytesWire("w")
    peers = [FakeSubscriber(wire, hub) for _ in range(3)]
    for peer in peers:
        hub.subscribe(peer, "t", "/n")
    hub.publish("t", b"0", True, "/n")
    send_and_publish(hub, peers[1], "t", "/n", "1")
    peers[2].send("2")
    hub.publish("t", b"another", True, "/n")
    # The same again, but not at once: it is the order that would differ.
    hub.publish("t", b"2", True, "/n", peers[2])
    turns.run()
    assert peers[0].got == peers[1].got == ["w:0", "w:1", "w:another", "w:2"]
    assert peers[1].pieces[0] is peers[0].pieces[0]
    assert peers[2].got == ["w:0", "w:1", "w:2", "w:another"]


# A naive hub that writes at once to every receiver: what each one must have got in the end.

# Few topics and namespaces, and most peers listen from the start: what is published is mostly heard.
PEERS = 3
NAMESPACES = ("/a", None)
ACTIONS = [
    "publish",
    "publish",
    "exclude",
    "echo",
    "send",
    "send",
    "subscribe",
    "unsubscribe",
    "leave",
    "settle",
    "turn",
]
Step = tuple[str, int, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.integers(0, PEERS - 1),
        st.integers(0, 1),
        st.integers(0, len(NAMESPACES) - 1),
    ),
    min_size=3,
    max_size=40,
)


class Naive:
    def __init__(self) -> None:
        self.got: list[list[str]] = [[] for _ in range(PEERS)]
        self.members: list[set[tuple[str, str | None]]] = [{("topic0", "/a")} for _ in range(PEERS)]

    def publish(self, topic: str, namespace: str | None, text: str, exclude: int | None) -> None:
        for i, member in enumerate(self.members):
            listens = any(t == topic and (namespace is None or n in (None, namespace)) for t, n in member)
            if listens and i != exclude:
                self.got[i].append(text)


@pytest.mark.parametrize("slice_size", [1000, 2])
@settings(max_examples=600, deadline=None)
@given(program=steps)
def test_order_is_that_of_the_program_whatever_the_mix(slice_size: int, program: list[Step]) -> None:
    before, hub_module.SLICE = hub_module.SLICE, slice_size
    try:
        run_both(program)
    finally:
        hub_module.SLICE = before


def run_both(program: list[Step]) -> None:
    turns = Turns()
    hub = Hub(turns.schedule, raise_error)
    wires = [FakeBytesWire("x"), FakeWire("y")]
    peers = [FakeSubscriber(wires[i % 2], hub) for i in range(PEERS)]
    for peer in peers:
        hub.subscribe(peer, "topic0", "/a")
    naive = Naive()
    actions: dict[str, Callable[[int, str, str | None, str], None]] = {
        "publish": lambda i, t, n, text: hub.publish(t, text.encode(), True, n),
        "exclude": lambda i, t, n, text: hub.publish(t, text.encode(), True, n, peers[i]),
        "echo": lambda i, t, n, text: send_and_publish(hub, peers[i], t, n, text),
        "send": lambda i, t, n, text: peers[i].send(text),
        "subscribe": lambda i, t, n, text: ignore(hub.subscribe(peers[i], t, n)),
        "unsubscribe": lambda i, t, n, text: hub.unsubscribe(peers[i], t, n),
        "leave": lambda i, t, n, text: settle_and_leave(hub, peers[i]),
        "settle": lambda i, t, n, text: hub.settle(peers[i]),
        "turn": lambda i, t, n, text: turns.turn(),
    }
    for number, (what, i, t, n) in enumerate(program):
        topic, namespace, text = f"topic{t}", NAMESPACES[n], str(number)
        actions[what](i, topic, namespace, text)
        if what in ("send", "echo"):
            naive.got[i].append(text)
        if what in ("publish", "exclude", "echo"):
            naive.publish(topic, namespace, text, None if what == "publish" else i)
        elif what == "subscribe":
            naive.members[i].add((topic, namespace))
        elif what == "unsubscribe":
            naive.members[i].discard((topic, namespace))
        elif what == "leave":
            naive.members[i].clear()
        elif what == "settle":
            assert [text.partition(":")[2] for text in peers[i].got] == naive.got[i]
    turns.run()
    assert [[text.partition(":")[2] for text in peer.got] for peer in peers] == naive.got
    assert all(text.startswith(f"{peer.wire.name}:") for peer in peers for text in peer.got)
    assert not hub.pending


def send_and_publish(hub: Hub, peer: FakeSubscriber, topic: str, namespace: str | None, text: str) -> None:
    """Do what a chat does that echoes: what the speaker gets is what the others get."""
    peer.send(text)
    hub.publish(topic, text.encode(), True, namespace, peer)


def settle_and_leave(hub: Hub, peer: FakeSubscriber) -> None:
    hub.settle(peer)
    hub.leave(peer)


def ignore(_: object) -> None:
    pass


def raise_error(error: BaseException, stage: str) -> None:
    raise error
