"""Who listens to every publication, and that nobody pays for it otherwise."""

from __future__ import annotations

from typing import Any

from longwave.hub.drivers import Envelope
from longwave.hub.hub import Hub
from longwave.hub.outgoing import Channel, Outgoing
from tests.hub.fakes import FakeSubscriber, FakeWire, Turns


def made() -> tuple[Hub, Turns, FakeSubscriber]:
    turns = Turns()
    hub = Hub(turns.schedule, lambda error, stage: None, node="here")
    subscriber = FakeSubscriber(FakeWire("w"), hub)
    hub.subscribe(subscriber, "t", "/a")
    return hub, turns, subscriber


def test_each_publication_is_told_once_from_wherever_it_comes() -> None:
    hub, turns, subscriber = made()
    told: list[Any] = []

    def tell(outgoing: Outgoing, namespace: str | None, channels: list[Channel]) -> None:
        told.append(
            (outgoing.topic, outgoing.payload, namespace, [channel.namespace for channel in channels])
        )

    hub.tap(tell)
    hub.publish("t", b"1", True)
    hub.publish("t", b"2", True, "/b")
    hub.received(Envelope("there", "t", b"3", True, "/a"))
    hub.received(Envelope("here", "t", b"4", True, "/a"))
    turns.run()
    assert told == [("t", b"1", None, ["/a"]), ("t", b"2", "/b", []), ("t", b"3", "/a", ["/a"])]
    assert subscriber.got == ["w:1", "w:3"]
    hub.tap(tell)
    hub.publish("t", b"5", True)
    assert len(told) == 4
    hub.tap(None)
    hub.publish("t", b"6", True)
    turns.run()
    assert len(told) == 4 and subscriber.got[-1] == "w:6"


def test_without_a_listener_the_hub_is_as_before() -> None:
    hub, _, _ = made()
    before = dict(vars(hub))
    hub.tap(lambda outgoing, namespace, channels: None)
    hub.tap(None)
    hub.tap(None)
    assert vars(hub) == before


def test_channels() -> None:
    hub, _, subscriber = made()
    hub.subscribe(subscriber, "t")
    hub.subscribe(subscriber, "u", "/a")
    assert [(channel.topic, channel.namespace) for channel in hub.channels] == [
        ("t", "/a"),
        ("t", None),
        ("u", "/a"),
    ]
