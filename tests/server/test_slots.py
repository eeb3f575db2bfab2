"""A server that is one of several: at sockets of its own, at those of others for a while, and told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from longwave.server.listener import more_sockets, tcp_sockets
from longwave.server.worker import Server, ServerOptions
from tests.server.fake_app import FakeApp
from tests.server.harness import Client, eventually, loops, request, run_in


@contextmanager
def two_slots() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Bind two slots, at two ports so that it can be chosen which one a connection comes to."""
    (first,), (second,) = tcp_sockets("127.0.0.1", 0), tcp_sockets("127.0.0.1", 0)
    with first, second:
        yield first, second


async def ask(sock: socket.socket) -> Client:
    client = Client(*await asyncio.open_connection(*sock.getsockname()))
    client.send(request("/", "Connection: close"))
    return client


@loops
def test_what_waits_for_another_slot_is_answered_while_it_is_covered(kind: str) -> None:
    async def main() -> None:
        with two_slots() as (own, other):
            server = Server(FakeApp(), ServerOptions(fds=(os.dup(own.fileno()),)))
            await server.start()
            waiting = await ask(other)
            for _ in range(2):
                await server.cover({1: [other.fileno()]})
                assert (await waiting.response())[0] == 200
                waiting.close()
                await server.cover({})
                waiting = await ask(other)
                client = await ask(own)
                assert (await client.response())[0] == 200
                client.close()
                assert server.stats()["requests"] >= 2
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await waiting.reader.readexactly(1)
            await server.stop(1)
            # Its end leaves the sockets to those who have them as well.
            assert own.getsockname() and other.getsockname()
            waiting.close()

    run_in(kind, main())


@loops
def test_a_slot_that_is_given_back_while_it_is_taken_is_not_taken(kind: str) -> None:
    async def main() -> None:
        with two_slots() as (own, other):
            server = Server(FakeApp(), ServerOptions(fds=(os.dup(own.fileno()),)))
            await server.start()
            await asyncio.gather(server.cover({1: [other.fileno()]}), server.cover({}))
            waiting = await ask(other)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await waiting.reader.readexactly(1)
            waiting.close()
            await server.stop(1)

    run_in(kind, main())


def test_shared_sockets_are_dealt_out_by_the_kernel() -> None:
    async def main() -> None:
        bound = tcp_sockets("127.0.0.1", 0, shared=True)
        apps, servers = [FakeApp(), FakeApp()], []
        for app, (sock,) in zip(apps, (bound, more_sockets(bound)), strict=True):
            servers.append(Server(app, ServerOptions(fds=(sock.detach(),))))
            await servers[-1].start()
        while not all(app.requests for app in apps):
            client = Client(*await asyncio.open_connection("127.0.0.1", servers[0].port))
            client.send(request("/", "Connection: close"))
            assert (await client.response())[0] == 200
            client.close()
        for server in servers:
            await server.stop(1)

    if hasattr(socket, "SO_REUSEPORT"):
        run_in("asyncio", main())


def test_a_supervisors_worker_is_cut_by_its_supervisor_alone() -> None:
    async def main() -> None:
        app = FakeApp()
        server = Server(app, ServerOptions(port=0))
        left: list[str] = []
        serving = asyncio.create_task(server.serve_until_signal(leaving=lambda: left.append("leaving")))
        await eventually(lambda: server.is_serving)
        client = await Client.connect(server)
        await client.upgrade()
        busy = await Client.connect(server)
        busy.get("/hold")
        await eventually(lambda: len(app.requests) == 2)
        os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C is the supervisor's
        await asyncio.sleep(0.01)
        assert left == []
        server.end(1012)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert await client.closing() == (1012, "")
        assert left == ["leaving"] and not serving.done()
        server.end_now()
        assert await busy.rest() == b""
        await serving

    run_in("asyncio", main())
