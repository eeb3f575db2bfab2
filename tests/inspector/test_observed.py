"""What goes through an observed application, and what is counted and told of it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any
from weakref import ref

import pytest

from longwave.app.event import Event
from longwave.app.event_stream import EventStream, create_event_stream
from longwave.app.hooks import UpgradeResult, define_websocket_handler
from longwave.app.peer import Peer
from longwave.app.response import Response
from longwave.app.route import route_of_value
from longwave.app.service import ServiceSocket
from longwave.contract import FullReply, StreamReply, UpgradeReply
from longwave.core.deflate import takeover_wire
from longwave.errors import HTTPError
from longwave.inspector.activity import LEFT, Closed, Opened, Requested
from longwave.types import SendStatus
from tests.app.harness import FakeLink, turn
from tests.inspector.harness import ADDRESS, Watched


def echo(**hooks: Any) -> Any:
    return define_websocket_handler(message=lambda peer, message: peer.send(message), **hooks)


def requests(watched: Watched) -> list[tuple[str, str, int, bool]]:
    return [
        (one.method, one.path, one.status, one.is_upgrade)
        for one in watched.told
        if isinstance(one, Requested)
    ]


def test_a_websocket_is_counted_both_ways_and_told_of() -> None:
    peers: list[Peer] = []
    handler = define_websocket_handler(
        upgrade=lambda event: UpgradeResult(user="ann", namespace="room"),
        open=peers.append,
        message=lambda peer, message: peer.send(message),
    )

    async def check(watched: Watched) -> None:
        watched.follow()
        session, link = await watched.open("/ws/7?token=x")
        connection = watched.connection
        assert [type(one) for one in watched.told] == [Opened]
        (peer,) = peers
        assert (connection.id, connection.kind, connection.path) == (peer.id, "websocket", "/ws/7")
        assert (connection.route, connection.source) == ("/ws/[id]", "/ws/[id]")
        assert (connection.namespace, connection.user, connection.address) == ("room", "ann", ADDRESS)
        session.received("abc", True)
        session.received("ü", True)
        session.received(b"\x00" * 10, False)
        assert (connection.received, connection.received_bytes) == (3, 15)
        assert (connection.sent, connection.sent_bytes) == (3, 5 + 4 + 12)
        assert len(link.written) == 3
        peer.subscribe("news")
        assert connection.topics == [("news", "room")]
        link.buffered = 7
        assert connection.buffered == 7
        session.closed(4000, "bye")
        assert watched.activity.connections == {} and connection.buffered == 0
        closed = watched.told[-1]
        assert isinstance(closed, Closed) and closed.connection is connection
        assert (closed.code, closed.reason) == (4000, "bye") and closed.seconds >= 0
        assert requests(watched) == []

    Watched({"/ws/[id]": handler}).run(check)


def test_what_is_not_accepted_is_not_counted() -> None:
    async def check(watched: Watched) -> None:
        session, link = await watched.open()
        link.status = SendStatus.DROPPED
        session.received("x", True)
        assert (watched.connection.sent, watched.connection.sent_bytes) == (0, 0)
        link.status = SendStatus.BUFFERED
        session.received("x", True)
        assert watched.connection.sent == 1

    Watched({"/ws": echo()}).run(check)


def test_publications_that_are_joined_are_counted_one_by_one() -> None:
    handler = define_websocket_handler(open=lambda peer: peer.subscribe("t"))

    async def check(watched: Watched) -> None:
        await watched.open()
        for size in (1, 200, 70_000):
            watched.app.publish("t", "x" * size)
        await turn()
        assert watched.connection.sent == 3
        assert watched.connection.sent_bytes == 3 + 204 + 70_010

    Watched({"/ws": handler}).run(check)


def test_everything_else_reaches_the_other_side() -> None:
    heard: list[Any] = []
    peers: list[Peer] = []
    handler = define_websocket_handler(
        open=peers.append,
        ping=lambda peer, data: heard.append(data),
        pong=lambda peer, data: heard.append(data),
        drain=lambda peer: heard.append("drain"),
        close=lambda peer, details: heard.append(details.code),
    )

    async def check(watched: Watched) -> None:
        session, link = await watched.open()
        (peer,) = peers
        session.pinged(b"1")
        session.ponged(b"2")
        session.drained()
        peer.ping(b"3")
        link.buffered = 10
        waiting = asyncio.create_task(peer.wait_for_drain())
        await turn(2)
        assert not waiting.done() and peer.buffered_amount == 10
        link.buffered = 0
        link.room.set()
        await waiting
        paused = []
        for change in (peer._hold, peer._release):
            change(1)
            paused.append(link.paused)
        assert paused == [True, False]
        peer.close(4001, "over")
        assert link.closed_with == (4001, "over")
        session.closed(4001, "over")
        peer.terminate()
        assert not link.aborted
        assert heard == [b"1", b"2", "drain", 4001] and link.pings == [b"3"]
        _, other = await watched.open()
        peers[-1].terminate()
        assert other.aborted

    Watched({"/ws": handler}).run(check)


def test_a_stream_that_began_before_its_handler_returned_goes_on() -> None:
    streams: list[EventStream] = []

    async def begin(event: Event) -> EventStream:
        stream = create_event_stream(event)
        streams.append(stream)
        await stream.push("early")
        await asyncio.sleep(0)
        stream.subscribe("news")
        return stream

    async def check(watched: Watched) -> None:
        watched.follow()
        session, link = await watched.stream()
        await turn(3)
        assert await streams[0].push("late", "later")
        watched.app.publish("news", "published")
        await turn()
        connection = watched.connection
        assert (connection.kind, connection.sent, connection.namespace) == ("stream", 4, None)
        assert connection.topics == [("news", None)] and connection.route == "/sse"
        assert link.text.count("data: ") == 4 and connection.sent_bytes == len(link.text)
        session.drained()
        connection.close()
        assert streams[0].is_closed and link.closed_with == (1000, "")
        session.closed(1000, "")
        assert [type(one) for one in watched.told] == [Opened, Closed]

    Watched({"/sse": begin}).run(check)


def test_requests_are_told_when_their_answer_is_whole() -> None:
    async def later(event: Event) -> str:
        await asyncio.sleep(0)
        return "later"

    def refused(event: Event) -> None:
        raise HTTPError(403, "no")

    def broken(event: Event) -> None:
        raise KeyError("x")

    async def check(watched: Watched) -> None:
        watched.follow()
        assert (await watched.full("/now?secret=1")).status == 200
        assert (await watched.full("/later")).body == b"later"
        assert (await watched.full("/%41", method="POST")).status == 404
        assert (await watched.full("/broken")).status == 500
        assert (await watched.full("/ws", upgrade=True)).status == 403
        assert (await watched.full("/%zz")).status == 400
        assert requests(watched) == [
            ("GET", "/now", 200, False),
            ("GET", "/later", 200, False),
            ("POST", "/A", 404, False),
            ("GET", "/broken", 500, False),
            ("GET", "/ws", 403, True),
            ("GET", "/%zz", 400, False),
        ]
        assert all(isinstance(one, Requested) and one.address == ADDRESS for one in watched.told)

    routes = {
        "/now": lambda event: "now",
        "/later": later,
        "/broken": broken,
        "/ws": define_websocket_handler(upgrade=refused),
    }
    Watched(routes).run(check)


def test_longwaves_own_requests_and_sockets_are_not_told() -> None:
    async def check(watched: Watched) -> None:
        watched.follow()
        await watched.full("/_longwave/health")
        await watched.full("/_longwave/")
        await watched.full("/_longwave/nothing")
        looking = await watched.look()
        assert watched.told == [] and watched.activity.connections == {}
        looking.leave()

        def claim(event: Event, match: object) -> UpgradeReply | None:
            return ServiceSocket("a test", opened=opened.append).accept() if event.path == "/hmr" else None

        watched.app.add_claim(claim)
        await watched.open("/hmr")
        assert len(opened) == 1 and watched.told == [] and watched.activity.connections == {}

    opened: list[ServiceSocket] = []
    Watched({}).run(check)


def test_a_streamed_body_is_a_request_until_its_end() -> None:
    gate = asyncio.Event()
    ended: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await gate.wait()
            yield b"two"
        finally:
            ended.append("ended")

    async def check(watched: Watched) -> None:
        watched.follow()
        session, link = await watched.stream("/file")
        await turn(2)
        assert watched.told == [] and watched.activity.connections == {}
        session.drained()
        gate.set()
        await turn(3)
        assert link.text == "onetwo" and link.closed_with is not None
        session.closed(1000, "")
        session.closed(1000, "")
        await turn(3)
        assert requests(watched) == [("GET", "/file", 200, False)] and ended == ["ended"]

    Watched({"/file": lambda event: Response(parts())}).run(check)


def test_nobody_follows_and_bodies_are_left_as_they_are() -> None:
    async def check(watched: Watched) -> None:
        reply = await watched.ask("/file")
        assert isinstance(reply, StreamReply)
        assert type(reply.session).__name__ == "BodyStream"
        reply.session.closed(1006, "")
        await turn(2)

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"

    Watched({"/file": lambda event: Response(parts())}).run(check)


def test_events_of_another_application_are_a_stream() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"data: 1\n\ndata: 2\n\n"

    def handler(event: Event) -> Response:
        return Response(parts(), content_type="text/event-stream")

    async def check(watched: Watched) -> None:
        session, link = await watched.stream("/sse")
        await turn(3)
        assert (watched.connection.kind, watched.connection.sent) == ("stream", 2)
        watched.connection.close()
        session.closed(1000, "")
        assert link.closed_with == (1000, "")

    Watched({"/sse": handler}).run(check)


def test_head_of_a_stream_is_a_request() -> None:
    def handler(event: Event) -> EventStream:
        return create_event_stream(event)

    async def check(watched: Watched) -> None:
        watched.follow()
        session, _ = await watched.stream("/sse", method="HEAD")
        session.closed(1000, "")
        assert requests(watched) == [("HEAD", "/sse", 200, False)]
        assert len(watched.told) == 1

    Watched({"/sse": handler}).run(check)


def test_who_gives_up_cancels_the_work_behind() -> None:
    states: list[str] = []

    async def slow(event: Event) -> None:
        states.append("began")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            states.append("cancelled")
            raise

    async def check(watched: Watched) -> None:
        watched.follow()
        reply = watched.handle("/slow")
        assert isinstance(reply, asyncio.Future)
        await turn(2)
        reply.cancel()
        await turn(3)
        assert states == ["began", "cancelled"]
        assert requests(watched) == [("GET", "/slow", LEFT, False)]

    Watched({"/slow": slow}).run(check)


def test_a_reply_that_comes_in_the_turn_of_giving_up_is_put_away() -> None:
    streams: list[EventStream] = []

    async def begin(event: Event) -> EventStream:
        stream = create_event_stream(event)
        streams.append(stream)
        return stream

    async def check(watched: Watched) -> None:
        reply = watched.handle("/sse")
        assert isinstance(reply, asyncio.Future)
        # The work is done, and whoever waits has not been told yet.
        await turn(1)
        assert streams and not reply.done()
        reply.cancel()
        await turn(3)
        assert streams[0].is_closed

    Watched({"/sse": begin}).run(check)


def test_a_websocket_that_is_given_up_leaves_nothing() -> None:
    async def check(watched: Watched) -> None:
        watched.follow()
        reply = await watched.ask("/ws", upgrade=True)
        assert isinstance(reply, UpgradeReply)
        reply.session.closed(1006, "")
        assert watched.told == []

    Watched({"/ws": echo()}).run(check)


def test_a_failure_of_the_application_is_the_servers() -> None:
    async def check(watched: Watched) -> None:
        async def fail(request: Any) -> FullReply:
            raise OSError("x")

        watched.app.handle = fail  # type: ignore[method-assign]
        with pytest.raises(OSError, match="x"):
            await watched.ask("/")

        async def cancelled(request: Any) -> FullReply:
            raise asyncio.CancelledError

        watched.app.handle = cancelled  # type: ignore[method-assign]
        reply = watched.handle("/")
        assert isinstance(reply, asyncio.Future)
        await turn(3)
        assert reply.cancelled()

    Watched({}).run(check)


def test_a_route_that_was_replaced_is_let_go() -> None:
    def made() -> Any:
        handler = echo()
        return route_of_value(handler, "/ws", None, "ws.py"), ref(handler)

    async def check(watched: Watched) -> None:
        route, handler = made()
        watched.app.set_routes([route])
        session, _ = await watched.open()
        assert watched.connection.source == "ws.py"
        session.closed(1001, "")
        del session, route
        watched.app.set_routes([])
        await turn(3)
        gc.collect()
        assert handler() is None
        watched.app.set_routes([route_of_value(echo(), "/ws", None, "moved.py")])
        await watched.open()
        assert watched.connection.source == "moved.py"

    Watched({}).run(check)


def test_a_link_has_the_wire_of_its_own() -> None:
    async def check(watched: Watched) -> None:
        session, _ = await watched.open(link=FakeLink(takeover_wire(1)))
        session.received("x" * 100, True)
        assert (watched.connection.sent, watched.connection.sent_bytes) == (1, 104)

    Watched({"/ws": echo()}).run(check)
