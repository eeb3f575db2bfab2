"""A whole server: starting, stopping, where it listens, how many it takes."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.process import free_port
from longwave.contract import Reply, Request
from longwave.errors import ConfigError
from longwave.limits import Limits, Timeouts
from longwave.server.worker import Server, ServerOptions
from tests.server.fake_app import FakeApp
from tests.server.harness import Client, eventually, frame, loops, run_in, serve, upgrade


@loops
def test_stop_in_order(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            sockets = [await Client.connect(server) for _ in range(5)]
            for client in sockets:
                await client.upgrade()
            stream = await Client.connect(server)
            stream.get("/sse")
            await stream.reader.readuntil(b"\r\n\r\n")
            busy = await Client.connect(server)
            busy.get("/hold")
            idle = await Client.connect(server)
            idle.get("/")
            await idle.response()
            await eventually(lambda: len(app.requests) == 8)
            stopping = asyncio.create_task(server.stop(5))
            for client in sockets:
                assert await client.closing() == (1001, "")
                client.send(frame((1001).to_bytes(2, "big"), 8))
                assert await client.rest() == b""
            assert (await stream.chunk()).startswith(b"retry: ")
            assert await stream.chunk() == b""
            assert await idle.rest() == b""
            assert not stopping.done()
            assert "shutdown" not in app.log
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", server.port or 1)
            app.go_on.set()
            status, fields, body = await busy.response()
            assert (status, body, fields["connection"]) == (200, b"held", "close")
            busy.close()
            stream.close()
            began = time.monotonic()
            await stopping
            assert time.monotonic() - began < 5
            assert app.log == ["startup", "shutdown"]
            assert [session.ends[0][0] for session in app.sessions] == [1001] * 6
            assert not server.is_serving

    run_in(kind, main())


@loops
def test_a_client_that_has_just_connected_gets_its_answer(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app) as server:
            asks, silent = await Client.connect(server), await Client.connect(server)
            stopping = asyncio.create_task(server.stop(5))
            await eventually(lambda: not server.is_serving)
            asks.get("/")
            status, fields, _ = await asks.response()
            assert (status, fields["connection"]) == (200, "close")
            assert await asks.rest() == b""
            # One that asks for nothing does not keep the server.
            assert await silent.rest() == b""
            await stopping
            assert len(app.requests) == 1

    run_in(kind, main())


@loops
def test_all_that_were_accepted_together_get_their_answers(kind: str) -> None:
    async def main() -> None:
        async with serve(FakeApp()) as server:
            listener = server._listener
            assert listener is not None
            sockets = []
            for _ in range(10):
                # Without a turn of the loop: the kernel accepts.
                sockets.append(socket.create_connection(("127.0.0.1", server.port)))
                sockets[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(5):
                # They are accepted together in one turn of the loop, and become connections in the next ones.
                while not (listener._taking or server.stats()["connections"]):
                    await asyncio.sleep(0)
            await server.stop(5)
            for sock in sockets:
                with sock:
                    assert sock.recv(64).startswith(b"HTTP/1.1 200 ")

    run_in(kind, main())


@loops
def test_stop_cuts_what_does_not_end(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, timeouts=Timeouts(close=60)) as server:
            silent = await Client.connect(server)
            await silent.upgrade()
            busy = await Client.connect(server)
            busy.get("/hold")
            await eventually(lambda: len(app.requests) == 2)
            began = time.monotonic()
            await server.stop(0.5)
            assert 0.3 < time.monotonic() - began < 5
            assert app.cancelled == 1
            assert app.sessions[0].ends == [(1001, "")]
            assert server.stats()["timeouts.shutdown"] == 1

    run_in(kind, main())


@loops
def test_a_second_stop_cuts_at_once(kind: str) -> None:
    async def main() -> None:
        app = FakeApp()
        async with serve(app, timeouts=Timeouts(close=60)) as server:
            silent = await Client.connect(server)
            await silent.upgrade()
            began = time.monotonic()
            first = asyncio.create_task(server.stop(20))
            assert (await silent.closing())[0] == 1001
            await server.stop()
            await first
            assert time.monotonic() - began < 5

    run_in(kind, main())


SERVER = """
import asyncio, sys
from longwave.server.worker import Server, ServerOptions, run
from longwave.limits import Timeouts
from tests.server.fake_app import FakeApp
class App(FakeApp):
    async def startup(self):
        print("ready", flush=True)
    async def shutdown(self):
        print("shutdown", flush=True)
sys.exit(run(App(), ServerOptions(port=int(sys.argv[1]), timeouts=Timeouts(close=60))))
"""


@pytest.mark.parametrize("second", [False, True])
def test_signals(second: bool) -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "ready\n"
        client = None
        while client is None:
            try:
                client = socket.create_connection(("127.0.0.1", port), 5)
            except ConnectionRefusedError:
                time.sleep(0.01)
        with client:
            client.sendall(upgrade("/ws"))
            assert b"101" in client.recv(4096)
            process.send_signal(signal.SIGTERM)
            assert client.recv(4096) == b"\x88\x02\x03\xe9"
            if second:
                process.send_signal(signal.SIGTERM)
            else:
                client.sendall(frame((1001).to_bytes(2, "big"), 8))
                assert client.recv(4096) == b""
                client.close()
            assert process.wait(5) == 0
            assert process.stdout.read() == ("" if second else "shutdown\n")


@loops
def test_more_connections_than_there_is_room_for(kind: str) -> None:
    async def main() -> None:
        async with serve(limits=Limits(connections=10)) as server:
            clients = [await Client.connect(server) for _ in range(10)]
            for client in clients:
                client.get("/")
                assert (await client.response())[0] == 200
            for _ in range(3):
                one_more = await Client.connect(server)
                one_more.get("/")
                status, fields, _ = await one_more.response()
                assert (status, fields["connection"]) == (503, "close")
                assert 2 <= int(fields["retry-after"]) <= 10
                assert await one_more.rest() == b""
                one_more.close()
            stream = await Client.connect(server)
            stream.get("/sse", "Accept: text/event-stream")
            status, fields, body = await stream.response()
            assert (status, fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
            assert 2000 <= int(body.removeprefix(b"retry: ").removesuffix(b"\n\n")) <= 10000
            stream.close()
            socket_ = await Client.connect(server)
            socket_.send(upgrade("/ws"))
            assert (await socket_.response())[0] == 503
            socket_.close()
            assert server.stats()["limits.connections"] == 5
            clients[0].close()
            await eventually(lambda: server.stats()["connections"] == 9)
            again = await Client.connect(server)
            await again.upgrade()

    run_in(kind, main())


@loops
def test_accepting_pauses_when_too_many_wait_to_be_refused(kind: str) -> None:
    async def main() -> None:
        async with serve(limits=Limits(connections=5)) as server:
            clients = [await Client.connect(server) for _ in range(105)]
            await eventually(lambda: server.stats()["connections"] == 105)
            late = await Client.connect(server)
            late.get("/")
            await asyncio.sleep(0.1)
            assert server.stats()["connections"] == 105
            for client in clients:
                client.close()
            assert (await late.response())[0] == 200

    run_in(kind, main())


@loops
def test_connections_of_one_address(kind: str) -> None:
    async def main() -> None:
        async with serve(limits=Limits(connections_per_address=2)) as server:
            first = await Client.connect(server)
            await first.upgrade()
            second = await Client.connect(server)
            second.get("/")
            assert (await second.response())[0] == 200
            third = await Client.connect(server)
            third.get("/")
            assert (await third.response())[0] == 429
            first.close()
            third.close()
            await eventually(lambda: server.stats()["connections"] == 1)
            fourth = await Client.connect(server)
            fourth.get("/")
            assert (await fourth.response())[0] == 200

    run_in(kind, main())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {cert}".split(),
        check=True,
        capture_output=True,
    )
    return cert, key


@loops
def test_tls(kind: str, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        cert, key = certificate
        app = FakeApp()
        async with serve(app, ssl_certfile=cert, ssl_keyfile=key) as server:
            context = ssl.create_default_context(cafile=cert)
            context.set_alpn_protocols(["h2", "http/1.1"])
            tls = {"ssl": context, "server_hostname": "localhost"}
            client = await Client.connect(server, **tls)
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            client.get("/a")
            assert (await client.response())[2] == b"hello /a"
            assert app.requests[0].scheme == "https"
            client.get("/large")
            assert len((await client.response())[2]) == 4_000_000
            await client.upgrade()
            client.send(frame(b"x" * 100_000))
            assert await client.frame() == (1, b"x" * 100_000)
            client.send(frame(b"", 8))
            assert await client.frame() == (8, b"")
            assert await client.rest() == b""
            assert app.sessions[0].ends == [(1005, "")]
            stream = await Client.connect(server, **tls)
            stream.get("/sse")
            await stream.reader.readuntil(b"\r\n\r\n")
            stream.close()
            await asyncio.wait_for(app.sessions[1].gone.wait(), 5)
            bad = await Client.connect(server, **tls)
            bad.get("/bad-host", "Host: twice")
            assert (await bad.response())[0] == 400
            assert await bad.rest() == b""
        with pytest.raises(ConfigError, match="cannot be used"):
            await Server(app, ServerOptions(port=0, ssl_certfile=key)).start()

    run_in(kind, main())


@loops
def test_a_tls_handshake_that_does_not_come(kind: str, certificate: tuple[str, str]) -> None:
    """Neither for the first that is accepted in a turn of the loop, nor for those behind it."""

    async def main() -> None:
        cert, key = certificate
        timeouts = Timeouts(header=0.3, close=0.5)
        async with serve(timeouts=timeouts, ssl_certfile=cert, ssl_keyfile=key) as server:
            began = time.monotonic()
            silent = [await Client.connect(server) for _ in range(5)]
            silent[0].send(b"\x16\x03\x01")
            for client in silent:
                assert await client.rest() == b""
            assert 0.25 < time.monotonic() - began < 3
            await eventually(lambda: server.stats()["connections"] == 0)

    run_in(kind, main())


@loops
def test_a_unix_socket(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "app.sock")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        app = FakeApp()
        async with serve(app, uds=path) as server:
            assert server.addresses == [f"unix:{path}"]
            assert os.stat(path).st_mode & 0o777 == 0o666
            client = Client(*await asyncio.open_unix_connection(path))
            client.get("/x")
            assert (await client.response())[2] == b"hello /x"
            assert app.requests[0].client is None
            await client.upgrade()
            client.send(frame(b"y"))
            assert await client.frame() == (1, b"y")
            with pytest.raises(ConfigError, match="another server"):
                await Server(app, ServerOptions(uds=path)).start()
            # asyncio loses a connection that it accepted in the very turn in which its server is closed.
            await eventually(lambda: server.stats()["opened"] == 2)
            client.close()
            await client.writer.wait_closed()
        assert not os.path.exists(path)
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match="no socket"):
            await Server(app, ServerOptions(uds=str(tmp_path / "file"))).start()

    run_in(kind, main())


@loops
def test_an_inherited_socket(kind: str) -> None:
    async def main() -> None:
        own = socket.socket()
        own.bind(("127.0.0.1", 0))
        own.listen()
        async with serve(fd=own.detach()) as server:
            client = await Client.connect(server)
            client.get("/x")
            assert (await client.response())[2] == b"hello /x"
        with pytest.raises(ConfigError, match="no socket"):
            await Server(FakeApp(), ServerOptions(fd=999)).start()

    run_in(kind, main())


@loops
def test_where_it_cannot_listen(kind: str) -> None:
    async def main() -> None:
        async with serve() as server:
            with pytest.raises(ConfigError, match=rf"port {server.port} .* is taken.*--port"):
                await Server(FakeApp(), ServerOptions(port=server.port)).start()
        with pytest.raises(ConfigError, match="not one of this machine"):
            await Server(FakeApp(), ServerOptions(host="192.0.2.1", port=0)).start()
        with pytest.raises(ConfigError, match="cannot be found"):
            await Server(FakeApp(), ServerOptions(host="no.such.host.invalid", port=0)).start()

        class Broken(FakeApp):
            async def startup(self) -> None:
                raise OSError("no database")

        with pytest.raises(OSError, match="no database"):
            await Server(Broken(), ServerOptions(port=0)).start()

    run_in(kind, main())


@loops
def test_handlers_see_the_context_of_start(kind: str) -> None:
    variable = contextvars.ContextVar("variable", default="nothing")

    class App(FakeApp):
        def on_sync(self, request: Request) -> Reply:
            self.log.append(variable.get())
            return self.on_unread(request)

        async def on_async(self, request: Request) -> Reply:
            self.log.append(variable.get())
            return self.on_unread(request)

    async def main() -> None:
        app = App()
        variable.set("set")
        async with serve(app) as server:
            variable.set("later")
            client = await Client.connect(server)
            for path in ("/sync", "/async"):
                client.get(path)
                await client.response()
            assert app.log == ["startup", "set", "set"]

    run_in(kind, main())
