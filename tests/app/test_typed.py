from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Optional, TypedDict, Union

import msgspec
import pydantic
import pytest

from longwave.app.message import Message
from longwave.app.typed import reader_of
from longwave.errors import DefinitionError, MessageError


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    tail: bool


@dataclasses.dataclass
class Point:
    x: int


class Shape(TypedDict):
    sides: int


class Model(pydantic.BaseModel):
    count: int


class Own(Message):
    pass


class Unknown:
    pass


def hook_for(annotation: Any) -> Any:
    def hook(peer: Any, message: Any) -> None: ...

    hook.__annotations__["message"] = annotation
    return hook


def read(annotation: Any, raw: str | bytes) -> Any:
    reader = reader_of(hook_for(annotation), "the message hook")
    assert reader is not None
    return reader(Message(None, raw, isinstance(raw, str)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "annotation",
    [Message, Own, Any, object, Optional[Message], Message | str, Annotated[Message, "doc"], "Message"],  # noqa: UP045
)
def test_the_message_itself(annotation: Any) -> None:
    assert reader_of(hook_for(annotation), "the message hook") is None


@pytest.mark.parametrize(
    ("annotation", "raw", "value"),
    [
        (str, "text", "text"),
        (str, b"\xff", "\ufffd"),
        (bytes, "é", "é".encode()),
        (bytes, b"\xff", b"\xff"),
        (str | bytes, "text", "text"),
        (Union[str, bytes], b"\xff", b"\xff"),  # noqa: UP007
        (str | None, "null", "null"),
        (Annotated[str, msgspec.Meta(max_length=3)], "abc", "abc"),
        (Annotated[str, "doc"], "abcd", "abcd"),
        (dict, '{"a":1}', {"a": 1}),
        (list[int], "[1]", [1]),
        (dict[str, Any], '{"a":[1]}', {"a": [1]}),
        (Cat | Dog, '{"type":"dog","tail":true}', Dog(True)),
        (Cat | None, "null", None),
        (Point, b'{"x":1}', Point(1)),
        (Shape, '{"sides":3}', {"sides": 3}),
        (Model, '{"count":1}', Model(count=1)),
        (list[Model], '[{"count":1}]', [Model(count=1)]),
        (Annotated[int, msgspec.Meta(ge=1)], "1", 1),
        (bool, "true", True),
        ("list[int]", "[1]", [1]),
    ],
)
def test_what_a_hook_may_ask_for(annotation: Any, raw: str | bytes, value: Any) -> None:
    assert read(annotation, raw) == value


@pytest.mark.parametrize(
    ("annotation", "raw", "words"),
    [
        (Annotated[str, msgspec.Meta(max_length=3)], "abcd", "length"),
        (Annotated[int, msgspec.Meta(ge=1)], "0", ">= 1"),
        (Cat | Dog, '{"type":"cow"}', "cow"),
        (list[int], '[1,"x"]', "$[1]"),
        (list[Model], '[{"count":"x"}]', "$.count"),
        (Point, "{}", "x"),
        (Shape, "[]", "object"),
    ],
)
def test_what_does_not_fit(annotation: Any, raw: str | bytes, words: str) -> None:
    with pytest.raises(MessageError) as caught:
        read(annotation, raw)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "annotation", [Unknown, Cat | Point, "Missing", dict[list[int], int] | Unknown | Point]
)
def test_what_no_message_can_become_is_an_error_at_the_definition(annotation: Any) -> None:
    with pytest.raises(DefinitionError, match=r"the message hook at .*test_typed\.py:\d+ asks for"):
        reader_of(hook_for(annotation), "the message hook")
