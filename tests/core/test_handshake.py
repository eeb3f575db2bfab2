"""The opening handshake: the table of vectors, and what it does not reach."""

from __future__ import annotations

import pytest

from longwave.core.handshake import (
    accept_key,
    check_upgrade,
    choose_protocol,
    encode_switch,
    is_websocket_upgrade,
    offered_protocols,
)
from longwave.errors import RequestError
from longwave.types import Fields
from tests.conformance.handshake_cases import ACCEPT, HANDSHAKES, KEY, PROTOCOLS, Handshake, request
from tests.core.growth import quickest


def read(raw: bytes) -> tuple[str, str, Fields]:
    """Return method, version and fields of a good head, as the parser in front hands them over."""
    head = raw.partition(b"\r\n\r\n")[0]
    line, *lines = head.split(b"\r\n")
    method, _, version = line.decode().split(" ")
    fields = [
        (name.strip().lower(), value.strip(b" \t")) for name, _, value in (x.partition(b":") for x in lines)
    ]
    return method, version.removeprefix("HTTP/"), fields


def answer(raw: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Do what a server does with a request for a WebSocket."""
    method, version, fields = read(raw)
    try:
        key = check_upgrade(method, version, fields)
        protocol = choose_protocol(offered_protocols(fields), PROTOCOLS)
    except RequestError as error:
        return error.status, {name.encode(): value.encode() for name, value in error.headers.items()}
    head = encode_switch(accept_key(key), protocol)
    assert head.endswith(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    return 101, dict(read(b"GET / HTTP/1.1\r\n" + head.partition(b"\r\n")[2])[2])


@pytest.mark.parametrize("case", HANDSHAKES, ids=lambda case: case.id)
def test_vector(case: Handshake) -> None:
    status, headers = answer(case.request)
    assert status in case.status
    for name, value in case.headers.items():
        assert headers[name].lower() == value.lower()
    for name in case.absent:
        assert name not in headers


def test_the_table_is_whole() -> None:
    assert len({case.id for case in HANDSHAKES}) == len(HANDSHAKES) >= 24


def test_accept_is_that_of_the_rfc() -> None:
    assert accept_key(KEY) == ACCEPT


def test_the_key_comes_back() -> None:
    assert check_upgrade(*read(request())) == KEY


@pytest.mark.parametrize("drop", [b"Upgrade", b"Connection"])
def test_an_upgrade_needs_both_headers(drop: bytes) -> None:
    assert is_websocket_upgrade(read(request())[2])
    assert not is_websocket_upgrade(read(request(drop=(drop,)))[2])
    assert not is_websocket_upgrade([])


def test_refusals_say_what_was_expected() -> None:
    with pytest.raises(RequestError, match="missing"):
        check_upgrade(*read(request(drop=(b"Sec-WebSocket-Key",))))
    with pytest.raises(RequestError, match="more than once"):
        check_upgrade(*read(request(*[b"Sec-WebSocket-Key: " + KEY] * 2)))
    with pytest.raises(RequestError, match="16 bytes"):
        check_upgrade(*read(request(b"Sec-WebSocket-Key: short")))
    with pytest.raises(RequestError, match="must be 13") as caught:
        check_upgrade(*read(request(b"Sec-WebSocket-Version: 8")))
    # RFC 9110 section 15.5.22: a 426 names in Upgrade what is required.
    assert caught.value.headers == {"sec-websocket-version": "13", "upgrade": "websocket"}


def test_offers_keep_their_order() -> None:
    fields = [(b"sec-websocket-protocol", b"b, ,a"), (b"host", b"x"), (b"sec-websocket-protocol", b"c")]
    assert offered_protocols(fields) == ["b", "a", "c"]
    assert offered_protocols([(b"sec-websocket-protocol", b"")]) == []
    assert offered_protocols([]) == []


def test_the_server_chooses_in_its_own_order() -> None:
    assert choose_protocol(["a", "b"], ["c", "b", "a"]) == "b"
    assert choose_protocol(["a"], ["b"]) is None
    assert choose_protocol([], ["b"]) is None
    assert choose_protocol(["a"], []) is None


def test_switch_carries_protocol_and_extra_fields() -> None:
    head = encode_switch(ACCEPT, "chat.v1", [(b"set-cookie", b"a=b"), (b"x-user", b"caf\xe9")])
    assert head == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nSec-WebSocket-Protocol: chat.v1\r\n"
        b"set-cookie: a=b\r\nx-user: caf\xe9\r\n\r\n"
    )


@pytest.mark.parametrize("protocol", ["", "a b", "a\r\nx: y", "a\0", "é", "a,b", "€", "\ud800"])
def test_switch_refuses_a_protocol_that_is_no_token(protocol: str) -> None:
    with pytest.raises(ValueError, match="token"):
        encode_switch(ACCEPT, protocol)


@pytest.mark.parametrize(
    "field",
    [
        (b"x", b"a\r\nb: c"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\0b"),
        (b"", b"a"),
        (b"a b", b"c"),
        (b"a:", b"c"),
        (b"a\r\n", b"c"),
        (b"\xe9", b"c"),
    ],
)
def test_switch_lets_nothing_be_injected(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError):
        encode_switch(ACCEPT, None, [field])


@pytest.mark.parametrize(
    "name",
    [
        b"Upgrade",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"Sec-WebSocket-Accept",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    ],
)
def test_switch_keeps_its_own_fields(name: bytes) -> None:
    with pytest.raises(ValueError, match="by hand"):
        encode_switch(ACCEPT, None, [(name, b"x")])


@pytest.mark.parametrize(
    "header",
    [
        b"Connection: " + b"a," * 7000 + b"Upgrade",
        b"Upgrade: " + b" ," * 7000 + b"websocket",
        b"Sec-WebSocket-Protocol: " + b",".join(b"p%d" % index for index in range(2500)),
        b"Sec-WebSocket-Protocol: " + b"," * 15_000,
        b"Sec-WebSocket-Protocol: " + b"a" * 15_000,
        b"Sec-WebSocket-Extensions: " + b"a; b=c, " * 1900,
        b"Sec-WebSocket-Key: " + b"A" * 15_000,
        b"Sec-WebSocket-Version: " + b"1" * 15_000,
    ],
    ids=lambda header: header[:40].decode(),
)
def test_no_header_takes_long(header: bytes) -> None:
    raw = request(header)
    assert quickest(lambda: answer(raw), 0.01) < 0.01
