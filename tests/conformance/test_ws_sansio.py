"""The WebSocket table against the codec alone: whole, in the case's chops, and octet by octet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pytest

from longwave.core.frames import WS, encode_close, encode_close_answer, encode_pong
from longwave.core.ws import Close, Event, Ping, WebSocket
from longwave.errors import ProtocolError
from tests.conformance.ws_cases import AUTOBAHN, CASES, Case, decode, encode_step, sections

LARGE = 100_000
"""Cases of more bytes than this go in chops of 997 instead of octet by octet, to be done in time."""


class Echo:
    """The server of the table, without a network."""

    def __init__(self) -> None:
        self.websocket = WebSocket()
        self.sent = bytearray()
        self.ended = False

    def receive(self, data: bytes) -> None:
        try:
            one = self.websocket.receive_one(data)
            if one is not None:
                payload = one.encode() if isinstance(one, str) else one
                self.sent += WS.frame(payload, isinstance(one, str))
                return
            for event in self.websocket.receive(data):
                self.answer(event)
        except ProtocolError as error:
            self.sent += encode_close(error.code, error.reason)
            self.ended = True

    def answer(self, event: Event) -> None:
        match event:
            case str(data):
                self.sent += WS.frame(data.encode(), True)
            case bytes(data):
                self.sent += WS.frame(data, False)
            case Ping(data):
                self.sent += encode_pong(data)
            case Close(code):
                self.sent += encode_close_answer(code)
                self.ended = True


def chopped(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def check(case: Case, echo: Echo) -> None:
    frames, rest = decode(bytes(echo.sent))
    assert not rest
    assert frames, "nothing was sent, not even a close frame"
    opcode, payload = frames.pop()
    assert opcode == 8
    assert (int.from_bytes(payload[:2], "big") if payload else 1005) in case.close
    payload[2:].decode()
    assert tuple(frames) == case.expect
    assert echo.ended
    assert echo.websocket.closed
    assert echo.websocket.held == 0


def run(case: Case, writes: Iterable[Iterable[bytes]], echo: Echo | None = None) -> None:
    echo = echo or Echo()
    for index, write in enumerate(writes):
        for data in write:
            echo.receive(data)
        if case.fails_at is not None:
            assert echo.ended == (index >= case.fails_at), f"after step {index}"
    check(case, echo)


def ids(case: Case) -> str:
    return case.id


def test_the_table_is_whole() -> None:
    # The inventory of the Autobahn test suite: cases in each section.
    wanted = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "10": 1}
    assert sections(AUTOBAHN) == wanted
    assert sum(wanted.values()) == 247
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_by_steps(case: Case) -> None:
    run(case, ([data] for data in map(encode_step, case.steps)))


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_all_at_once(case: Case) -> None:
    echo = Echo()
    echo.receive(b"".join(map(encode_step, case.steps)))
    check(case, echo)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_octet_by_octet(case: Case) -> None:
    steps = [encode_step(step) for step in case.steps]
    size = 1 if sum(map(len, steps)) <= LARGE else 997
    run(case, (chopped(data, size) for data in steps))


@pytest.mark.parametrize("case", [case for case in CASES if case.chop], ids=ids)
def test_in_its_own_chops(case: Case) -> None:
    run(case, (chopped(encode_step(step), case.chop) for step in case.steps))


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\x81\x82\x83"], ids=bytes.hex)
def test_any_mask(mask: bytes) -> None:
    small = (case for case in CASES if sum(len(encode_step(step)) for step in case.steps) < 5000)
    for case, size in itertools.product(small, (1, 3, 1000)):
        run(case, (chopped(encode_step(step, mask), size) for step in case.steps))
