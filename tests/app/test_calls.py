from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypedDict, Union

import msgspec
import pydantic
import pytest

from longwave.app.calls import (
    accepts,
    adapt,
    annotation_of,
    in_thread,
    is_async,
    place_of,
    reader_of,
    watched,
)
from longwave.app.message import Message
from longwave.errors import DefinitionError, MessageError

if TYPE_CHECKING:
    from decimal import Decimal

    from longwave.app.peer import Peer


def none() -> int:
    return 0


def one(a: Any) -> Any:
    return a


def two(a: Any, b: Any = 1) -> Any:
    return a, b


class Callable_:
    def __call__(self, a: Any, b: int) -> Any:
        return a, b

    def method(self, a: Any, b: str) -> Any:
        return a, b


class AsyncCallable:
    async def __call__(self, a: Any) -> Any:
        return a


@pytest.mark.parametrize(
    ("function", "offered", "taken"),
    [
        (none, 2, 0),
        (one, 2, 1),
        (two, 2, 2),
        (two, 1, 1),
        (lambda *args: args, 2, 2),
        (Callable_(), 2, 2),
        (Callable_().method, 2, 2),
        (functools.partial(two, 1), 2, 1),
        (functools.partial(one, 1), 2, 0),
        (print, 2, 2),
    ],
)
def test_how_many_arguments_a_function_takes(function: Any, offered: int, taken: int) -> None:
    assert accepts(function, offered, "it") == taken


@pytest.mark.parametrize("function", [lambda a, b, c: 0, lambda a, *, key: 0, 7, None])
def test_a_function_that_needs_more_is_an_error_with_its_place(function: Any) -> None:
    with pytest.raises(DefinitionError, match=r"the hook .*(test_calls\.py:\d+|function)"):
        accepts(function, 1, "the hook")


def test_adapting_leaves_a_function_that_fits_alone() -> None:
    assert adapt(two, 2, "it") is two
    assert adapt(none, 1, "it")("x") == 0
    assert adapt(none, 2, "it")("x", "y") == 0
    assert adapt(one, 2, "it")("x", "y") == "x"
    assert adapt(two, 3, "it")("x", "y", "z") == ("x", "y")


def test_in_a_thread() -> None:
    async def main() -> None:
        thread = await in_thread(lambda a: (a, threading.get_ident()))(1)
        assert thread[0] == 1 and thread[1] != threading.get_ident()
        assert await in_thread(AsyncCallable())("asynchronous") == "asynchronous"

    asyncio.run(main())


def test_what_is_asynchronous() -> None:
    async def coroutine() -> None: ...

    @functools.wraps(coroutine)
    def wrapper() -> Any:
        return coroutine()

    assert is_async(coroutine) and is_async(wrapper) and is_async(functools.partial(coroutine))
    assert not is_async(none)


def test_a_call_that_holds_the_loop_is_named_with_the_place_it_is_given(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwave.app.calls.HOLD", 0.0)
    with caplog.at_level(logging.WARNING, "longwave.dev"):
        watched(time.sleep, "the hook", "file.py:7")(0.001)
    (record,) = caplog.records
    assert "the hook at file.py:7 held the loop for" in record.getMessage()


def hook(peer: Peer, message: Annotated[int, "meta"], other: Decimal) -> None: ...


def unannotated(peer, message):  # type: ignore[no-untyped-def]
    ...


def for_the_checker(peer: Peer, message: Peer) -> None: ...


def unresolved(peer: Peer, message: Decimal) -> None: ...


@pytest.mark.parametrize(
    ("function", "annotation"),
    [
        (hook, Annotated[int, "meta"]),
        (unannotated, None),
        (for_the_checker, None),
        (Callable_(), int),
        (Callable_().method, str),
        (functools.partial(hook), Annotated[int, "meta"]),
        (functools.wraps(hook)(lambda *args: None), Annotated[int, "meta"]),
        (lambda peer: None, None),
        (print, None),
    ],
)
def test_the_annotation_of_a_parameter_whatever_the_others_say(function: Any, annotation: Any) -> None:
    assert annotation_of(function, 1, "the hook") == annotation


def test_an_annotation_that_cannot_be_resolved_says_what_to_do() -> None:
    with pytest.raises(DefinitionError, match=r"test_calls\.py:\d+ asks for 'Decimal'.*TYPE_CHECKING"):
        annotation_of(unresolved, 1, "the hook")


def test_places() -> None:
    line = hook.__code__.co_firstlineno
    for function in (hook, functools.partial(hook), functools.wraps(hook)(lambda: None)):
        assert place_of(function).endswith(f"test_calls.py:{line}")
    assert "test_calls.py" in place_of(Callable_()) and "test_calls.py" in place_of(Callable_().method)
    assert place_of(print) == "builtins"


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
    with pytest.raises(DefinitionError, match=r"the message hook at .*test_calls\.py:\d+ asks for"):
        reader_of(hook_for(annotation), "the message hook")
