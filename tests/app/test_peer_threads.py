"""A peer that is used from threads: order, what may be asked, and what they hear after its end."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.hooks import define_websocket_handler
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.errors import LimitError
from longwave.limits import Limits
from longwave.types import SendStatus
from tests.app.harness import connect, make_app, run_app, turn


def test_threads_may_send_and_publish_in_order() -> None:
    async def check(app: App) -> None:
        peer, link = await connect(app)
        peer.subscribe("room")
        statuses: list[SendStatus] = []

        def work() -> None:
            for i in range(3):
                statuses.append(peer.send(f"send {i}"))
                peer.publish("room", f"publish {i}", include_self=True)
                app.publish("room", f"app {i}")
            with pytest.raises(TypeError):
                peer.send(None)
            with pytest.raises(ValueError, match="characters"):
                peer.publish("", "x")

        await asyncio.to_thread(work)
        await turn(3)
        assert statuses == [SendStatus.BUFFERED] * 3
        expected = [f"{what} {i}" for i in range(3) for what in ("send", "publish", "app")]
        assert link.messages == expected

    run_app(make_app({"/ws": define_websocket_handler()}), check)


def test_blocking_hooks_run_in_threads_in_order() -> None:
    threads: list[int] = []
    seen: list[str] = []

    def on_message(peer: Peer, message: Message) -> None:
        threads.append(threading.get_ident())
        seen.append(message.text())

    async def check(app: App) -> None:
        peer, _ = await connect(app)
        for i in range(5):
            peer.received(str(i), True)
        while len(seen) < 5:
            await asyncio.sleep(0.001)
        assert seen == list("01234")
        assert threading.get_ident() not in threads

    run_app(make_app({"/ws": define_websocket_handler(message=on_message, blocking=True)}), check)


def test_everything_may_be_asked_from_a_thread() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("spawned")
        await asyncio.Event().wait()

    async def check(app: App) -> None:
        peer, link = await connect(app)
        link.buffered = 10

        async def elsewhere() -> None:
            await peer.subscribe("room")
            with pytest.raises(LimitError):
                await peer.subscribe("other")
            peer.unsubscribe("room")
            peer.ping(b"x")
            with pytest.raises(TimeoutError):
                await peer.wait_for_drain(timeout=0.01)
            peer.spawn(work())
            peer.every(60, lambda: done.append("every"))
            peer.close(4000, "bye")
            peer.terminate()

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        await turn(3)
        assert done == ["spawned", "every"] and link.pings == [b"x"] and peer.topics == frozenset()
        assert link.closed_with == (4000, "bye") and link.aborted
        peer.closed(4000, "bye")
        assert await asyncio.to_thread(peer.send, "x") is SendStatus.CLOSED

    app = make_app({"/ws": define_websocket_handler()}, limits=Limits(topics_per_peer=1))
    logging.getLogger("longwave.error").disabled = True
    try:
        run_app(app, check)
    finally:
        logging.getLogger("longwave.error").disabled = False


def test_a_blocking_open_hook_may_start_tasks() -> None:
    ticks: list[int] = []

    def on_open(peer: Peer) -> None:
        peer.every(60, lambda: ticks.append(threading.get_ident()))

    async def check(app: App) -> None:
        await connect(app)
        while not ticks:
            await asyncio.sleep(0.001)
        assert ticks == [threading.get_ident()]

    run_app(make_app({"/ws": define_websocket_handler(open=on_open, blocking=True)}), check)


def test_after_the_loop_is_closed_threads_hear_that_a_peer_is_gone() -> None:
    peers: list[Peer] = []

    async def check(app: App) -> None:
        peers.append((await connect(app))[0])

    # Its server never said that it was closed.
    run_app(make_app({"/ws": define_websocket_handler()}), check)
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(peers[0].send("x"))
            peers[0].close()
            peers[0].terminate()
            peers[0].ping()
            peers[0].unsubscribe("room")
            asyncio.run(peers[0].wait_for_drain())
            with pytest.raises(RuntimeError, match="does not run"):
                peers[0].publish("room", "x")
            with pytest.raises(RuntimeError, match="does not run"):
                peers[0].subscribe("room")
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert not thread.is_alive() and results == [SendStatus.CLOSED]
