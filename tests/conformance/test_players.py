"""The players and judges: what they make of servers that do wrong, each in one way."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conformance import (
    deflate_cases,
    handshake_player,
    http_player,
    run,
    ws_player,
)
from tests.conformance.deflate_frames import COMPRESSED
from tests.conformance.handshake_cases import ACCEPT, HANDSHAKES, OFFERS
from tests.conformance.http_cases import ALL
from tests.conformance.large_cases import LARGE
from tests.conformance.run import plays
from tests.conformance.verdicts import Result, Verdict, counts, markdown, printed, worst
from tests.conformance.wire import Address, Timing
from tests.conformance.ws_cases import AUTOBAHN, CASES, Case, encode
from tests.conformance.ws_model import CLOSE, PONG, TEXT, Frame

HERE = Path(__file__).parent
TIMING = Timing(patience=0.5, notice=0.1, quiet=0.05)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
SWITCH += b"sec-websocket-accept: " + ACCEPT + b"\r\n\r\n"
PROTOCOL = b"sec-websocket-protocol: other\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

WS = {case.id: case for case in (*CASES, *COMPRESSED)}
HTTP = {case.name: case for case in ALL}
HANDSHAKE = {case.id: case for case in (*HANDSHAKES, *OFFERS)}


def against(serve: Serve, play: Callable[[Address], Awaitable[Result]]) -> Result:
    """Play a case to a server that is one function; at its return it ends its side and reads to the end."""
    running: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
            writer.write_eof()
            await reader.read()
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.create_task(one(reader, writer)))

    async def main() -> Result:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with server:
            result = await play(Address("127.0.0.1", server.sockets[0].getsockname()[1]))
            await asyncio.gather(*running)
        return result

    return asyncio.run(main())


def frame(opcode: int, payload: bytes = b"") -> bytes:
    return encode(Frame(opcode, payload, masked=False))


def agreed(parameters: bytes) -> bytes:
    return SWITCH[:-2] + b"sec-websocket-extensions: permessage-deflate" + parameters + b"\r\n\r\n"


def closing(code: int) -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big"))


def websocket(
    case: Case, *answers: bytes, hangs: bool = False, says: bytes = SWITCH, polite: bool = True
) -> Result:
    """Play a WebSocket case to a server that sends this, without a look at what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)
        await reader.read(1)
        writer.writelines(answers)
        if hangs:
            await reader.read()

    return against(serve, lambda address: ws_player.play(case, address, TIMING, polite=polite))


@pytest.mark.parametrize(
    ("case", "answers", "verdict", "saw"),
    [
        ("3.1", [closing(1002)], Verdict.OK, "closed with 1002"),
        ("3.1", [closing(1007)], Verdict.FAILED, "closed with 1007"),
        ("3.1", [], Verdict.UNCLEAN, "cut"),
        ("3.1", [frame(CLOSE)], Verdict.UNCLEAN, "closed without a code"),
        ("3.1", [frame(PONG), closing(1002)], Verdict.FAILED, "other frames"),
        ("3.1", [closing(1002), frame(PONG)], Verdict.FAILED, "behind the close frame"),
        ("3.1", [closing(1002)[:3]], Verdict.FAILED, "did not end"),
        ("3.1", [encode(Frame(TEXT, b"x"))], Verdict.FAILED, "a server does not send"),
        ("3.2", [closing(1002)], Verdict.NON_STRICT, "before the echo"),
        ("2.1", [frame(PONG), closing(1000)], Verdict.OK, "closed with 1000"),
        ("2.1", [closing(1000)], Verdict.FAILED, "other frames"),
        ("2.1", [frame(PONG)], Verdict.UNCLEAN, "cut"),
        ("7.13.1", [closing(1000)], Verdict.INFORMATIONAL, "closed with 1000"),
        ("7.13.1", [closing(1002)], Verdict.OK, "closed with 1002"),
    ],
)
def test_websocket_verdicts(case: str, answers: list[bytes], verdict: Verdict, saw: str) -> None:
    result = websocket(WS[case], *answers)
    assert (result.id, result.verdict) == (case, verdict), result.saw
    assert saw in result.saw


def test_a_server_that_hangs() -> None:
    assert websocket(WS["3.1"], hangs=True).verdict is Verdict.FAILED
    left_open = websocket(WS["3.1"], closing(1002), hangs=True)
    assert (left_open.verdict, left_open.saw) == (Verdict.UNCLEAN, "closed with 1002, connection left open")


def test_no_websocket() -> None:
    assert websocket(WS["3.1"], says=BAD).saw == "no WebSocket: 400"


def test_the_suite_takes_a_cut_for_an_answer_to_an_error_only() -> None:
    assert websocket(WS["3.1"]).suite is Verdict.OK
    assert websocket(WS["3.2"]).suite is Verdict.NON_STRICT
    assert websocket(WS["2.1"], frame(PONG)).suite is Verdict.UNCLEAN


@pytest.mark.parametrize(("pieces", "verdict"), [(2, Verdict.OK), (3, Verdict.NON_STRICT)])
def test_late_is_not_strict(pieces: int, verdict: Verdict) -> None:
    """A server that closes after the second piece, where the error is, and one that waits for the third."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        steps = WS["6.4.3"].steps[:pieces]
        await reader.readexactly(sum(len(encode(item)) for step in steps for item in step))
        writer.write(closing(1007))

    result = against(serve, lambda address: ws_player.play(WS["6.4.3"], address, TIMING))
    assert result.verdict is verdict
    assert result.saw == "closed with 1007" + (", late" if pieces == 3 else "")


@pytest.mark.parametrize("polite", [True, False])
def test_a_polite_client_waits_and_answers(polite: bool) -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        got.append(await reader.readexactly(6))
        await asyncio.sleep(0.05)
        writer.write(frame(PONG) + closing(1000))
        got.append(await reader.readexactly(8))

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        writer.write(closing(1002))
        await reader.readexactly(len(encode(WS["3.1"].steps[0][0])))
        with suppress(TimeoutError):
            got.append(await asyncio.wait_for(reader.readexactly(8), 0.1))

    def play(case: str) -> Callable[[Address], Awaitable[Result]]:
        return lambda address: ws_player.play(WS[case], address, TIMING, polite=polite)

    assert against(serve, play("2.1")).verdict is Verdict.OK
    assert against(fail, play("3.1")).verdict is Verdict.OK
    assert len(got) == (3 if polite else 2)


HELLO_PACKED = bytes.fromhex("f248cdc9c90700")


@pytest.mark.parametrize(
    ("case", "says", "answers", "verdict", "saw"),
    [
        ("B9.1", agreed(b""), [frame(TEXT, b"Hello"), closing(1000)], Verdict.OK, "closed with 1000"),
        ("B9.1", agreed(b""), [b"\xc1\x07" + HELLO_PACKED, closing(1000)], Verdict.OK, "closed with 1000"),
        ("B9.1", agreed(b""), [b"\xc2\x07" + HELLO_PACKED, closing(1000)], Verdict.FAILED, "other frames"),
        ("B9.1", agreed(b""), [b"\xc1\x03\xff\xff\xff", closing(1000)], Verdict.FAILED, "Error -3"),
        ("B9.1", agreed(b""), [b"\xa1\x07" + HELLO_PACKED], Verdict.FAILED, "a server does not send"),
        ("B9.1", agreed(b""), [b"\xc8\x02\x03\xe8"], Verdict.FAILED, "a server does not send"),
        ("B9.1", SWITCH, [frame(TEXT, b"Hello"), closing(1000)], Verdict.FAILED, "no offer was accepted"),
        ("1.1.1", SWITCH, [b"\xc1\x07" + HELLO_PACKED], Verdict.FAILED, "a server does not send"),
        ("B9.41", agreed(b""), [closing(1002)], Verdict.OK, "closed with 1002"),
        ("B9.41", agreed(b""), [closing(1007)], Verdict.OK, "closed with 1007"),
        ("B9.41", agreed(b""), [closing(1009)], Verdict.FAILED, "closed with 1009"),
    ],
)
def test_compressed_verdicts(
    case: str, says: bytes, answers: list[bytes], verdict: Verdict, saw: str
) -> None:
    result = websocket(WS[case], *answers, says=says)
    assert result.verdict is verdict, result.saw
    assert saw in result.saw


def http(case: str, *answers: bytes, noted: bytes = b"", hangs: bool = False) -> Result:
    """Play an HTTP case to a server that answers with this; `noted` is what it says of its handler."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(1 << 16)
        if data.startswith(b"GET /seen/"):
            status = b"200 OK" if noted else b"404 Not Found"
            writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(noted), noted))
            return
        writer.writelines(answers)
        if hangs:
            await reader.read()

    return against(serve, lambda address: http_player.play(HTTP[case], address, TIMING))


NOTHING = b'{"begun": 0, "whole": []}'
ONE = b'{"begun": 1, "whole": [["GET", "/", ""]]}'
BEGUN = b'{"begun": 1, "whole": []}'
STILL = b'{"begun": 2, "whole": [["GET", "/", ""], ["GET", "/still", ""]]}'
HELLO = b'{"begun": 1, "whole": [["POST", "/", "hello"]]}'


@pytest.mark.parametrize(
    ("case", "answers", "noted", "verdict", "saw"),
    [
        ("BEL", [BAD], NOTHING, Verdict.OK, "400"),
        ("BEL", [BAD.replace(b"400", b"501")], NOTHING, Verdict.NON_STRICT, "501"),
        ("BEL", [OK], ONE, Verdict.FAILED, "ok"),
        ("BEL", [OK], b"", Verdict.FAILED, "ok"),
        ("BEL", [BAD], BEGUN, Verdict.FAILED, "400"),
        ("BEL", [BAD], ONE, Verdict.FAILED, "ok, then 400"),
        ("BEL", [BAD, OK], NOTHING, Verdict.FAILED, "400"),
        ("BEL", [], NOTHING, Verdict.UNCLEAN, "closed"),
        ("size 0x5", [BAD], BEGUN, Verdict.OK, "400"),
        ("size 0x5", [OK], HELLO, Verdict.FAILED, "ok[5]"),
        ("GET", [OK, OK], STILL, Verdict.OK, "ok"),
        ("GET", [BAD], NOTHING, Verdict.FAILED, "400"),
        ("GET", [OK], ONE, Verdict.FAILED, "ok"),
        ("GET", [OK, OK], HELLO, Verdict.FAILED, "ok"),
        ("POST with chunks", [OK, OK], HELLO, Verdict.FAILED, "ok"),
        ("HTTP/1.0 closes", [OK], ONE, Verdict.OK, "ok"),
        ("HTTP/1.0 closes", [OK, OK], ONE, Verdict.FAILED, "ok"),
        ("method, begun", [BAD], NOTHING, Verdict.FAILED, "400"),
        ("absolute form", [OK, OK], STILL.replace(b'"/"', b'"http://localhost/"'), Verdict.NON_STRICT, "ok"),
        ("two requests", [OK], ONE, Verdict.FAILED, "closed"),
    ],
)
def test_http_verdicts(case: str, answers: list[bytes], noted: bytes, verdict: Verdict, saw: str) -> None:
    result = http(case, *answers, noted=noted)
    assert (result.id, result.verdict) == (case, verdict), result.saw
    assert result.saw.startswith(saw)


def test_http_that_hangs_or_stays_open() -> None:
    assert http("BEL", noted=NOTHING, hangs=True).saw == "hangs"
    left = http("BEL", BAD, noted=NOTHING, hangs=True)
    assert (left.verdict, left.saw) == (Verdict.UNCLEAN, "400, left open")
    assert http("method, begun", noted=NOTHING, hangs=True).verdict is Verdict.OK


def handshake(case: str, answer: bytes, *, then: bytes = SWITCH) -> Result:
    """Play a handshake to a server that answers with this, and the next one with `then`."""
    answers = iter((answer, then))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))

    return against(serve, lambda address: handshake_player.play(HANDSHAKE[case], address, TIMING))


@pytest.mark.parametrize(
    ("case", "answer", "then", "verdict"),
    [
        ("K1", BAD, SWITCH, Verdict.OK),
        ("K1", BAD, BAD, Verdict.FAILED),
        ("K1", SWITCH, SWITCH, Verdict.FAILED),
        ("K1", OK, SWITCH, Verdict.FAILED),
        ("K1", b"", SWITCH, Verdict.UNCLEAN),
        ("K1", BAD.replace(b"400", b"403"), SWITCH, Verdict.NON_STRICT),
        ("V1", BAD.replace(b"400", b"426"), SWITCH, Verdict.NON_STRICT),
        ("U8", SWITCH, b"", Verdict.OK),
        ("U8", SWITCH.replace(ACCEPT, b"AAAA"), b"", Verdict.FAILED),
        ("U8", BAD, b"", Verdict.FAILED),
        (
            "P5",
            SWITCH.replace(b"upgrade: w", b"sec-websocket-protocol: other\r\nupgrade: w"),
            b"",
            Verdict.FAILED,
        ),
        ("X6", SWITCH + frame(TEXT, b"early") + frame(TEXT, b"bird"), b"", Verdict.OK),
        ("X6", SWITCH + frame(TEXT, b"early"), b"", Verdict.FAILED),
        ("X6", SWITCH + frame(TEXT, b"bird") + frame(TEXT, b"early"), b"", Verdict.FAILED),
        ("D1", agreed(b""), b"", Verdict.OK),
        ("D1", agreed(b"; server_no_context_takeover; server_max_window_bits=9"), b"", Verdict.OK),
        ("D1", agreed(b"; client_max_window_bits=12"), b"", Verdict.FAILED),
        ("D1", SWITCH, b"", Verdict.FAILED),
        ("D2", agreed(b""), b"", Verdict.FAILED),
        ("D2", agreed(b"; server_no_context_takeover"), b"", Verdict.OK),
        ("D5", agreed(b"; server_max_window_bits=9"), b"", Verdict.OK),
        ("D5", agreed(b"; server_max_window_bits=11"), b"", Verdict.FAILED),
        ("D5", agreed(b""), b"", Verdict.FAILED),
        ("D13", agreed(b"; client_max_window_bits=9"), b"", Verdict.OK),
        ("D13", agreed(b"; client_max_window_bits=15"), b"", Verdict.FAILED),
        ("D31", SWITCH, b"", Verdict.OK),
        ("D31", agreed(b"; server_max_window_bits=8"), b"", Verdict.FAILED),
    ],
)
def test_handshake_verdicts(case: str, answer: bytes, then: bytes, verdict: Verdict) -> None:
    result = handshake(case, answer, then=then)
    assert (result.id, result.verdict) == (case, verdict), result.saw


def test_nobody_there() -> None:
    """A port where nothing listens is a failed case, and no error of the runner."""

    async def main() -> list[Result]:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()
        return await run.run(plays(run.TABLES, address, address, TIMING, ("1.1.1", "K1", "GET")))

    assert [result.verdict for result in asyncio.run(main())] == [Verdict.FAILED] * 3


def test_the_tables_are_played_whole() -> None:
    nowhere = Address("127.0.0.1", 9)
    assert len(plays(run.TABLES, nowhere, nowhere, TIMING)) == len(CASES) + len(HANDSHAKES) + len(ALL)
    assert len(plays(run.COMPRESSING, nowhere, nowhere, TIMING)) == len(COMPRESSED) + len(OFFERS)
    assert len(plays(run.RAISED, nowhere, nowhere, TIMING)) == len(LARGE) + len(deflate_cases.CASES)
    assert len(plays(["autobahn"], nowhere, nowhere, TIMING, ["6.4.*", "7.1.5"])) == 5
    assert len(AUTOBAHN) == 247
    titles = {ws_player.section(case) for case in CASES}
    assert len(titles) == 15


def test_words_and_tables() -> None:
    row = Result("A", "1.1", "a `b` | c\n", Verdict.OK, "x", Verdict.OK)
    late = Result("B", "2", "d", Verdict.NON_STRICT, "late", Verdict.OK)
    assert counts([Verdict.OK, Verdict.FAILED, Verdict.OK]) == "2 OK, 1 FAILED"
    assert worst(Verdict.OK, Verdict.UNCLEAN, Verdict.NON_STRICT) is Verdict.UNCLEAN
    assert printed([row, late]).splitlines() == [
        "A     1  1 OK",
        "B     1  1 NON-STRICT",
        "    2: NON-STRICT: late (d)",
        "all     2  1 OK, 1 NON-STRICT",
    ]
    text = markdown([row, late])
    assert "| 1.1 | a \\`b\\` \\| c | OK |" in text
    assert "| 2 | d | NON-STRICT: late |" in text


def test_the_runner_knows_no_server() -> None:
    """Nothing that plays, judges or lists cases imports Longwave."""
    ours = {"own.py", "__main__.py"}
    checked = 0
    for path in HERE.glob("*.py"):
        if path.name.startswith("test_") or path.name in ours:
            continue
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
        assert not [
            name for name in names if name.split(".")[0] == "longwave" or name.startswith("tests.e2e")
        ]
        checked += 1
    assert checked >= 15
