"""The players of sections 9, 12 and 13: what they make of servers that do wrong, each in one way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory

from tests.conformance import deflate_cases, deflate_player, large_player
from tests.conformance.large_cases import LARGE, Large, frames, payload, shortened
from tests.conformance.test_players import SWITCH, against, closing, frame
from tests.conformance.verdicts import Result, Verdict
from tests.conformance.wire import Address
from tests.conformance.ws_model import PONG, TEXT, encode

SMALL = Large("9", TEXT, 300, fragment=100, count=2)


@pytest.mark.parametrize(
    ("answers", "verdict", "saw"),
    [
        ([frame(TEXT, payload(SMALL))] * 2 + [closing(1000)], Verdict.OK, "closed with 1000"),
        ([frame(TEXT, payload(SMALL)), closing(1008)], Verdict.FAILED, "closed with 1008 at message 1"),
        ([frame(TEXT, payload(SMALL)), frame(TEXT, b"x")], Verdict.FAILED, "message 1 came back as another"),
        ([frame(TEXT, payload(SMALL)), frame(PONG)], Verdict.FAILED, "message 1 came back as another"),
        ([frame(TEXT, payload(SMALL))] * 2 + [closing(1001)], Verdict.UNCLEAN, "answered by opcode 8"),
        ([frame(TEXT, payload(SMALL))] * 3, Verdict.UNCLEAN, "answered by opcode 1"),
        (
            [frame(TEXT, payload(SMALL))] * 2 + [closing(1000), b"x"],
            Verdict.FAILED,
            "bytes behind the close frame",
        ),
        ([frame(TEXT, payload(SMALL))], Verdict.FAILED, "cut"),
        ([b"\x01\x00"], Verdict.FAILED, "a server does not send"),
    ],
)
def test_large_verdicts(answers: list[bytes], verdict: Verdict, saw: str) -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        got.append(await reader.readexactly(sum(len(encode(item)) for item in frames(SMALL))))
        writer.writelines(answers)

    result = against(serve, lambda address: large_player.play(SMALL, address))
    assert result.verdict is verdict, result.saw
    assert saw in result.saw
    # 300 octets are three frames and an empty one that ends them.
    assert [got[0][at] for at in (0, 106, 212, 318)] == [0x01, 0x00, 0x00, 0x80]
    assert len(got[0]) == 3 * 106 + 6


def test_large_cases_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_player, "WITHIN", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        await reader.read(1 << 20)
        await reader.read()

    result = against(serve, lambda address: large_player.play(SMALL, address))
    assert (result.verdict, result.saw) == (Verdict.FAILED, "no answer in time")


def test_large_cases_that_are_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_player, "LAST", 0.1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH + frame(TEXT, payload(SMALL)) * 2 + closing(1000))
        while await reader.read(1 << 20):
            pass

    result = against(serve, lambda address: large_player.play(SMALL, address))
    assert (result.verdict, result.saw) == (Verdict.UNCLEAN, "closed with 1000, connection left open")


def test_large_cases_are_what_they_say() -> None:
    for case in LARGE:
        little = shortened(case, 0.01)
        whole = b"".join(frame.payload for frame in frames(little))
        assert whole == payload(little) and len(whole) == little.size
        assert [frame.fin for frame in frames(little)].count(True) == 1
        if case.opcode == TEXT:
            whole.decode()
    assert [len(list(frames(case))) for case in LARGE if case.id in ("9.3.1", "9.4.2")] == [65_537, 16_385]
    assert {case.count for case in LARGE} == {1, 1000}
    assert max(case.size for case in LARGE) == 16 * 1024 * 1024


def deflate(case: str, **options: Any) -> Result:
    """Play a compressed case, a tenth of it, to the server of `websockets`, which accepts by `options`."""
    compression = options.pop("compression", None)

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(options.get("instead") or message)

    async def main() -> Result:
        factory = ServerPerMessageDeflateFactory(**compression) if compression is not None else None
        extensions = [factory] if factory else None
        async with serve(echo, "127.0.0.1", 0, extensions=extensions, compression=None) as server:
            address = Address("127.0.0.1", next(iter(server.sockets)).getsockname()[1])
            chosen = next(each for each in deflate_cases.CASES if each.id == case)
            return await deflate_player.play(deflate_cases.shortened(chosen, 0.02), address)

    return asyncio.run(main())


def test_deflate_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert deflate("12.1.11", compression={}).verdict is Verdict.OK
    assert deflate("13.6.5", compression={"client_max_window_bits": 10}).verdict is Verdict.OK
    refused = deflate("12.1.1")
    assert (refused.verdict, refused.saw) == (Verdict.FAILED, "no offer was accepted")
    other = deflate("12.2.3", compression={}, instead=b"other")
    assert (other.verdict, other.saw) == (Verdict.FAILED, "message 0 came back as another one")
    # A server that takes over its context where it has said that it would not.
    monkeypatch.setattr(
        ServerPerMessageDeflateFactory,
        "process_request_params",
        lambda self, params, accepted: (
            [("server_no_context_takeover", None)],
            PerMessageDeflate(False, False, 15, 15),
        ),
    )
    assert deflate("13.2.5", compression={}).saw.startswith("ConnectionClosedError")


def test_compressed_messages_are_what_they_say() -> None:
    for case in deflate_cases.CASES:
        little = deflate_cases.shortened(case, 0.001)
        found = list(deflate_cases.messages(little))
        assert len(found) == little.count
        sizes = {len(each.encode() if isinstance(each, str) else each) for each in found}
        assert sizes == {little.size}
    counts = [case.count for case in deflate_cases.AUTOBAHN]
    assert len(counts) == 216 and max(counts) == 1000 and min(counts) == 32
