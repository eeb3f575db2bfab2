"""WebSockets over real sockets: messages, closing, silence, slow clients, limits."""

from __future__ import annotations

import asyncio
import time

import pytest
import websockets
from websockets.asyncio.client import connect

from longwave.contract import Link
from longwave.limits import Limits, Timeouts
from longwave.types import SendStatus
from tests.server.fake_app import FakeApp, FakeSession
from tests.server.harness import Client, eventually, frame, loops, run_in, serve


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(code.to_bytes(2, "big") + reason.encode(), 8)


@loops
@pytest.mark.parametrize("path", ["/ws", "/slow_ws"])
def test_echo_with_an_ordinary_client(kind: str, path: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            uri = f"ws://127.0.0.1:{server.port}{path}"
            async with connect(uri, subprotocols=["chat.v1"]) as client:  # type: ignore[list-item]
                for message in ("", "hé", "x" * 125, "y" * 126, "z" * 70000, b"", b"\0" * 200, b"w" * 70000):
                    await client.send(message)
                    assert await client.recv() == message
                await client.send(["frag", "ment", "ed"])
                assert await client.recv() == "fragmented"
                await (await client.ping(b"here"))
                assert client.subprotocol == ("chat.v1" if path == "/ws" else None)
            session = app.sessions[0]
            assert session.ends == [(1000, "")]
            assert ("pinged", b"here") in session.log
            assert server.stats()["messages"] == 9
            assert server.stats()["upgrades"] == 1

    run_in(kind, main())


@loops
def test_bytes_that_follow_the_handshake_at_once(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            for path in ("/ws", "/slow_ws"):
                client = await Client.connect(server)
                await client.upgrade(path, early=frame(b"one") + frame(b"two") + frame(b"three")[:4])
                assert await client.frame() == (1, b"one")
                assert await client.frame() == (1, b"two")

    run_in(kind, main())


@loops
def test_many_messages_in_one_read_keep_their_order(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(messages_per_turn=16)) as server:
            client = await Client.connect(server)
            await client.upgrade()
            client.send(b"".join(frame(b"%d" % number) for number in range(2000)))
            for number in range(2000):
                assert await client.frame() == (1, b"%d" % number)
            assert server.stats()["limits.messages_per_turn"] > 20

    run_in(kind, main())


@loops
def test_a_long_turn_lets_others_have_theirs(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()

        def make() -> FakeSession:
            session = FakeSession()
            session.on_received = lambda _: time.sleep(0.002)
            return session

        app.make_session = make
        async with serve(app) as server:
            busy = await Client.connect(server)
            await busy.upgrade()
            other = await Client.connect(server)
            await other.upgrade()
            busy.send(frame(b"x") * 150)
            await eventually(lambda: app.sessions[0].messages)
            other.send(frame(b"y"))
            assert await other.frame() == (1, b"y")
            assert len(app.sessions[0].messages) < 120
            for _ in range(150):
                await busy.frame()

    run_in(kind, main())


@loops
def test_pause_and_resume(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()

        def make() -> FakeSession:
            session = FakeSession()

            def pause(data: str | bytes) -> None:
                if data == "stop":
                    assert session.link is not None
                    session.link.pause()

            session.on_received = pause
            return session

        app.make_session = make
        async with serve(app, timeouts=Timeouts(ping=0.1, pong=0.1, close=0.5)) as server:
            client = await Client.connect(server)
            await client.upgrade()
            client.send(frame(b"a") + frame(b"stop") + frame(b"b") + frame(b"stop") + frame(b"c"))
            assert await client.frame() == (1, b"a")
            assert await client.frame() == (1, b"stop")
            session = app.sessions[0]
            link = session.link
            assert link is not None
            # Longer than ping and pong: who is not read cannot answer.
            await asyncio.sleep(0.4)
            assert session.messages == ["a", "stop"]
            link.resume()
            assert session.messages == ["a", "stop"]
            await eventually(lambda: session.messages == ["a", "stop", "b", "stop"])
            link.resume()
            await eventually(lambda: session.messages[-1] == "c")
            client.send(frame(b"d"))
            await eventually(lambda: session.messages[-1] == "d")
            client.reset()
            await session.gone.wait()

    run_in(kind, main())


@loops
@pytest.mark.parametrize(
    ("sent", "answer", "told"),
    [
        (close_frame(1000), 1000, (1000, "")),
        (close_frame(3000, "bye"), 3000, (3000, "bye")),
        (frame(b"", 8), 0, (1005, "")),
        (frame(b"\x03", 8), 1002, (1002, "a close frame has no valid code")),
        (close_frame(1005), 1002, (1002, "a close frame has no valid code")),
        (frame(b"\xff", 1), 1007, None),
        (frame(b"x" * 2000), 1009, None),
        (b"\x81\x01x", 1002, None),
        (frame(b"x", 3), 1002, None),
        (frame(b"x", 9, final=False), 1002, None),
        (frame(b"x", 0), 1002, None),
        (b"".join(frame(b"x", 1 if n == 0 else 0, final=False) for n in range(20)), 1008, None),
    ],
    # Not the bytes, whose masks differ from process to process.
    ids=[
        *("1000", "with a reason", "no code", "half a code", "no code of a frame", "no UTF-8", "too large"),
        *("unmasked", "an opcode", "half a ping", "the rest of nothing", "too many frames"),
    ],
)
def test_close_codes(kind: str, sent: bytes, answer: int, told: tuple[int, str] | None) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(message=1000, fragments=10)) as server:
            client = await Client.connect(server)
            await client.upgrade()
            client.send(frame(b"before") + sent + frame(b"after") + b"x" * 100_000)
            assert await client.frame() == (1, b"before")
            code, _ = await client.closing()
            assert code == answer
            assert await client.rest() == b""
            client.close()
            session = app.sessions[0]
            await session.gone.wait()
            assert session.messages == ["before"]
            assert [entry[0] for entry in session.ends] == [told[0] if told else answer]
            if told:
                assert session.ends == [told]

    run_in(kind, main())


@loops
def test_we_close(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            await client.upgrade()
            session = app.sessions[0]
            link = session.link
            assert link is not None
            for code, reason in ((1005, ""), (999, ""), (1000, "x" * 124)):
                with pytest.raises(ValueError):
                    link.close(code, reason)
            with pytest.raises(ValueError):
                link.ping(b"x" * 126)
            link.write(link.wire.frame(b"last", True))
            link.close(4000, "done")
            link.close(4001)
            assert link.write(b"late") is SendStatus.CLOSED
            assert await client.frame() == (1, b"last")
            assert await client.closing() == (4000, "done")
            client.send(frame(b"ignored"))
            await asyncio.sleep(0.02)
            assert session.ends == []
            client.send(close_frame(4000))
            await session.gone.wait()
            assert session.ends == [(4000, "done")]
            assert session.messages == []
            assert await client.rest() == b""

            # An answer that does not come.
            silent = await Client.connect(server)
            await silent.upgrade()
            session = app.sessions[1]
            assert session.link is not None
            began = time.monotonic()
            session.link.close(4002)
            await session.gone.wait()
            assert 0.4 < time.monotonic() - began < 5
            assert session.ends == [(4002, "")]
            assert server.stats()["timeouts.close"] == 1

    run_in(kind, main())


@loops
@pytest.mark.parametrize("way", ["fin", "reset", "terminate", "after close"])
def test_a_lost_connection(kind: str, way: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            client = await Client.connect(server)
            await client.upgrade()
            session = app.sessions[0]
            assert session.link is not None
            began = time.monotonic()
            if way == "fin":
                client.writer.write_eof()
            elif way == "reset":
                client.reset()
            elif way == "terminate":
                session.link.abort()
            else:
                client.send(close_frame(1000))
                client.reset()
            await session.gone.wait()
            await asyncio.sleep(0.02)
            assert time.monotonic() - began < 5
            assert session.ends in ([(1006, "")], [(1000, "")] if way == "after close" else [])
            assert session.link.write(b"x") is SendStatus.CLOSED
            await session.link.drained()
            await eventually(lambda: server.stats()["connections"] == 0)

    run_in(kind, main())


@loops
def test_silence_is_answered_by_a_ping_and_then_cut(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, timeouts=Timeouts(ping=0.2, pong=0.5, close=0.2)) as server:
            began = time.monotonic()
            silent = await Client.connect(server)
            await silent.upgrade()
            alive = await Client.connect(server)
            await alive.upgrade()
            while not app.sessions[0].ends:
                opcode, payload = await alive.frame()
                assert (opcode, payload) == (9, b"")
                alive.send(frame(b"", 10))
            passed = time.monotonic() - began
            assert 0.65 < passed < 5
            assert app.sessions[0].ends == [(1006, "")]
            assert app.sessions[1].ends == []
            assert app.sessions[1].log.count(("ponged", b"")) >= 1
            assert server.stats()["timeouts.pong"] == 1

    run_in(kind, main())


@loops
def test_limits_of_messages(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, limits=Limits(message_rate=20)) as server:
            client = await Client.connect(server)
            await client.upgrade()
            client.send(frame(b"x") * 30)
            assert (await client.closing())[0] == 1008
            assert 20 <= len(app.sessions[0].messages) <= 22
            assert server.stats()["limits.message_rate"] == 1
        async with serve(app, limits=Limits(unfinished_total=1_100_000)) as server:
            clients = []
            for number in range(11):
                client = await Client.connect(server)
                clients.append(client)
                await client.upgrade()
                client.send(frame(b"x" * 200_000)[: 90_000 + number])
            await eventually(lambda: server.stats()["limits.unfinished_total"])
            ends = [session.ends for session in app.sessions[1:] if session.ends]
            assert ends == [[(1009, "too many unfinished messages")]]
            stats = server.stats()
            assert stats["limits.unfinished_total"] == 1
            assert 800_000 < stats["unfinished"] < 1_000_000

    run_in(kind, main())


@loops
def test_a_session_that_fails_is_closed_with_1011(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = FakeApp()

        def fail(data: object) -> None:
            raise KeyError("broken")

        def make() -> FakeSession:
            session = FakeSession()
            session.on_received = fail
            return session

        app.make_session = make
        async with serve(app) as server:
            for data in (frame(b"x"), frame(b"x") + frame(b"y")):
                client = await Client.connect(server)
                await client.upgrade()
                client.send(data)
                assert (await client.closing())[0] == 1011
            assert [session.ends for session in app.sessions] == [[(1011, "internal error")]] * 2
            assert len(app.sessions[1].messages) == 1
            assert server.stats()["errors"] == 2
        assert caplog.text.count("KeyError: 'broken'") == 2

    run_in(kind, main())


@loops
def test_what_opened_sends_comes_with_the_handshake(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()

        def make() -> FakeSession:
            session = FakeSession()

            def greet(link: Link) -> None:
                link.write(link.wire.frame(b"welcome", True))
                link.close(4000)

            session.on_opened = greet
            return session

        app.make_session = make
        async with serve(app) as server:
            async with connect(f"ws://127.0.0.1:{server.port}/ws") as client:
                assert await client.recv() == "welcome"
                with pytest.raises(websockets.ConnectionClosedError):
                    await client.recv()
                assert client.close_code == 4000
            assert app.sessions[0].ends == [(4000, "")]

    run_in(kind, main())
