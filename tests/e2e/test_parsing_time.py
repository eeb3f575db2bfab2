"""No input takes long to read: twice as much takes twice as long, and nothing blocks (check 24)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest

from longwave.app.response import Headers
from longwave.core.bodies import ChunkReader
from longwave.core.cookies import parse_cookies
from longwave.core.forms import parse_form
from longwave.core.forwarded import TrustedProxies
from longwave.core.handshake import check_upgrade, offered_protocols
from longwave.core.heads import parse_head
from longwave.core.http_dates import parse_date
from longwave.core.origin import check_origin
from longwave.core.paths import decode_path
from longwave.core.query import parse_query
from longwave.errors import HTTPError, RequestError, RouteError
from longwave.limits import Limits
from longwave.routing.table import Table, parse_pattern
from longwave.types import Fields
from longwave.web.static import parse_range
from tests.core.growth import LINEAR, growth, quickest
from tests.e2e.measuring import TOLERANCE, measuring, once_more
from tests.e2e.probe import MIB, Probe
from tests.e2e.wire import Connect, clients, frame, measured, run, upgrade

KIB = 1024
LINE, HEADERS, BODY = 8 * KIB, 16 * KIB, MIB
AT_LIMIT = 0.010
BLOCKED = 0.050
NO_LIMITS = Limits(request_line=2**40, headers=2**40, header_count=2**40, body=2**40)
PROXIES = TrustedProxies(("10.0.0.0/8", "127.0.0.1"))
CLIENT = ("127.0.0.1", 4000)
UPGRADE: Fields = [
    (b"host", b"h"),
    (b"upgrade", b"websocket"),
    (b"connection", b"upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


def quietly(function: Callable[..., Any], *arguments: Any) -> None:
    """Call; a refusal is as good an answer."""
    with suppress(RequestError, HTTPError, RouteError, ValueError):
        function(*arguments)


def routes() -> Table[int]:
    """Return a table in which every segment may be one of two things, and the last never fits."""
    table: Table[int] = Table()
    for number in range(12):
        names = [f"[p{at}]" if at == number else "a" for at in range(12)]
        table.add("/" + "/".join([*names, "end"]), None, number)
    table.add("/" + "/".join(f"[q{at}]" for at in range(12)) + "/end2", None, 99)
    table.add("/files/[...rest]", None, 100)
    return table


TABLE = routes()


def one(name: bytes) -> Callable[[bytes], Fields]:
    return lambda value: [(b"host", b"h"), (name, value)]


def head_of(line: bytes) -> Callable[[bytes], None]:
    return lambda text: quietly(parse_head, line % text, NO_LIMITS)


def parameters(value: bytes) -> None:
    quietly(parse_form, "multipart/form-data; " + value.decode("latin-1"), b"--b--")


def chunks(body: bytes) -> None:
    reader, at = ChunkReader(NO_LIMITS), 0
    with suppress(RequestError):
        while not reader.finished:
            data, at = reader.read(body, at)
            if not data:
                return


def patterns(raw: bytes) -> None:
    """Read one, whose parameters have names of their own."""
    numbers = count()
    text = re.sub(r"\[\]", lambda _: f"[p{next(numbers)}]", raw.decode())
    quietly(parse_pattern, "/" + text)


READERS: dict[str, tuple[int, Callable[[bytes], object], list[bytes]]] = {
    "request line": (LINE, head_of(b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"), [b"a", b"%41", b"/", b"?", b" "]),
    "header block": (
        HEADERS,
        head_of(b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n"),
        [b"A:\r\n", b"A: b\r\n", b"A", b"\r\n "],
    ),
    "one field": (
        HEADERS,
        head_of(b"GET / HTTP/1.1\r\nHost: h\r\nX: %b\r\n\r\n"),
        [b"a", b" ", b"\t", b",", b"\x80"],
    ),
    "Host": (HEADERS, head_of(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n"), [b"a", b".", b":", b"[", b"a.", b"1"]),
    "Connection": (
        HEADERS,
        head_of(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: %b\r\n\r\n"),
        [b",", b"a,", b" , "],
    ),
    "Transfer-Encoding": (
        HEADERS,
        head_of(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: %b\r\n\r\n"),
        [b",", b"chunked,", b" "],
    ),
    "Content-Length": (
        HEADERS,
        head_of(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %b\r\n\r\n"),
        [b"0", b"9", b","],
    ),
    "Expect": (HEADERS, head_of(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: %b\r\n\r\n"), [b"a", b","]),
    "Cookie": (HEADERS, lambda raw: parse_cookies([raw]), [b"a=b; ", b";", b"=", b'"', b"a", b" "]),
    "Range": (
        HEADERS,
        lambda raw: quietly(parse_range, b"bytes=" + raw, 10),
        [b"0-,", b"-", b"1", b" ", b",", b"1-2"],
    ),
    "dates": (HEADERS, lambda raw: parse_date(raw.decode("latin-1")), [b"Mon, ", b" ", b"1", b"-", b":"]),
    "Origin": (
        HEADERS,
        lambda raw: quietly(
            check_origin, one(b"origin")(b"http://" + raw), None, ("*.b.example", "https://c.example")
        ),
        [b"a", b".", b":", b"[", b"*.", b"http://"],
    ),
    "Sec-WebSocket-Protocol": (
        HEADERS,
        lambda raw: quietly(offered_protocols, [(b"sec-websocket-protocol", raw)]),
        [b"a,", b",", b" ", b"a ", b"\x80"],
    ),
    "Sec-WebSocket-Key": (
        HEADERS,
        lambda raw: quietly(check_upgrade, "GET", "1.1", [*UPGRADE[:-1], (b"sec-websocket-key", raw)]),
        [b"a", b"=", b" "],
    ),
    "Upgrade": (
        HEADERS,
        lambda raw: quietly(check_upgrade, "GET", "1.1", [*UPGRADE[2:], (b"upgrade", raw)]),
        [b",", b"a,", b" "],
    ),
    "X-Forwarded-For": (
        HEADERS,
        lambda raw: PROXIES.read(CLIENT, one(b"x-forwarded-for")(raw)),
        [b"10.0.0.1,", b",", b" ", b"1", b":", b"["],
    ),
    "Forwarded": (
        HEADERS,
        lambda raw: PROXIES.read(CLIENT, one(b"forwarded")(raw)),
        [b"for=10.0.0.1,", b"for=10.0.0.1;", b";", b",", b'"', b"\\", b'for="'],
    ),
    "Content-Type": (
        HEADERS,
        parameters,
        [b"a=b;", b";", b'"', b"\\", b'a="', b" ", b"="],
    ),
    "names of headers": (HEADERS, lambda raw: Headers([(raw, b"")]).get("x"), [b"a"]),
    "query": (LINE, lambda raw: quietly(parse_query, raw), [b"a=b&", b"&", b"=", b"%41", b"%", b"+", b"a"]),
    "path": (
        LINE,
        lambda raw: quietly(decode_path, b"/" + raw),
        [b"../", b"./", b"/", b"a/", b"%2e%2e/", b"%", b"a"],
    ),
    "routes": (
        LINE,
        lambda raw: TABLE.match("/" + raw.decode("latin-1"), "GET"),
        [b"a/", b"/", b"a", b"files/"],
    ),
    "route patterns": (LINE, patterns, [b"a/", b"[]/", b"[", b"]", b"a", b"**"]),
    "chunks": (BODY // 64, chunks, [b"1\r\nx\r\n", b"1;a\r\nx\r\n", b"0", b"1;"]),
    "urlencoded body": (
        BODY // 64,
        lambda raw: quietly(parse_form, "application/x-www-form-urlencoded", raw),
        [b"a=b&", b"&", b"%41", b"+", b"="],
    ),
    "multipart body": (
        BODY // 64,
        lambda raw: quietly(parse_form, "multipart/form-data; boundary=b", b"--b\r\n" + raw),
        [b"\r\n", b"--b\r\n", b"-", b"\r\n--", b"A: b\r\n", b'Content-Disposition: form-data; name="'],
    ),
}


def filled(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


@pytest.mark.parametrize("name", READERS)
def test_twice_as_much_takes_twice_as_long(name: str) -> None:
    limit, read, units = READERS[name]
    # Large enough to see a square in it, and no larger: what is refused early costs nothing anyway.
    size = max(limit, 64 * KIB) // 2
    ratios = {unit: growth(partial(filled, unit), read, size) for unit in units}
    measured(f"{name}, 2n against n", max(ratios.values()))
    assert {unit: ratio for unit, ratio in ratios.items() if ratio >= LINEAR} == {}


@pytest.mark.parametrize("name", READERS)
def test_at_the_limit_it_is_quick(name: str) -> None:
    limit, read, units = READERS[name]
    worst = max(quickest(partial(read, filled(unit, limit)), AT_LIMIT / 10) for unit in units)
    measured(f"{name}, ms", 1000 * worst)
    assert worst < AT_LIMIT * TOLERANCE


def test_a_square_is_found() -> None:
    def square(data: bytes) -> int:
        return sum(data.count(b"b", at) for at in range(0, len(data), 256))

    ratio = growth(partial(filled, b"a"), square, 32 * KIB)
    measured("a square, 2n against n", ratio)
    assert ratio > LINEAR


# Over the wire.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    settings = {"timeouts.close": 0.5, "timeouts.keep_alive": 5, "security.forwarded_allow_ips": "127.0.0.1"}
    with measuring(tmp_path_factory.mktemp("time"), settings) as probe:
        yield probe


def request_of(target: bytes, *fields: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    head = [method + b" " + target + b" HTTP/1.1", b"Host: h", b"Connection: close", *fields]
    if body:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", b""]) + body


def field_of(name: bytes, unit: bytes) -> bytes:
    return name + b": " + filled(unit, HEADERS - 200)


def posted(kind: bytes, body: bytes) -> bytes:
    return request_of(b"/bench/parse", b"Content-Type: " + kind, method=b"POST", body=body)


def chunked(chunk: bytes) -> bytes:
    kind = b"Content-Type: application/x-www-form-urlencoded"
    head = request_of(b"/bench/parse", kind, b"Transfer-Encoding: chunked", method=b"POST")
    return head + filled(chunk, BODY) + b"0\r\n\r\n"


FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
SOCKET = upgrade("/bench/echo")
MESSAGE_OF_FRAGMENTS = frame(b"f", final=False) + frame(b"f", 0, final=False) * 4094 + frame(b"f", 0)
INPUTS: dict[str, bytes] = {
    "a query of pairs": request_of(b"/bench/parse?" + filled(b"a=b&", LINE - 100)),
    "a query of escapes": request_of(b"/bench/parse?" + filled(b"%41", LINE - 100)),
    "a path of dots": request_of(b"/" + filled(b"a/../", LINE - 100)),
    "a path of segments": request_of(filled(b"/a", LINE - 100)),
    "cookies": request_of(b"/bench/parse", field_of(b"Cookie", b"a=b; ")),
    "a quoted cookie": request_of(b"/bench/parse", field_of(b"Cookie", b'"\\')),
    "an id": request_of(b"/bench/parse", field_of(b"Last-Event-ID", b"\xff")),
    "ranges": request_of(b"/bench/parse", field_of(b"Range", b"0-,")),
    "proxies": request_of(b"/bench/parse", field_of(b"X-Forwarded-For", b"127.0.0.1,")),
    "forwarded": request_of(b"/bench/parse", field_of(b"Forwarded", b"for=127.0.0.1,")),
    "subprotocols": upgrade("/bench/echo", field_of(b"Sec-WebSocket-Protocol", b"a,").decode()),
    "extensions": upgrade(
        "/bench/echo", field_of(b"Sec-WebSocket-Extensions", b"permessage-deflate; a,").decode()
    ),
    "an urlencoded body": posted(FORM, filled(b"a=b&", BODY)),
    "escapes in a body": posted(FORM, filled(b"%41", BODY)),
    "parts": posted(MULTIPART, filled(PART, BODY - 10) + b"--b--\r\n"),
    "no parts": posted(MULTIPART, filled(b"\r\n--", BODY)),
    "a multipart head": posted(MULTIPART, b"--b\r\n" + filled(b"A: b\r\n", BODY - 10)),
    "deep JSON": posted(b"application/json", b"[" * BODY),
    "wide JSON": posted(b"application/json", b"[" + filled(b"0,", BODY - 10) + b"0]"),
    "a number in JSON": posted(b"application/json", b"9" * BODY),
    "chunks of one byte": chunked(b"1\r\na\r\n"),
    "chunks with extensions": chunked(b"1;" + b"a" * 100 + b"\r\na\r\n"),
    "pipelined requests": request_of(b"/bench/parse").replace(b"Connection: close\r\n", b"") * 2000,
    "a message": SOCKET + frame(b"m" * MIB),
    "a message of long characters": SOCKET + frame("\N{GRINNING FACE}".encode() * (MIB // 4)),
    "many messages": SOCKET + frame(b"m") * 50_000,
    "many pings": SOCKET + frame(b"p" * 125, 9) * 8_000,
    "fragments": SOCKET
    + (frame(b"f", final=False) + frame(b"f" * 250, 0, final=False) * 4094 + frame(b"f", 0)) * 16,
    "tiny fragments": SOCKET + MESSAGE_OF_FRAGMENTS * 30,
    "empty fragments": SOCKET
    + (frame(b"", final=False) + frame(b"", 0, final=False) * 4094 + frame(b"", 0)) * 30,
}


@pytest.mark.parametrize("name", INPUTS)
def test_nothing_blocks_the_loop(server: Probe, name: str) -> None:
    data = INPUTS[name]

    def measure() -> float:
        longest: list[float] = []

        async def main() -> None:
            async with clients(server.port) as connect:
                longest.append(await longest_pause(server, connect, data))

        with server.unharmed():
            run(main(), 40)
        return longest[0]

    pause = once_more(measure, lambda pause: pause < BLOCKED)
    measured(f"{name}, longest pause in ms", 1000 * pause)
    assert pause < BLOCKED * TOLERANCE


async def longest_pause(server: Probe, connect: Connect, data: bytes) -> float:
    """Send bytes as fast as they are taken; return the most processor time between two beats of the loop."""
    pulse, sender = await connect(), await connect()
    await pulse.websocket("/bench/pulse")
    assert await pulse.text() == "beats"
    await asyncio.to_thread(server.ask, "GET", "/bench/pulse")

    async def read() -> None:
        with suppress(ConnectionError):
            while await sender.reader.read(MIB):
                pass

    reading = asyncio.create_task(read())
    with suppress(ConnectionError):
        sender.send(data)
        await sender.writer.drain()
    # It is over when the answer, or all of it, has been there for a moment.
    requests = -1
    while requests != (requests := work_of(await asyncio.to_thread(server.stats))):
        await asyncio.sleep(0.05)
    reading.cancel()
    answer = await asyncio.to_thread(server.ask, "GET", "/bench/pulse")
    return float(answer["longest"])


def work_of(stats: dict[str, Any]) -> int:
    """Return a number that changes as long as something is done, but for the question itself."""
    counters = stats["server"]
    return int(counters["messages"] + counters["unfinished"] + counters["outgoing_waiting"])
