"""HTTP/1.1 requests as bytes, and what a server must make of them; data that imports nothing of ours.

`SPEC_1` and `SPEC_2` are equivalents of the two h1spec suites, 33 cases each; `SMUGGLING` is the matrix of
what servers disagree about. A case is one connection: the client sends `data`, and expects

- `requests`: the requests that reach a handler whole, in order, each with its body;
- then one of: `refused`, a status of that set, and the connection closed, whatever else was sent; `waits`, no
  answer, as more must come; or neither, the connection stays open or closes as `keeps` says.

`begun` means that the refused request has a good head: its handler may have begun, but its body must never be
whole, and no 2xx may follow. Where it is false no handler may run for it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ALL", "SMUGGLING", "SPEC_1", "SPEC_2", "Case", "Seen"]


class Seen(NamedTuple):
    """One request as a handler sees it."""

    method: str = "GET"
    target: bytes = b"/"
    body: bytes = b""


class Case(NamedTuple):
    """One connection; see the module."""

    name: str
    data: bytes
    requests: tuple[Seen, ...] = ()
    refused: frozenset[int] = frozenset()
    begun: bool = False
    waits: bool = False
    keeps: bool = True


BAD = frozenset((400,))
VERSION = frozenset((400, 505))
TOO_LONG = frozenset((431,))
HOST = b"Host: localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
POSTED = Seen("POST", b"/", b"hello")
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"


def good(name: str, data: bytes, *requests: Seen, keeps: bool = True) -> Case:
    """Return a case whose requests all are answered."""
    return Case(name, data, requests or (Seen(),), keeps=keeps)


def bad(name: str, data: bytes, status: frozenset[int] = BAD) -> Case:
    """Return a case whose request is refused before any handler runs."""
    return Case(name, data, refused=status)


def bad_field(name: str, line: bytes, status: frozenset[int] = BAD) -> Case:
    """Return a case with one line more in the head of a GET, and another request behind it."""
    return bad(name, b"GET / HTTP/1.1\r\n" + HOST + line + b"\r\n\r\n" + NEXT, status)


def bad_framing(name: str, lines: bytes, body: bytes = HELLO, version: bytes = b"1.1") -> Case:
    """Return a case with a body whose framing is not to be trusted."""
    return bad(name, b"POST / HTTP/%b\r\n%b%b\r\n\r\n%b%b" % (version, HOST, lines, body, NEXT))


def bad_host(name: str, value: bytes) -> Case:
    """Return a case with this Host alone."""
    return bad("Host " + name, b"GET / HTTP/1.1\r\nHost:" + value + b"\r\n\r\n" + NEXT)


def bad_line(name: str, line: bytes, status: frozenset[int] = BAD) -> Case:
    """Return a case with this request line."""
    return bad(name, line + b"\r\n" + HOST + b"\r\n" + NEXT, status)


def bad_chunks(name: str, body: bytes, status: frozenset[int] = BAD) -> Case:
    """Return a case with a good head and a bad chunked body."""
    return Case(name, CHUNKED + body, refused=status, begun=True)


def part(name: str, data: bytes) -> Case:
    """Return a case that is a request up to some byte."""
    return Case(name, data, waits=True)


SPEC_1 = (
    part("method, begun", b"G"),
    part("method and space", b"GET "),
    part("path, not ended", b"GET /hello"),
    part("path and space", b"GET /hello "),
    part("version, begun", b"GET /hello HTTP"),
    part("request line without its end", b"GET /hello HTTP/1.1"),
    part("request line and CR", b"GET /hello HTTP/1.1\r"),
    part("request line", b"GET /hello HTTP/1.1\r\n"),
    part("field name, begun", b"GET /hello HTTP/1.1\r\nHos"),
    part("field name and colon", b"GET /hello HTTP/1.1\r\nHost:"),
    part("space before the value", b"GET /hello HTTP/1.1\r\nHost: "),
    part("value, not ended", b"GET /hello HTTP/1.1\r\nHost: localhost"),
    part("value and CR", b"GET /hello HTTP/1.1\r\nHost: localhost\r"),
    part("field line", b"GET /hello HTTP/1.1\r\nHost: localhost\r\n"),
    part("all but the last byte", b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r"),
    bad("no version", b"GET / \r\n\r\n", VERSION),
    good("Expect without a body", b"GET / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\n\r\n"),
    good("plain GET", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
    good("odd case, tab, empty value", b"GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n"),
    bad_field("brackets in a name", b"X-Odd[]: test"),
    bad("no Host", b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"),
    bad("two Hosts", b"GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.org\r\n\r\n"),
    bad_field("very negative Content-Length", b"Content-Length: -123456789123456789123456789"),
    bad_field("negative Content-Length", b"Content-Length: -1234"),
    bad_field("Content-Length of letters", b"Content-Length: abc"),
    good("empty value", b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Empty: \r\n\r\n"),
    bad_field("BEL in a value", b"X-Bell: test\x07"),
    bad_line("version 9.9", b"GET / HTTP/9.9", VERSION),
    bad_line("text before the method", b"Extra lineGET / HTTP/1.1", VERSION),
    bad("CR between the lines", b"GET / HTTP/1.1\r\nHost: example.com\r\n\rSome-Header: Test\r\n\r\n"),
    good(
        "POST with a length",
        b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello",
        Seen("POST", b"/", b"hello"),
    ),
    good(
        "POST with chunks", CHUNKED + b"c\r\nHellO world1\r\n0\r\n\r\n", Seen("POST", b"/", b"HellO world1")
    ),
    bad_framing(
        "length and chunks in odd case",
        b"content-LengtH: 5\r\nTransFer-Encoding: chunked",
        b"c\r\nHellO world1\r\n0\r\n\r\n",
    ),
)

SPEC_2 = (
    good("GET", GET),
    good("POST with five bytes", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", POSTED),
    good("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", Seen("OPTIONS", b"*")),
    good("absolute form", b"GET http://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    bad_line("CONNECT", b"CONNECT example.com:443 HTTP/1.1", frozenset((405, 501))),
    bad_line("HTTP/2.0", b"GET / HTTP/2.0", VERSION),
    bad_line("line without a version", b"GET /"),
    bad("Host missing", b"GET / HTTP/1.1\r\n\r\n"),
    bad("Host twice", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n\r\n"),
    bad_host("with a space", b" bad host"),
    bad_field("space in a name", b"Bad Header: value"),
    bad("folded line", b"GET / HTTP/1.1\r\nHost: localhost\r\n  continued\r\n\r\n"),
    bad("space before the colon", b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n"),
    bad_host("with NUL", b" local\x00host"),
    good("chunks", CHUNKED + HELLO, POSTED),
    bad_framing("chunks on HTTP/1.0", b"Transfer-Encoding: chunked", version=b"1.0"),
    bad_framing("chunks and a length", b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
    bad_framing(
        "length and chunks, then another request", b"Content-Length: 15\r\nTransfer-Encoding: chunked"
    ),
    bad_framing("unknown coding", b"Transfer-Encoding: nonsense"),
    bad_framing("chunked not last", b"Transfer-Encoding: chunked, gzip"),
    bad_framing("two lengths", b"Content-Length: 5\r\nContent-Length: 7", b"hello!!"),
    bad_framing("length xyz", b"Content-Length: xyz", b"hello"),
    bad_chunks("chunk size Z", b"Z\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("no CRLF after the data", b"5\r\nhello0\r\n\r\n" + NEXT),
    good(
        "Expect with a body",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        POSTED,
    ),
    good("two requests", GET + NEXT, Seen(), Seen("GET", b"/next")),
    good(
        "Connection: close",
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n" + NEXT,
        Seen(),
        keeps=False,
    ),
    good("HTTP/1.0 closes", b"GET / HTTP/1.0\r\n" + HOST + b"\r\n" + NEXT, Seen(), keeps=False),
    bad_line("very long line", b"GET /" + b"a" * 9000 + b" HTTP/1.1", frozenset((414,))),
    bad_field("101 fields", b"\r\n".join(b"X-H-%d: value" % i for i in range(101)), TOO_LONG),
    good("one long field", b"GET / HTTP/1.1\r\n" + HOST + b"X-Big: " + b"x" * 9000 + b"\r\n\r\n"),
    good("HEAD", b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n", Seen("HEAD")),
    bad_line("method in lower case", b"get / HTTP/1.1", frozenset((400, 405, 501))),
)

FRAMING = (
    bad_framing("CL + TE", b"Content-Length: 15\r\nTransfer-Encoding: chunked"),
    bad_framing("TE + CL of zero", b"Transfer-Encoding: chunked\r\nContent-Length: 0"),
    bad_framing("TE chunked twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    bad_framing("TE chunked, chunked", b"Transfer-Encoding: chunked, chunked"),
    bad_framing("TE identity, chunked", b"Transfer-Encoding: identity, chunked"),
    bad_framing(
        "TE identity and chunked on two lines", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"
    ),
    bad_framing("TE gzip, chunked", b"Transfer-Encoding: gzip, chunked"),
    bad_framing("TE chunked, identity", b"Transfer-Encoding: chunked, identity"),
    bad_framing("TE identity", b"Transfer-Encoding: identity"),
    bad_framing("TE xchunked", b"Transfer-Encoding: xchunked"),
    bad_framing("TE with a parameter", b"Transfer-Encoding: chunked;q=1"),
    bad_framing("TE with a comma", b"Transfer-Encoding: ,chunked"),
    bad_framing("TE quoted", b'Transfer-Encoding: "chunked"'),
    bad_framing("TE with VT", b"Transfer-Encoding: \x0bchunked"),
    bad_framing("TE with NUL", b"Transfer-Encoding: chunked\x00"),
    bad_framing("TE with NBSP", b"Transfer-Encoding: \xa0chunked"),
    bad_framing("TE empty", b"Transfer-Encoding:"),
    bad_framing("TE folded", b"Transfer-Encoding:\r\n chunked"),
    bad_framing("TE with space before its colon", b"Transfer-Encoding : chunked"),
    bad_framing("TE with space before its name", b" Transfer-Encoding: chunked"),
    bad_framing("TE behind a bare LF", b"X: y\nTransfer-Encoding: chunked"),
    bad_framing("TE behind a bare CR", b"X: y\rTransfer-Encoding: chunked"),
    bad_framing("TE on HTTP/1.0", b"Transfer-Encoding: chunked", version=b"1.0"),
    bad_framing(
        "TE on HTTP/1.0 kept alive", b"Connection: keep-alive\r\nTransfer-Encoding: chunked", version=b"1.0"
    ),
    good("TE in capitals", CHUNKED.replace(b"chunked", b"CHUNKED") + HELLO + GET, POSTED, Seen()),
    good(
        "TE with an underscore is another header",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello" + GET,
        POSTED,
        Seen(),
    ),
    bad_framing("CL 5, 5", b"Content-Length: 5, 5", b"hello"),
    bad_framing("CL 5 twice", b"Content-Length: 5\r\nContent-Length: 5", b"hello"),
    bad_framing("CL 5 and 0", b"Content-Length: 5\r\nContent-Length: 0", b"hello"),
    bad_framing("CL +5", b"Content-Length: +5", b"hello"),
    bad_framing("CL -5", b"Content-Length: -5", b"hello"),
    bad_framing("CL 0x5", b"Content-Length: 0x5", b"hello"),
    bad_framing("CL 0_5", b"Content-Length: 0_5", b"hello"),
    bad_framing("CL 5.0", b"Content-Length: 5.0", b"hello"),
    bad_framing("CL 1 5", b"Content-Length: 1 5", b"hello"),
    bad_framing("CL empty", b"Content-Length:", b"hello"),
    bad_framing("CL with VT", b"Content-Length: \x0b5", b"hello"),
    bad_framing("CL in Arabic digits", "Content-Length: ٥".encode(), b"hello"),
    bad_framing("CL 2^64 + 5", b"Content-Length: 18446744073709551621", b"hello"),
    bad_framing("CL 2^63", b"Content-Length: 9223372036854775808", b"hello"),
    bad_framing("CL with space before its colon", b"Content-Length : 5", b"hello"),
    good("CL between spaces", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: \t5 \t\r\n\r\nhello", POSTED),
    good(
        "CL with zeros",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 005\r\n\r\nhello" + GET,
        POSTED,
        Seen(),
    ),
    bad(
        "CL beyond the limit",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\nhello",
        frozenset((413,)),
    ),
)

CHUNKS = (
    bad_chunks("size 0x5", b"0x5\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("size +5", b"+5\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("size -5", b"-5\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("size 0_5", b"0_5\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("space before the size", b" 5\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("space after the size", b"5 \r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("tab after the size", b"5\t\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("no size", b"\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("no size but an extension", b";a=b\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("size 2^64 + 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("size 2^64 - 1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", frozenset((400, 413))),
    bad_chunks("size of many zeros", b"0" * 300 + b"5\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("size beyond the limit", b"10000000\r\nhello", frozenset((413,))),
    bad_chunks("bare LF after the size", b"5\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("bare CR after the size", b"5\rhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("CR CR LF after the size", b"5\r\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("LF in an extension", b"5;a\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("NUL in an extension", b"5;a\x00\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("64 KiB extension", b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("many extensions", (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 100 + b"0\r\n\r\n" + NEXT),
    bad_chunks("data shorter than said", b"6\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("data longer than said", b"4\r\nhello\r\n0\r\n\r\n" + NEXT),
    bad_chunks("bare LF after the data", b"5\r\nhello\n0\r\n\r\n" + NEXT),
    bad_chunks("bare CR after the data", b"5\r\nhello\r0\r\n\r\n" + NEXT),
    bad_chunks("bare LF at the end", b"5\r\nhello\r\n0\r\n\n" + NEXT),
    bad_chunks("request for a trailer", b"5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n" + NEXT),
    bad_chunks("trailer without a colon", b"0\r\nabc\r\n\r\n" + NEXT),
    bad_chunks("trailer with a bare LF", b"0\r\na: b\nc: d\r\n\r\n" + NEXT),
    bad_chunks("trailer with a bare CR", b"0\r\na: b\rc: d\r\n\r\n" + NEXT),
    bad_chunks("trailer folded", b"0\r\na: b\r\n c\r\n\r\n" + NEXT),
    bad_chunks("trailer with space before its colon", b"0\r\na : b\r\n\r\n" + NEXT),
    bad_chunks("64 KiB trailer", b"0\r\na: " + b"b" * 65536 + b"\r\n\r\n" + NEXT, TOO_LONG),
    bad_chunks("101 trailers", b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n" + NEXT, TOO_LONG),
    good(
        "extensions and trailers",
        CHUNKED + b'5;a;b="c d"\r\nhello\r\n0;z\r\na: b\r\nHost: c\r\n\r\n' + GET,
        POSTED,
        Seen(),
    ),
    good(
        "size with zeros and capitals",
        CHUNKED + b"000A\r\nhellohello\r\n00\r\n\r\n",
        Seen("POST", b"/", b"hello" * 2),
    ),
    Case("no last CRLF", CHUNKED + b"5\r\nhello\r\n0\r\n", waits=True),
)

LINES = (
    bad("bare LF everywhere", GET.replace(b"\r\n", b"\n")),
    bad("bare LF after a field", b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n"),
    bad("bare LF after the request line", b"GET / HTTP/1.1\nHost: localhost\r\n\r\n"),
    bad("bare LF for the empty line", b"GET / HTTP/1.1\r\nHost: localhost\r\n\n" + NEXT),
    bad_field("bare CR in a value", b"X: a\rb"),
    bad_field("CR CR LF", b"X: a\r"),
    bad_field("folded value", b"X: a\r\n b"),
    bad_field("folded value with a tab", b"X: a\r\n\tb"),
    bad_field("BEL", b"X: \x07"),
    bad_field("NUL", b"X: a\x00b"),
    bad_field("NUL in a name", b"X\x00: a"),
    bad_field("DEL", b"X: \x7f"),
    bad_field("form feed", b"X: a\x0cb"),
    bad_field("space before a colon", b"X : y"),
    bad_field("tab before a colon", b"X\t: y"),
    bad_field("no name", b": y"),
    bad_field("no colon", b"XY"),
    bad_field("non-ASCII name", b"X\xe9: y"),
    good("latin-1 value", b"GET / HTTP/1.1\r\n" + HOST + b"X: caf\xe9\r\n\r\n"),
    bad("space before the first field", b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n" + NEXT),
    bad_field("expectation unknown", b"Expect: a-present", frozenset((417,))),
    bad_field("headers of 64 KiB", b"X: " + b"a" * 65536, TOO_LONG),
)

HOSTS = (
    bad("no Host at all", b"GET / HTTP/1.1\r\nX: y\r\n\r\n" + NEXT),
    bad("the same Host twice", b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n" + NEXT),
    bad("two Hosts on HTTP/1.0", b"GET / HTTP/1.0\r\n" + HOST + b"Host: other\r\n\r\n" + NEXT),
    bad_host("empty", b""),
    bad_host("a b", b" a b"),
    bad_host("a, b", b" a, b"),
    bad_host("a,b", b" a,b"),
    bad_host("u@h", b" u@h"),
    bad_host("with a path", b" a/b"),
    bad_host("with a query", b" a?b"),
    bad_host("with a fragment", b" a#b"),
    bad_host("with a backslash", b" a\\b"),
    bad_host("with a scheme", b" http://a"),
    bad_host("with a quote", b' "a"'),
    bad_host("with angle brackets", b" <a>"),
    bad_host("with two ports", b" a:1:2"),
    bad_host("with a port of letters", b" a:http"),
    bad_host("with a negative port", b" a:-1"),
    bad_host("of a port alone", b" :80"),
    bad_host("with a bracket open", b" [::1"),
    bad_host("with text behind brackets", b" [::1]a"),
    bad_host("with letters in brackets", b" [xyz]"),
    bad_host("of IPv6 without brackets", b" ::1"),
    bad_host("with a bad escape", b" a%2"),
    bad_host("beyond ASCII", b" caf\xe9"),
    *(
        good("Host " + host.decode(), b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        for host in (
            b"localhost:3000",
            b"127.0.0.1",
            b"[::1]:80",
            b"a_b.example.",
            b"xn--caf-dma.fr",
            b"a%20b",
            b"a:",
        )
    ),
    good("no Host on HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", keeps=False),
)

REQUEST_LINES = (
    bad_line("HTTP/9.9", b"GET / HTTP/9.9", VERSION),
    bad_line("HTTP/2.0 on h1", b"GET / HTTP/2.0", VERSION),
    bad_line("HTTP/1.2", b"GET / HTTP/1.2", VERSION),
    bad_line("HTTP/0.9", b"GET / HTTP/0.9", VERSION),
    bad_line("HTTP/1", b"GET / HTTP/1"),
    bad_line("HTTP/01.1", b"GET / HTTP/01.1"),
    bad_line("HTTP/1.10", b"GET / HTTP/1.10"),
    bad_line("http/1.1", b"GET / http/1.1"),
    bad_line("HTTPS/1.1", b"GET / HTTPS/1.1"),
    bad_line("ICE/1.1", b"GET / ICE/1.1"),
    bad_line("two spaces before the version", b"GET /  HTTP/1.1"),
    bad_line("two spaces before the target", b"GET  / HTTP/1.1"),
    bad_line("tab before the target", b"GET\t/ HTTP/1.1"),
    bad_line("space before the method", b" GET / HTTP/1.1"),
    bad_line("space after the version", b"GET / HTTP/1.1 "),
    bad_line("space in the target", b"GET /a b HTTP/1.1"),
    bad_line("NUL in the target", b"GET /a\x00b HTTP/1.1"),
    bad_line("CR in the target", b"GET /a\rb HTTP/1.1"),
    bad_line("fragment in the target", b"GET /a#b HTTP/1.1"),
    bad_line("non-ASCII target", b"GET /caf\xc3\xa9 HTTP/1.1"),
    bad_line("target without a slash", b"GET a HTTP/1.1"),
    bad_line("query for a target", b"GET ?a HTTP/1.1"),
    bad_line("* for GET", b"GET * HTTP/1.1"),
    bad_line("user in the target", b"GET http://u@localhost/ HTTP/1.1"),
    bad_line("no host in the target", b"GET http:///a HTTP/1.1"),
    bad_line("space in the host of the target", b"GET http://local%host/ HTTP/1.1"),
    bad_line("another scheme", b"GET ftp://localhost/ HTTP/1.1"),
    bad_line("colon in the method", b"GE:T / HTTP/1.1"),
    bad_line("unknown method", b"FROB / HTTP/1.1", frozenset((400, 405, 501))),
    bad_line("CONNECT to a path", b"CONNECT / HTTP/1.1", frozenset((400, 405, 501))),
    bad("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    bad("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64))),
    bad("leading LF", b"\n" + GET),
    bad("leading CR", b"\r" + GET),
    bad("nine leading CRLF", b"\r\n" * 9 + GET),
    good("leading CRLF", b"\r\n" + GET + b"\r\n" + NEXT, Seen(), Seen("GET", b"/next")),
    good(
        "absolute form with a query",
        b"GET HTTP://localhost:80?a=b HTTP/1.1\r\n" + HOST + b"\r\n",
        Seen("GET", b"/?a=b"),
    ),
    good(
        "absolute form of OPTIONS",
        b"OPTIONS http://localhost HTTP/1.1\r\n" + HOST + b"\r\n",
        Seen("OPTIONS", b"*"),
    ),
    good("two slashes are a path", b"GET //a/b HTTP/1.1\r\n" + HOST + b"\r\n", Seen("GET", b"//a/b")),
    good(
        "odd bytes in a query",
        b'GET /?a="<>\\^`{|} HTTP/1.1\r\n' + HOST + b"\r\n",
        Seen("GET", b'/?a="<>\\^`{|}'),
    ),
    good("pipelining", GET * 3 + NEXT, Seen(), Seen(), Seen(), Seen("GET", b"/next")),
    good("pipelining, 50", GET * 50, *[Seen()] * 50),
    good("pipelining behind bodies", (CHUNKED + HELLO) * 2 + GET, POSTED, POSTED, Seen()),
    Case("bad behind good", GET + b"GET / HTTP/1.1\r\n\r\n" + NEXT, (Seen(),), BAD),
    Case(
        "length shorter than the body",
        CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 3") + b"hello" + GET,
        (Seen("POST", b"/", b"hel"),),
        frozenset((400, 405, 501)),
    ),
    Case(
        "length longer than the body",
        CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 6") + b"hello",
        waits=True,
    ),
)

SMUGGLING = FRAMING + CHUNKS + LINES + HOSTS + REQUEST_LINES
ALL = SPEC_1 + SPEC_2 + SMUGGLING
