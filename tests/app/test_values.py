from __future__ import annotations

import dataclasses
import datetime
import enum
import gc
import sys
import typing
import uuid
import weakref
from typing import Any

import msgspec
import pydantic
import pytest

from longwave.app.values import (
    EventMessage,
    decode_json,
    decoder_for,
    encode_json,
    encode_push,
    encode_value,
    make_decoder,
)
from longwave.errors import MessageError


class Words(msgspec.Struct):
    words: list[str]


@dataclasses.dataclass
class Point:
    x: int


class Shape(typing.TypedDict):
    sides: int


class Model(pydantic.BaseModel):
    count: int


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "payload", "is_text"),
    [
        ("é", "é".encode(), True),
        ("", b"", True),
        (Text("sub"), b"sub", True),
        (b"\x00", b"\x00", False),
        (bytearray(b"a"), b"a", False),
        (memoryview(b"abc")[1:], b"bc", False),
        ({"a": None}, b'{"a":null}', True),
        ([1, "x"], b'[1,"x"]', True),
        ((1, 2), b"[1,2]", True),
        (Point(1), b'{"x":1}', True),
        (Words(["a"]), b'{"words":["a"]}', True),
        (Model(count=2), b'{"count":2}', True),
        ([Model(count=2)], b'[{"count":2}]', True),
        (Colour.RED, b'"red"', True),
        (1.5, b"1.5", True),
        (True, b"true", True),
        (datetime.date(2024, 1, 2), b'"2024-01-02"', True),
        (uuid.UUID(int=0), b'"00000000-0000-0000-0000-000000000000"', True),
    ],
)
def test_what_can_go_out(value: Any, payload: bytes, is_text: bool) -> None:
    assert encode_value(value) == (payload, is_text)


@pytest.mark.parametrize("value", [None, object(), lambda: None, {"a": object()}, Model, iter([1])])
def test_what_cannot_go_out_is_a_type_error_that_says_what_to_do(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        encode_value(value)


@pytest.mark.parametrize("value", ["\ud800", {"a": "\ud800"}])
def test_a_lone_surrogate_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode_value(value)


def test_encode_json_takes_none_too() -> None:
    assert encode_json({"b": [None]}) == b'{"b":[null]}'
    assert encode_json(None) == b"null"


@pytest.mark.parametrize(
    ("data", "type", "value"),
    [
        ('{"words":["a"]}', Words, Words(["a"])),
        (b'{"x":1}', Point, Point(1)),
        ('{"sides":3}', Shape, {"sides": 3}),
        ('{"count":1}', Model, Model(count=1)),
        ('[{"count":1}]', list[Model], [Model(count=1)]),
        ('{"a":{"count":1}}', dict[str, Model], {"a": Model(count=1)}),
        ("[1,2]", list[int], [1, 2]),
        ("null", typing.Optional[int], None),  # noqa: UP045
        ('"red"', Colour, Colour.RED),
        ("[1]", None, [1]),
        ("3", typing.Annotated[int, msgspec.Meta(ge=1)], 3),
    ],
)
def test_what_json_decodes_into(data: str | bytes, type: Any, value: Any) -> None:
    assert decode_json(data, type) == value


@pytest.mark.parametrize(
    ("data", "type", "words"),
    [
        ('{"words":["a",7]}', Words, "$.words[1]"),
        ('{"count":"x"}', Model, "$.count"),
        ('[{"count":1},{"count":"x"}]', list[Model], "$[1]"),
        ("0", typing.Annotated[int, msgspec.Meta(ge=1)], ">= 1"),
        ("{", None, "truncated"),
        (b"\xff", None, "invalid"),
        (b'"\xff"', str, "utf-8"),
        ("", None, "truncated"),
        ("[" * 100_000, None, "nested too deep"),
        ("[" * 100_000, Model, "recursion"),
    ],
)
def test_what_does_not_fit_names_the_place(data: str | bytes, type: Any, words: str) -> None:
    with pytest.raises(MessageError) as caught:
        decode_json(data, type)
    assert words.lower() in str(caught.value).lower()


def test_a_type_that_json_cannot_become_is_no_mistake_of_the_sender() -> None:
    class Custom:
        pass

    for wanted in (Custom, Words | Point):
        with pytest.raises(TypeError):
            decode_json("{}", wanted)
    with pytest.raises(NotImplementedError, match="Custom"):
        decode_json("[1]", list[Custom])


def test_decoders_are_kept_and_let_go() -> None:
    class Local(msgspec.Struct):
        a: int

    assert decoder_for(Local) is decoder_for(Local)
    make_decoder(Local)
    ghost = weakref.ref(Local)
    decoder_for.cache_clear()
    del Local
    gc.collect()
    assert ghost() is None or sys.gettrace() is not None


@pytest.mark.parametrize(
    ("event", "encoded"),
    [
        ("a", b"data: a\n\n"),
        ("", b"data: \n\n"),
        ("a\r\nb\rc\nd", b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("\u2028\x0b\x0c\x85", "data: \u2028\x0b\x0c\x85\n\n".encode()),
        ({"a": 1}, b'data: {"a":1}\n\n'),
        (7, b"data: 7\n\n"),
        (Point(1), b'data: {"x":1}\n\n'),
        (EventMessage("x", "e", "1", 5), b"id: 1\nevent: e\nretry: 5\ndata: x\n\n"),
        (EventMessage([1], id=""), b"id: \ndata: [1]\n\n"),
        (EventMessage(None, id="7"), b"id: 7\n\n"),
        (EventMessage(), b"data: \n\n"),
    ],
)
def test_what_may_be_pushed(event: Any, encoded: bytes) -> None:
    assert encode_push(event) == encoded


@pytest.mark.parametrize("event", [None, b"x", object(), EventMessage(b"x"), EventMessage(object())])
def test_what_may_not(event: Any) -> None:
    with pytest.raises(TypeError):
        encode_push(event)


@pytest.mark.parametrize(
    "event",
    [
        EventMessage("x", event="a\nb"),
        EventMessage("x", event="a\rb"),
        EventMessage("x", event="a\0"),
        EventMessage("x", id="a\nb"),
        EventMessage("x", id="\0"),
        EventMessage("x", retry=-1),
        EventMessage("x", event="\ud800"),
        EventMessage("x", id="\ud800"),
        "\ud800",
        ["\ud800"],
    ],
)
def test_nothing_can_inject_an_event(event: Any) -> None:
    with pytest.raises(ValueError):
        encode_push(event)
