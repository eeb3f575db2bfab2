"""What a server must say to a request that would become a WebSocket: raw bytes and the answer, as data.

The server under test echoes WebSocket messages at `/ws` and speaks the subprotocols `chat.v2` and `chat.v1`,
in that order of preference. `status` holds the statuses that are right (one, or two where the standards
leave a choice). Every header in `headers` has to be there with just that value, compared without regard to
case; those in `absent` must not be there. `rest` follows the request in the same write: after a 101, `echo`
is what comes back for it.

After any refusal the server still works, which is to be shown by one more good handshake.

`OFFERS` goes to an echo that compresses, with context takeover and windows of 15 bits where the client can.
There `extension` is a pattern for the whole of `Sec-WebSocket-Extensions` in the answer. RFC 7692 lets a
server decline any offer, and tells it which ones it must; 8 is such a window as it may decline, and has to
be declined by those whose zlib has no raw deflate with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.conformance.ws_model import TEXT, Frame, encode

__all__ = ["ACCEPT", "HANDSHAKES", "KEY", "OFFERS", "PROTOCOLS", "Handshake", "request"]

PROTOCOLS = ("chat.v2", "chat.v1")
"""What the server under test speaks."""

# RFC 6455 section 1.3: the key of the example and the answer to it.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@dataclass(frozen=True, slots=True)
class Handshake:
    """One request and its answer; the module's docstring says how to read it."""

    id: str
    description: str
    request: bytes
    status: tuple[int, ...]
    headers: dict[bytes, bytes] = field(default_factory=dict)
    absent: tuple[bytes, ...] = ()
    rest: bytes = b""
    echo: tuple[tuple[int, bytes], ...] = ()
    extension: bytes = b""


def request(*lines: bytes, line: bytes = b"GET /ws HTTP/1.1", drop: tuple[bytes, ...] = ()) -> bytes:
    """Return a good request with `lines` in place of the usual ones of the same names, and without `drop`."""
    usual = (
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: " + KEY,
        b"Sec-WebSocket-Version: 13",
    )
    given = {line.partition(b":")[0].strip().lower() for line in lines} | {name.lower() for name in drop}
    kept = [header for header in usual if header.partition(b":")[0].lower() not in given]
    return b"\r\n".join((line, *kept, *lines, b"", b""))


def _accepted(
    id: str, description: str, raw: bytes, protocol: bytes | None = None, **more: object
) -> Handshake:
    headers = {b"upgrade": b"websocket", b"connection": b"upgrade", b"sec-websocket-accept": ACCEPT}
    absent = [b"sec-websocket-extensions", b"content-length", b"transfer-encoding"]
    if protocol is None:
        absent.append(b"sec-websocket-protocol")
    else:
        headers[b"sec-websocket-protocol"] = protocol
    return Handshake(id, description, raw, (101,), headers, tuple(absent), **more)  # type: ignore[arg-type]


def _refused(id: str, description: str, raw: bytes, *status: int, **headers: bytes) -> Handshake:
    wanted = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Handshake(id, description, raw, status, wanted, (b"sec-websocket-accept",))


def _keys() -> Iterator[Handshake]:
    drop = (b"Sec-WebSocket-Key",)
    yield _refused("K1", "key missing", request(drop=drop), 400)
    rows = {
        "empty": b"",
        "short": b"short",
        "of 15 bytes": b"AAAAAAAAAAAAAAAAAAAA",
        "of 17 bytes": b"AAAAAAAAAAAAAAAAAAAAAAA=",
        "of 18 bytes": b"AAAAAAAAAAAAAAAAAAAAAAAA",
        "without its padding": KEY[:-2],
        "with half its padding": KEY[:-1],
        "with a character that is not base64": b"dGhlIHNhbXBsZSBub25j!Q==",
        "with a space inside": b"dGhlIHNhbXBs ZSBub25jZQ==",
        "in the alphabet for URLs": b"-_-_-_-_-_-_-_-_-_-_-Q==",
        "of 24 letters": b"x" * 24,
        "as a list": KEY + b", " + KEY,
        "of bytes beyond ASCII": b"\xe9" * 22 + b"==",
        "of 4 000 characters": b"A" * 4000,
    }
    for number, (what, key) in enumerate(rows.items(), 2):
        yield _refused(f"K{number}", f"key {what}", request(b"Sec-WebSocket-Key: " + key), 400)
    twice = (b"Sec-WebSocket-Key: " + KEY,) * 2
    yield _refused("K16", "key doubled", request(*twice), 400)
    other = (b"Sec-WebSocket-Key: " + KEY, b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    yield _refused("K17", "two keys", request(*other), 400)


def _versions() -> Iterator[Handshake]:
    rows = [request(drop=(b"Sec-WebSocket-Version",))]
    rows += [
        request(b"Sec-WebSocket-Version: " + text)
        for text in (b"12", b"8", b"14", b"013", b"13.0", b"", b"x")
    ]
    rows.append(request(b"Sec-WebSocket-Version: 13, 8"))
    for number, raw in enumerate(rows, 1):
        yield _refused(f"V{number}", "version other than 13", raw, 426, sec_websocket_version=b"13")
    yield _refused("V10", "version doubled", request(*[b"Sec-WebSocket-Version: 13"] * 2), 400)


def _request_lines() -> Iterator[Handshake]:
    for number, method in enumerate((b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS"), 1):
        raw = request(b"Content-Length: 0", line=method + b" /ws HTTP/1.1")
        yield _refused(f"M{number}", f"method {method.decode()}", raw, 405, allow=b"GET")
    yield _refused("M6", "HTTP/1.0", request(line=b"GET /ws HTTP/1.0"), 400)
    yield _refused("M7", "a body by length", request(b"Content-Length: 5") + b"hello", 400)
    chunked = request(b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
    yield _refused("M8", "a body in chunks", chunked, 400)
    yield _accepted("M9", "an empty body", request(b"Content-Length: 0"))


def _upgrades() -> Iterator[Handshake]:
    # No upgrade at all: an ordinary request to an address that only speaks WebSocket.
    for number, drop in enumerate(((b"Upgrade",), (b"Connection",), (b"Upgrade", b"Connection")), 1):
        what = f"without {b' and '.join(drop).decode()}"
        yield _refused(f"U{number}", what, request(drop=drop), 426, upgrade=b"websocket")
    yield _refused("U4", "Connection: close", request(b"Connection: close"), 426)
    yield _refused("U5", "Connection: upgraded", request(b"Connection: upgraded"), 426)
    yield _refused("U6", "Upgrade: websockets", request(b"Upgrade: websockets"), 426)
    yield _refused("U7", "Upgrade: h2c", request(b"Upgrade: h2c"), 426)
    yield _accepted("U8", "odd case", request(b"uPGRADE: WebSocket", b"cONNECTION: uPGRADE"))
    yield _accepted("U9", "Firefox's list", request(b"Connection: keep-alive, Upgrade"))
    yield _accepted("U10", "a list without spaces", request(b"Connection: keep-alive,Upgrade,foo"))
    lines = request(b"Connection: keep-alive", b"Connection: foo", b"Connection: Upgrade")
    yield _accepted("U11", "Connection over several lines", lines)
    yield _accepted("U12", "Upgrade as a list", request(b"Upgrade: h2c, websocket"))
    yield _accepted("U13", "Upgrade over two lines", request(b"Upgrade: h2c", b"Upgrade: websocket"))
    yield _accepted("U14", "empty elements", request(b"Connection: ,, Upgrade ,", b"Upgrade: ,websocket,"))
    yield _accepted("U15", "tabs and spaces", request(b"Connection: \t keep-alive \t,\tUpgrade\t "))
    names = request(drop=(b"x",)).replace(b"Sec-WebSocket", b"SEC-websocket")
    yield _accepted("U16", "names of headers in odd case", names)


def _protocols() -> Iterator[Handshake]:
    def offer(*values: bytes) -> bytes:
        return request(*(b"Sec-WebSocket-Protocol: " + value for value in values))

    yield _accepted("P1", "no subprotocol offered", request())
    yield _accepted("P2", "one in common", offer(b"chat.v1"), b"chat.v1")
    yield _accepted("P3", "the server's favourite of two", offer(b"chat.v1, chat.v2"), b"chat.v2")
    yield _accepted("P4", "over two lines", offer(b"other", b"chat.v1"), b"chat.v1")
    yield _accepted("P5", "none in common", offer(b"other, more"))
    yield _accepted("P6", "names differ by case", offer(b"CHAT.V1"))
    yield _refused("P7", "bytes beyond ASCII", offer(b"\x80\xff"), 400)
    yield _refused("P8", "UTF-8", offer("café".encode()), 400)
    yield _refused("P9", "the same twice", offer(b"chat.v1, chat.v1"), 400)
    yield _refused("P10", "the same on two lines", offer(b"chat.v1", b"chat.v1"), 400)
    for number, name in enumerate((b"a b", b"a/b", b'"a"', b"a;q=1", b"a@b", b"{a}"), 11):
        yield _refused(f"P{number}", f"{name.decode()} is not a token", offer(b"chat.v1, " + name), 400)
    many = b", ".join(b"p%d" % index for index in range(500))
    yield _accepted("P17", "500 offers", offer(many, b"chat.v1"), b"chat.v1")


def _others() -> Iterator[Handshake]:
    def extensions(value: bytes) -> bytes:
        return request(b"Sec-WebSocket-Extensions: " + value)

    chrome = b"permessage-deflate; client_max_window_bits"
    yield _accepted("X1", "an extension is offered, none is taken", extensions(chrome))
    yield _accepted("X2", "15 KB of extensions", extensions((chrome + b", ") * 348 + chrome))
    yield _accepted("X3", "15 KB of one extension", extensions(b"a; " + b"b=c; " * 3000 + b"d"))
    yield _accepted("X4", "15 KB of quotes", extensions(b'a; b="' + b'\\"' * 7500 + b'"'))
    yield _accepted("X5", "15 KB of commas", extensions(b"," * 15_000))
    frames = encode(Frame(TEXT, b"early")) + encode(Frame(TEXT, b"bird"))
    yield _accepted(
        "X6",
        "bytes that follow the request at once",
        request(),
        rest=frames,
        echo=((TEXT, b"early"), (TEXT, b"bird")),
    )
    yield _accepted("X7", "half a frame follows at once", request(), rest=frames[:5])


def _offers() -> Iterator[Handshake]:
    """RFC 7692 section 7.1."""

    def offer(*values: bytes) -> bytes:
        return request(*(b"Sec-WebSocket-Extensions: " + value for value in values))

    plain = rb"permessage-deflate(; (server|client)_no_context_takeover|; server_max_window_bits=\d+)*"
    fresh = rb"permessage-deflate(?=.*; server_no_context_takeover).*"
    taken: list[tuple[str, bytes, bytes]] = [
        ("no parameters: none for a window of the client", b"permessage-deflate", plain),
        ("server_no_context_takeover", b"permessage-deflate; server_no_context_takeover", fresh),
        ("client_no_context_takeover", b"permessage-deflate; client_no_context_takeover", plain),
        *(
            (
                f"server_max_window_bits={bits}",
                b"permessage-deflate; server_max_window_bits=%d" % bits,
                b"permessage-deflate.*; server_max_window_bits=(%s)( *;.*)?"
                % b"|".join(b"%d" % least for least in range(8, bits + 1)),
            )
            for bits in range(9, 16)
        ),
        *(
            (
                f"client_max_window_bits={bits}",
                b"permessage-deflate; client_max_window_bits=%d" % bits,
                b"permessage-deflate((?!client_max_window_bits).|client_max_window_bits=(%s)(?!\\d))*"
                % b"|".join(b"%d" % least for least in range(8, bits + 1)),
            )
            for bits in range(8, 16)
        ),
        (
            "a quoted value",
            b'permessage-deflate; server_max_window_bits="10"',
            rb"permessage-deflate.*; server_max_window_bits=(8|9|10)",
        ),
        ("the second of two", b"permessage-deflate; unknown, permessage-deflate", plain),
        ("another extension first", b"x-other; a=b, permessage-deflate", plain),
    ]
    for number, (what, value, pattern) in enumerate(taken, 1):
        yield _agreed(f"D{number}", what, offer(value), pattern)
    yield _agreed("D30", "over two lines", offer(b"x-other", b"permessage-deflate"), plain)
    declined = {
        "server_max_window_bits=8": b"server_max_window_bits=8",
        "a window of 7": b"server_max_window_bits=7",
        "a window of 16": b"client_max_window_bits=16",
        "a window with a zero before it": b"server_max_window_bits=010",
        "a window of the server without a value": b"server_max_window_bits",
        "a window of no number": b"client_max_window_bits=x",
        "no context takeover with a value": b"server_no_context_takeover=1",
        "an unknown parameter": b"level=9",
        "a parameter twice": b"server_no_context_takeover; server_no_context_takeover",
    }
    for number, (what, parameter) in enumerate(declined.items(), 31):
        yield _accepted(f"D{number}", f"declined: {what}", offer(b"permessage-deflate; " + parameter))
    yield _accepted("D40", "an extension that nobody has", offer(b"x-webkit-deflate-frame"))
    malformed = (b"permessage-deflate; =", b"permessage-deflate;", b"a b", b"; a", b'a; b="')
    for number, value in enumerate(malformed, 41):
        yield _refused(f"D{number}", f"malformed: {value.decode()}", offer(value), 400)


def _agreed(id: str, description: str, raw: bytes, pattern: bytes) -> Handshake:
    case = _accepted(id, description, raw)
    absent = tuple(name for name in case.absent if name != b"sec-websocket-extensions")
    return replace(case, absent=absent, extension=pattern)


HANDSHAKES: tuple[Handshake, ...] = (
    *_keys(),
    *_versions(),
    *_request_lines(),
    *_upgrades(),
    *_protocols(),
    *_others(),
)
"""Every vector."""

OFFERS: tuple[Handshake, ...] = tuple(_offers())
"""Offers of permessage-deflate."""
