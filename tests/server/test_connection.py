"""Connections on a fake transport and clock: writing, bounds, the sweep."""

from __future__ import annotations

import random
from typing import Any

import pytest

from longwave.core.frames import WS
from longwave.limits import Limits, Timeouts
from longwave.server.http import HttpConnection
from longwave.server.state import Worker
from longwave.server.websocket import WebSocketConnection
from longwave.types import SendStatus, SlowPolicy
from tests.server.fake_app import FakeApp, FakeSession
from tests.server.fake_transport import FakeClock, FakeLoop, FakeTransport
from tests.server.harness import frame, request, upgrade


class Bench:
    """One worker on fakes."""

    def __init__(self, limits: Limits | None = None, timeouts: Timeouts | None = None) -> None:
        self.app = FakeApp()
        self.clock = FakeClock()
        self.loop = FakeLoop()
        loop: Any = self.loop
        self.worker = Worker(self.app, limits or Limits(), timeouts or Timeouts(), loop, clock=self.clock)
        self.worker.start()

    def connect(self) -> tuple[FakeTransport, HttpConnection]:
        """Accept a connection."""
        transport = FakeTransport()
        connection = transport.protocol = HttpConnection(self.worker)
        connection.connection_made(transport)  # type: ignore[arg-type]
        return transport, connection

    def websocket(self) -> tuple[FakeTransport, WebSocketConnection, FakeSession]:
        """Accept a WebSocket."""
        transport, connection = self.connect()
        connection.data_received(upgrade())
        assert transport.written.startswith(b"HTTP/1.1 101 ")
        assert isinstance(transport.protocol, WebSocketConnection)
        transport.writes.clear()
        return transport, transport.protocol, self.app.sessions[-1]

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with a sweep at every period."""
        until = self.clock.now + seconds
        while self.clock.now < until - 1e-6:
            self.clock.now += self.worker.period
            assert self.loop.timer is not None
            self.loop.timer.callback()


def piece(fill: bytes, size: int) -> bytes:
    """Return a frame of so many bytes."""
    return WS.frame(fill * (size - (2 if size < 128 else 4)), False)


def test_a_websocket_takes_the_place_of_its_http_connection() -> None:
    bench = Bench()
    _, websocket, session = bench.websocket()
    assert bench.worker.connections == {websocket}
    assert session.log == [("opened",)]
    websocket.data_received(frame(b"x"))
    assert session.messages == ["x"]
    assert not hasattr(websocket, "__dict__")


def test_an_end_that_is_told_to_the_http_connection_is_the_websockets() -> None:
    """TLS of asyncio and uvloop says whom to tell before it hands over what it had read already."""
    bench = Bench()
    transport, connection = bench.connect()
    connection.data_received(upgrade())
    assert isinstance(transport.protocol, WebSocketConnection)
    connection.connection_lost(None)
    assert bench.app.sessions[-1].ends == [(1006, "")]
    assert bench.worker.connections == set()


def test_replies_to_messages_of_one_read_are_one_write() -> None:
    bench = Bench()
    transport, websocket, session = bench.websocket()
    third = frame(b"c")
    websocket.data_received(frame(b"a") + frame(b"b") + frame(b"!", 9) + third[:3])
    assert transport.writes == [b"\x81\x01a\x81\x01b\x8a\x01!"]
    websocket.data_received(third[3:])
    assert session.messages == ["a", "b", "c"]


def test_a_read_of_many_messages_is_done_in_turns() -> None:
    bench = Bench(Limits(messages_per_turn=10))
    transport, websocket, session = bench.websocket()
    websocket.data_received(frame(b"x") * 35)
    for expected in (10, 20, 30):
        assert len(session.messages) == expected
        assert not transport.is_reading()
        bench.loop.turn()
    assert len(session.messages) == 35
    assert transport.is_reading()
    assert bench.loop.soon == []


def test_close_in_the_middle_of_a_read_ends_the_messages() -> None:
    bench = Bench()
    transport, websocket, session = bench.websocket()
    session.on_received = lambda data: websocket.close(4000) if data == "b" else None
    websocket.data_received(frame(b"a") + frame(b"b") + frame(b"c") + frame(b"d"))
    assert session.messages == ["a", "b"]
    assert transport.writes == [b"\x81\x01a\x88\x02\x0f\xa0"]
    websocket.data_received(frame(b"e") + frame((4000).to_bytes(2, "big"), 8))
    assert session.messages == ["a", "b"]
    assert session.ends == [(4000, "")]
    transport.lose()
    assert session.ends == [(4000, "")]


def test_statuses_bounds_and_relief() -> None:
    bench = Bench(Limits(outgoing=1000))
    transport, websocket, session = bench.websocket()
    transport.fast = False
    assert websocket.write(piece(b"x", 400)) is SendStatus.SENT
    assert websocket.write(piece(b"y", 200)) is SendStatus.BUFFERED
    assert not transport.is_reading()
    assert websocket.write(piece(b"z", 300)) is SendStatus.BUFFERED
    assert websocket.write(piece(b"w", 5000)) is SendStatus.BUFFERED
    assert websocket.buffered == 5900
    assert bench.worker.waiting == 5300
    assert transport.written == piece(b"x", 400) + piece(b"y", 200)
    transport.take(300)
    assert session.log == [("opened",)]
    transport.take(50)
    # It took as much as made the transport pause again: one of the two.
    assert bench.worker.waiting == 5000
    transport.take(300)
    assert bench.worker.waiting == 0
    assert session.log == [("opened",)]
    transport.take(5000)
    assert websocket.buffered == 250
    assert session.log == [("opened",), ("drained",)]
    assert transport.is_reading()
    assert websocket.write(piece(b"!", 3)) is SendStatus.SENT
    assert transport.written.endswith(b"w" + piece(b"!", 3))


def test_relief_comes_at_a_quarter_also_when_the_backlog_was_small() -> None:
    bench = Bench(Limits(outgoing=1000))
    transport, websocket, session = bench.websocket()
    transport.fast = False
    websocket.write(piece(b"x", 501))
    websocket.write(piece(b"y", 200))
    transport.take(251)
    # 250 and the 200 that waited: between a quarter and a half nobody would call, but for the marks.
    assert transport.buffered == 450
    assert session.log == [("opened",)]
    transport.take(200)
    assert session.log == [("opened",), ("drained",)]
    assert (transport.high, transport.low) == (500, 250)


@pytest.mark.parametrize("policy", list(SlowPolicy))
def test_past_the_bound(policy: SlowPolicy) -> None:
    bench = Bench(Limits(outgoing=1000))
    bench.app.policy = policy
    transport, websocket, session = bench.websocket()
    transport.fast = False
    websocket.write(piece(b"a", 600))
    websocket.write(piece(b"b", 300))
    websocket.write(piece(b"c", 300))
    status = websocket.write(piece(b"d", 300))
    stats = bench.worker.stats()
    transport.take(10_000)
    transport.take(10_000)
    sent = transport.written
    if policy is SlowPolicy.CLOSE:
        assert status is SendStatus.CLOSED
        assert sent == piece(b"a", 600) + b"\x88\x0a\x03\xf5too slow"
        assert stats["limits.outgoing"] == 1
        assert stats["dropped"] == 3
    elif policy is SlowPolicy.DROP_NEW:
        assert status is SendStatus.DROPPED
        assert sent == piece(b"a", 600) + piece(b"b", 300) + piece(b"c", 300)
    else:
        assert status is SendStatus.BUFFERED
        assert sent == piece(b"a", 600) + piece(b"c", 300) + piece(b"d", 300)
    assert (stats["limits.outgoing"], stats["dropped"]) == (1, 3 if policy is SlowPolicy.CLOSE else 1)
    assert bench.worker.stats()["outgoing_waiting"] == 0
    assert session.ends == []


def test_any_history_of_writes_keeps_the_order() -> None:
    rng = random.Random(3)
    for _ in range(300):
        bench = Bench(Limits(outgoing=rng.choice((100, 1000, 100_000))))
        bench.app.policy = rng.choice(list(SlowPolicy))
        transport, websocket, _ = bench.websocket()
        transport.fast = rng.random() < 0.2
        taken = []
        for number in range(60):
            action = rng.random()
            if action < 0.6:
                message = WS.frame(b"%04d" % number * rng.randint(1, 60), True)
                if websocket.write(message) in (SendStatus.SENT, SendStatus.BUFFERED):
                    taken.append(message)
            elif action < 0.7:
                websocket.cork()
            elif action < 0.8:
                websocket.uncork()
            else:
                transport.take(rng.randint(0, 400))
        websocket.uncork()
        for _ in range(300):
            transport.take(1000)
        assert websocket.buffered == 0
        assert bench.worker.waiting == 0
        got = transport.written.split(b"\x88\x0a\x03\xf5")[0]
        position = 0
        missing = 0
        for message in taken:
            if got.startswith(message, position):
                position += len(message)
            else:
                missing += 1
        assert position == len(got)
        assert missing <= bench.worker.dropped


@pytest.mark.parametrize("policy", list(SlowPolicy))
def test_what_was_joined_comes_to_the_bound_message_by_message(policy: SlowPolicy) -> None:
    """As the hub joins what is published within one turn."""
    bench = Bench(Limits(outgoing=1000))
    bench.app.policy = policy
    transport, websocket, _ = bench.websocket()
    transport.fast = False
    websocket.write(piece(b"a", 600))
    messages = [piece(bytes([65 + number]), 100) for number in range(10)]
    status = websocket.write(b"".join(messages))
    stats = bench.worker.stats()
    buffered = websocket.buffered
    transport.take(10_000)
    transport.take(10_000)
    if policy is SlowPolicy.CLOSE:
        assert status is SendStatus.CLOSED
        assert transport.written == piece(b"a", 600) + b"\x88\x0a\x03\xf5too slow"
        assert stats["limits.outgoing"] == 1
        return
    assert buffered == 1000
    assert (stats["limits.outgoing"], stats["dropped"]) == (6, 6)
    kept = messages[:4] if policy is SlowPolicy.DROP_NEW else messages[6:]
    assert status is (SendStatus.DROPPED if policy is SlowPolicy.DROP_NEW else SendStatus.BUFFERED)
    assert transport.written == piece(b"a", 600) + b"".join(kept)


def test_silence_ping_and_cut() -> None:
    bench = Bench()
    transport, websocket, session = bench.websocket()
    bench.pass_time(20)
    assert transport.writes == []
    bench.pass_time(1)
    assert transport.writes == [b"\x89\x00"]
    bench.pass_time(9)
    websocket.data_received(frame(b"", 10))
    bench.pass_time(20)
    assert transport.writes == [b"\x89\x00"]
    bench.pass_time(1)
    assert len(transport.writes) == 2
    assert transport.log == []
    bench.pass_time(9.5)
    assert transport.log == ["abort"]
    transport.lose()
    assert session.ends == [(1006, "")]
    assert bench.worker.connections == set()


def test_a_stalled_loop_is_not_the_clients_fault() -> None:
    bench = Bench()
    transport, _, _ = bench.websocket()
    bench.pass_time(21)
    assert transport.writes == [b"\x89\x00"]
    bench.clock.now += 60
    bench.pass_time(5)
    assert transport.log == []
    bench.pass_time(5)
    assert transport.log == ["abort"]


def test_any_byte_is_life() -> None:
    bench = Bench()
    transport, websocket, session = bench.websocket()
    for byte in frame(b"a message that takes ten minutes"):
        bench.pass_time(15)
        websocket.data_received(bytes([byte]))
    assert transport.writes == [b"\x81\x20a message that takes ten minutes"], "no ping before the echo"
    assert session.messages == ["a message that takes ten minutes"]
    transport.writes.clear()
    # A byte instead of a pong, and everything begins anew.
    bench.pass_time(21)
    websocket.data_received(frame(b"x")[:1])
    bench.pass_time(20)
    assert (transport.writes, transport.log) == ([b"\x89\x00"], [])
    assert bench.worker.stats()["timeouts.ping"] == 1


def test_one_timer_serves_all_connections() -> None:
    bench = Bench()
    for _ in range(100):
        bench.websocket()
        bench.connect()
    asked = bench.loop.timers
    bench.pass_time(10 * bench.worker.period)
    assert bench.loop.timers == asked + 10


def test_what_ended_a_turn_is_counted() -> None:
    bench = Bench(Limits(messages_per_turn=10))
    _, websocket, session = bench.websocket()
    websocket.data_received(frame(b"x") * 15)
    bench.loop.turn()
    assert len(session.messages) == 15
    stats = bench.worker.stats()
    assert (stats["limits.messages_per_turn"], stats["timeouts.turn"]) == (1, 0)
    bench = Bench()

    def work(data: object) -> None:
        bench.clock.now += 0.001

    _, websocket, session = bench.websocket()
    session.on_received = work
    websocket.data_received(frame(b"x") * 60)
    while bench.loop.soon:
        bench.loop.turn()
    assert len(session.messages) == 60
    stats = bench.worker.stats()
    assert stats["limits.messages_per_turn"] == 0
    assert stats["timeouts.turn"] >= 3


def test_pings_of_many_are_spread_over_sweeps() -> None:
    bench = Bench()
    made = [bench.websocket()[0] for _ in range(1500)]
    bench.pass_time(20.5)
    pinged = sum(1 for transport in made if transport.writes)
    assert pinged == 1000
    bench.pass_time(0.5)
    assert sum(1 for transport in made if transport.writes) == 1500


def test_a_close_that_is_not_answered() -> None:
    bench = Bench()
    transport, websocket, session = bench.websocket()
    websocket.close(4000, "why")
    bench.pass_time(5)
    assert transport.log == []
    bench.pass_time(1)
    assert transport.log == ["abort"]
    transport.lose()
    assert session.ends == [(4000, "why")]
    assert bench.worker.stats()["timeouts.close"] >= 1


def test_a_client_that_takes_nothing() -> None:
    bench = Bench(Limits(outgoing=1000))
    transport, websocket, _ = bench.websocket()
    transport.fast = False
    websocket.write(b"x" * 900)
    bench.pass_time(25)
    transport.take(1)
    bench.pass_time(25)
    assert transport.log == []
    bench.pass_time(6)
    assert transport.log == ["abort"]
    assert bench.worker.stats()["timeouts.response"] >= 1


def test_http_deadlines() -> None:
    bench = Bench()
    transport, connection = bench.connect()
    bench.pass_time(9.5)
    connection.data_received(request("/")[:10])
    bench.pass_time(10)
    assert transport.writes == []
    connection.data_received(request("/")[10:])
    assert transport.written.startswith(b"HTTP/1.1 200 ")
    bench.pass_time(75)
    assert transport.log == []
    bench.pass_time(1)
    assert transport.log == ["close"]
    other, connection = bench.connect()
    connection.data_received(b"GET")
    bench.pass_time(10.5)
    assert other.written.startswith(b"HTTP/1.1 408 ")
    assert other.log == ["eof"]
    bench.pass_time(2)
    assert other.log == ["eof", "abort"]


def test_the_date_is_made_once_a_second() -> None:
    bench = Bench()
    transport, connection = bench.connect()
    connection.data_received(request("/"))
    assert b"\r\ndate: " + bench.worker.date in transport.written


def test_requests_behind_answers_that_are_not_taken_are_not_read() -> None:
    bench = Bench(Limits(outgoing=8192))
    transport, connection = bench.connect()
    transport.fast = False
    for _ in range(1000):
        if transport.is_reading():
            connection.data_received(request("/x") * 50)
    assert not transport.is_reading()
    assert bench.worker.stats()["limits.pipeline"] == 1
    asked = len(bench.app.requests)
    assert asked < 200
    transport.fast = True
    transport.take(10**6)
    assert transport.is_reading()
    assert len(bench.app.requests) > asked
    assert transport.written.count(b"HTTP/1.1 200") == len(bench.app.requests)


def test_a_websocket_that_was_cut_hears_and_says_no_more() -> None:
    bench = Bench()
    transport, websocket, session = bench.websocket()
    session.on_received = lambda data: websocket.abort()
    websocket.data_received(frame(b"a") + frame(b"b") + frame(b"!", 9))
    websocket.ping()
    websocket.close()
    assert transport.log == ["abort"]
    assert transport.writes == []
    assert session.messages == ["a"]
    transport.lose()
    assert session.ends == [(1006, "")]
    assert transport.writes == []


def test_close_from_inside_closed_writes_nothing() -> None:
    bench = Bench()
    transport, websocket, session = bench.websocket()
    told = session.closed

    def closed(code: int, reason: str) -> None:
        told(code, reason)
        websocket.ping()
        websocket.close()

    session.closed = closed  # type: ignore[method-assign]
    transport.lose()
    assert session.ends == [(1006, "")]
    assert transport.writes == []
