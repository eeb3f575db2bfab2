"""permessage-deflate over real sockets: clients that others wrote, slow clients, bombs (checks 2 and 17).

Sections 12 and 13 of the Autobahn suite are in tests/conformance/test_own.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from bench.robustness.target import Target
from tests.conformance.peers import CACHE
from tests.core.compressed import bomb, in_frames
from tests.e2e.browser import in_chromium
from tests.e2e.process import ServerProcess
from tests.e2e.wire import clients, measured, run
from tests.tools import node

if TYPE_CHECKING:
    from playwright.async_api import Browser

APP = Path(__file__).with_name("apps") / "deflate"
MIB = 1024 * 1024
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
SENT: tuple[str | bytes, ...] = (
    "",
    "hello",
    "ünïcödé \u2028 😀" * 50,
    *(json.dumps([{"id": n, "text": "hello there"}] * 40) for n in range(4)),
    b"",
    b"\0\xff" * 40_000,
    bytes(range(256)) * 900,
)
SETS: list[dict[str, Any]] = [
    {"server_no_context_takeover": ours, "client_no_context_takeover": theirs}
    for ours in (False, True)
    for theirs in (False, True)
] + [{"server_max_window_bits": bits, "client_max_window_bits": bits} for bits in range(9, 16)]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(APP, env={"LONGWAVE_COMPRESSION_WEBSOCKET": "true"}) as running:
        yield running


def agreed(client: ClientConnection) -> str | None:
    assert client.response is not None
    return client.response.headers.get("Sec-WebSocket-Extensions")


async def echoed(client: ClientConnection) -> None:
    for message in SENT * 2:
        await client.send(message)
        assert await client.recv() == message
    await client.send(["in ", "three " * 500, "frames"])
    assert await client.recv() == "in " + "three " * 500 + "frames"


def test_websockets_as_it_comes(server: ServerProcess) -> None:
    async def main() -> None:
        async with connect(server.websocket_url + "echo") as client:
            assert agreed(client) == (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
                "server_max_window_bits=12; client_max_window_bits=12"
            )
            await echoed(client)
        async with connect(server.websocket_url + "takeover") as client:
            # Its own offer: client_max_window_bits alone.
            assert agreed(client) == "permessage-deflate; client_max_window_bits=12"
            await echoed(client)
        async with connect(server.websocket_url + "echo", compression=None) as client:
            assert agreed(client) is None
            await echoed(client)

    run(main())


@pytest.mark.parametrize("offered", SETS, ids=str)
@pytest.mark.parametrize("path", ["echo", "takeover", "takeover?bits=9", "takeover?bits=15"])
def test_parameter_sets(server: ServerProcess, path: str, offered: dict[str, Any]) -> None:
    async def main() -> None:
        factory = ClientPerMessageDeflateFactory(**offered)
        async with connect(server.websocket_url + path, extensions=[factory], compression=None) as client:
            assert (agreed(client) or "").startswith("permessage-deflate")
            await echoed(client)

    run(main())


def test_where_it_is_switched_off(server: ServerProcess) -> None:
    async def main(url: str) -> None:
        async with connect(url) as client:
            assert agreed(client) is None
            await echoed(client)

    run(main(server.websocket_url + "plain"))
    run(main(server.websocket_url + "takeover?bits=off"))
    with ServerProcess(APP) as default:
        run(main(default.websocket_url + "echo"))


def test_offers_that_cannot_be_accepted(server: ServerProcess) -> None:
    async def main() -> None:
        async with clients(server.port) as open_wire:
            for offer, status, said in (
                ("permessage-deflate; server_max_window_bits=8", 101, None),
                ("permessage-deflate; unknown", 101, None),
                (
                    "permessage-deflate; server_max_window_bits=8, permessage-deflate",
                    101,
                    "permessage-deflate",
                ),
                ("permessage-deflate; =", 400, None),
            ):
                wire = await open_wire()
                wire.get(
                    "/echo",
                    "Upgrade: websocket",
                    "Connection: Upgrade",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    "Sec-WebSocket-Version: 13",
                    f"Sec-WebSocket-Extensions: {offer}",
                )
                got, fields, _ = await wire.response()
                assert got == status
                assert (fields.get("sec-websocket-extensions") or "").split(";")[0] == (said or "")

    run(main())


def test_a_room_of_all_kinds(server: ServerProcess) -> None:
    async def main() -> None:
        url = server.websocket_url + "room?compress="
        kinds = ("yes", "yes", "takeover", "takeover", "no")
        members = [await connect(url + kind) for kind in kinds]
        assert [bool(agreed(member)) for member in members] == [True, True, True, True, False]
        for member in members:
            assert await member.recv() == "joined"
        texts = [f"{n} " + "some text that is said over and over " * (n % 20) for n in range(60)]
        for number, text in enumerate(texts):
            await members[number % 5].send(text)
            for index, member in enumerate(members):
                expected = [text, f"plain {text}"]
                if index == number % 5:
                    expected.insert(1, f"private {text}")
                assert [await member.recv() for _ in expected] == expected
        for member in members:
            await member.close()

    run(main())


def test_drop_old_leaves_a_whole_stream(server: ServerProcess) -> None:
    """What is dropped was never compressed: the window of the client is that of the server."""

    async def main() -> None:
        url = server.websocket_url + "flood"
        async with connect(url, max_queue=1, max_size=None) as slow, connect(url, max_size=None) as other:
            assert "server_no_context_takeover" not in (agreed(slow) or "")
            await other.send("1500")
            assert await asyncio.wait_for(other.recv(), 30) == "done"
            await other.send("1")
            numbers = []
            while True:
                text = await asyncio.wait_for(slow.recv(), 10)
                assert isinstance(text, str)
                number, _, rest = text.partition(" ")
                assert len(rest) == 16_000
                numbers.append(int(number))
                if int(number) == 0 and len(numbers) > 1:
                    break
            numbers.pop()
            assert numbers == sorted(numbers)
            assert numbers[-1] == 1499
            assert len(numbers) < 1500, "nothing was dropped: the test shows nothing"

    run(main())


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs /proc")
@pytest.mark.parametrize("kind", ["whole", "fragments", "takeover"])
def test_bomb(server: ServerProcess, kind: str) -> None:
    """Check 17: 1 GiB from 1 MB on the wire."""
    packed = bomb()[:-4]
    assert len(packed) > 1_000_000
    data = in_frames(packed, len(packed) if kind != "fragments" else 1000)
    path = "/takeover" if kind == "takeover" else "/echo"
    target = Target("longwave", server.port, server.pid)

    async def main() -> None:
        async with clients(server.port) as open_wire:
            warm = await open_wire()
            await warm.websocket(path, OFFER)
            warm.send(in_frames(zlib.compress(b"x" * 1000, 9, -15) + b"\0", 5000))
            _, size = await warm.reader.readexactly(2)
            await warm.reader.readexactly(size)
            wire = await open_wire()
            await wire.websocket(path, OFFER)
            target.forget_peak()
            peak, cpu, began = target.peak(), target.cpu(), time.monotonic()
            wire.send(data)
            code, _ = await asyncio.wait_for(wire.closing(), 20)
            measured(f"{kind}, seconds", time.monotonic() - began)
            assert code == 1009
            # All of it takes more than a second.
            assert target.cpu() - cpu < 0.5
            assert target.peak() - peak <= MIB + 4 * MIB

    run(main())


WS_CLIENT = """
const WebSocket = require("ws");
const [address, options] = [process.argv[1], JSON.parse(process.argv[2])];
const socket = new WebSocket(address, { perMessageDeflate: { threshold: 0, ...options } });
const texts = ["", "hello", "ünïcödé 😀".repeat(90)];
for (let n = 0; n < 20; n++) texts.push(JSON.stringify(Array(40).fill({ id: n, text: "hello there" })));
texts.push("x".repeat(300000));
let got = 0;
const next = () => socket.send(texts[got % texts.length]);
socket.on("open", next);
socket.on("message", (data) => {
  if (data.toString() !== texts[got % texts.length]) { console.log("wrong", got); process.exit(1); }
  if (++got === texts.length * 2) { console.log(socket.extensions); socket.close(); } else next();
});
socket.on("error", (error) => { console.log(String(error)); process.exit(1); });
"""


@pytest.mark.npm_ws
@pytest.mark.parametrize("path", ["echo", "takeover", "takeover?bits=9"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"serverNoContextTakeover": True, "clientNoContextTakeover": True},
        {"serverMaxWindowBits": 9, "clientMaxWindowBits": 9},
        {"serverMaxWindowBits": 15, "clientMaxWindowBits": 15},
    ],
    ids=str,
)
def test_npm_ws(server: ServerProcess, path: str, options: dict[str, Any]) -> None:
    done = subprocess.run(
        [str(node()), "-e", WS_CLIENT, server.websocket_url + path, json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "NODE_PATH": str(CACHE / "node_modules")},
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "permessage-deflate"), done.stdout + done.stderr


BROWSER = """async ([address]) => {
  const socket = new WebSocket(address);
  const texts = ["", "hello", "ünïcödé 😀".repeat(90)];
  for (let n = 0; n < 20; n++) texts.push(JSON.stringify(Array(40).fill({ id: n, text: "hello there" })));
  texts.push("x".repeat(300000));
  const got = [];
  await new Promise((resolve, reject) => {
    socket.onopen = () => texts.forEach((text) => socket.send(text));
    socket.onmessage = ({ data }) => { got.push(data); if (got.length === texts.length) resolve(); };
    socket.onclose = ({ code }) => reject(new Error("closed with " + code));
  });
  socket.onclose = null;
  socket.close();
  return [socket.extensions, texts.every((text, index) => text === got[index])];
}"""


@pytest.mark.browser
def test_chromium(server: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        page = await browser.new_page()
        await page.goto(server.url + "hello")
        both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        for path, extensions in (
            ("echo", both + "server_max_window_bits=12; client_max_window_bits=12"),
            ("takeover", "permessage-deflate; client_max_window_bits=12"),
            ("takeover?bits=9", "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9"),
            ("plain", ""),
        ):
            said, whole = await page.evaluate(BROWSER, [server.websocket_url + path])
            assert whole, path
            assert said == extensions

    in_chromium(scenario)


def test_a_close_is_never_compressed(server: ServerProcess) -> None:
    async def main() -> None:
        client = await connect(server.websocket_url + "takeover")
        await client.close(4000, "x" * 100)
        assert client.close_code == 4000
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()

    run(main())
