from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from longwave.app.response import (
    Headers,
    PassedResponse,
    Response,
    StagedResponse,
    encode_field,
    encode_fields,
    redirect,
    to_response,
)
from longwave.contract import FullReply, UpgradeReply


async def parts() -> AsyncIterator[bytes]:
    yield b"x"


class Iterable_:
    def __aiter__(self) -> AsyncIterator[bytes]:
        return parts()


def test_bodies_and_their_types() -> None:
    assert Response("é").body == "é".encode()
    assert Response("é").headers["content-type"] == "text/plain; charset=utf-8"
    assert Response(b"x").headers["content-type"] == "application/octet-stream"
    assert Response("x", content_type="text/css").headers["content-type"] == "text/css"
    assert Response("x", headers={"Content-Type": "a/b"}, content_type="c/d").headers["content-type"] == "a/b"
    assert Response(status=204).fields == [] and Response(status=204).body == b""
    assert Response.html("<p>").headers["content-type"] == "text/html; charset=utf-8"
    assert (Response.json([None]).body, Response.json(1).headers["content-type"]) == (
        b"[null]",
        "application/json",
    )
    generator = parts()
    assert Response(generator).body is generator
    assert hasattr(Response(Iterable_()).body, "__aiter__")
    assert repr(Response("x", 201)) == str(Response("x", 201)) == "<Response 201>"


@pytest.mark.parametrize("status", [100, 101, 199, 600, -1, True, "200", None, 200.0])
def test_a_status_that_is_none(status: Any) -> None:
    with pytest.raises(ValueError, match="from 200 to 599"):
        Response("x", status)
    staged = StagedResponse()
    if status is not None:
        with pytest.raises(ValueError, match="from 200 to 599"):
            staged.status = status


@pytest.mark.parametrize("body", [{"a": 1}, 7, [b"x"], object(), iter([b"x"])])
def test_a_body_that_is_none_says_what_to_use(body: Any) -> None:
    with pytest.raises(TypeError, match=r"Response\.json"):
        Response(body)


def test_headers_are_set_appended_and_never_injected() -> None:
    response = Response("x", headers=[("a", "1")])
    response.set_header("A", "2")
    response.append_header("a", "3")
    response.set_cookie("sid", "v", secure=True)
    response.delete_cookie("old", path="/p", domain="example.com")
    assert response.headers.get_all("a") == ["2", "3"]
    assert response.headers.get_all("set-cookie") == [
        "sid=v; Path=/; Secure",
        "old=; Max-Age=0; Domain=example.com; Path=/p",
    ]
    before = list(response.fields)
    for bad in ("a\r\nb", "\0", "\u20ac"):
        for change in (response.set_header, response.append_header, response.set_cookie):
            with pytest.raises(ValueError):
                change("x", bad)
            with pytest.raises(ValueError):
                change(bad, "x")
    with pytest.raises(ValueError):
        Response("x", content_type="a\nb")
    assert response.fields == before


def test_a_response_can_be_raised_and_keeps_nothing_of_it() -> None:
    def refuse() -> None:
        raise Response("stop", 403)

    with pytest.raises(Response) as caught:
        refuse()
    assert caught.value.status == 403 and caught.value.body == b"stop"
    assert caught.value.args == ()


def test_a_copy_has_headers_of_its_own() -> None:
    response = Response("x", 201, {"a": "1"})
    other = response.copy()
    other.set_header("b", "2")
    assert "b" not in response.headers
    assert (other.status, other.body, other.headers["a"]) == (201, b"x", "1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(status: int) -> None:
    response = redirect("/a?b=1&c=<é>", status)
    assert response.status == status
    assert response.headers["location"] == "/a?b=1&c=<é>"
    assert isinstance(response.body, bytes)
    assert b"url=/a?b=1&amp;c=&lt;" in response.body


def test_redirects_that_cannot_be() -> None:
    for location in ("/a\r\nset-cookie: x=1", "/\0", "/\u20ac"):
        with pytest.raises(ValueError, match="location"):
            redirect(location)
    for status in (200, 300, 304, 305, 400):
        with pytest.raises(ValueError, match="a redirect has status"):
            redirect("/", status)
    with pytest.raises(TypeError, match="is a str"):
        redirect(7)  # type: ignore[arg-type]


def test_what_was_staged_is_merged_and_an_own_header_wins() -> None:
    staged = StagedResponse()
    assert staged.status is None
    staged.status = 201
    staged.status = None
    staged.set_header("a", "staged")
    staged.set_header("b", "staged")
    staged.set_cookie("x", "1")
    own = [(b"a", b"own"), (b"set-cookie", b"y=2")]
    assert staged.merge(own) == [*own, (b"b", b"staged"), (b"set-cookie", b"x=1; Path=/")]
    assert len(own) == 2


def test_a_passed_response_is_the_reply_with_other_headers() -> None:
    reply = FullReply(206, [(b"a", b"1")], b"part")
    passed = PassedResponse(reply)
    passed.set_header("a", "2")
    assert reply.headers == [(b"a", b"1")]
    assert passed.status == 206 and passed.headers["a"] == "2"
    assert passed.reply() is reply and reply.headers == [(b"a", b"2")]
    assert PassedResponse(UpgradeReply(None)).status == 101  # type: ignore[arg-type]


def test_values_become_responses() -> None:
    class Text(str):
        pass

    cases: list[tuple[Any, int, bytes]] = [
        (None, 204, b""),
        ({}, 200, b"{}"),
        (Text("x"), 200, b"x"),
        (bytearray(b"x"), 200, b"x"),
        (memoryview(b"x"), 200, b"x"),
        (0, 200, b"0"),
        ([], 200, b"[]"),
    ]
    for value, status, body in cases:
        response = to_response(value)
        assert (response.status, response.body) == (status, body)
        assert to_response(value, 202).status == 202
    own = Response("x", 201)
    assert to_response(own, 202) is own and own.status == 201
    with pytest.raises(TypeError):
        to_response(object())


FIELDS = [(b"accept", b"a"), (b"cookie", b"x=1"), (b"accept", b"b"), (b"cookie", b"y=2"), (b"x", b"\xe9")]


def test_a_mapping_in_any_case() -> None:
    headers = Headers(FIELDS)
    assert headers["Accept"] == headers["ACCEPT"] == "a, b"
    assert headers["cookie"] == "x=1; y=2"
    assert headers.get_all("Accept") == ["a", "b"] and headers.get_all("none") == []
    assert headers["X"] == "é"
    assert "x" in headers and "Y" not in headers and "\u20ac" not in headers
    assert headers.get("y") is None
    assert list(headers) == ["accept", "cookie", "x"] and len(headers) == 3
    assert dict(headers) == {"accept": "a, b", "cookie": "x=1; y=2", "x": "é"}
    assert repr(headers) == "Headers(['accept', 'cookie', 'x'])"
    with pytest.raises(KeyError):
        headers["none"]


def test_what_becomes_a_field() -> None:
    assert encode_fields({"X-One": " a\tb "}) == [(b"x-one", b"a\tb")]
    assert encode_fields([("a", "1"), ("A", "2")]) == [(b"a", b"1"), (b"a", b"2")]
    assert encode_fields(()) == []
    assert encode_field("X!#$%&'*+-.^_`|~9", "") == (b"x!#$%&'*+-.^_`|~9", b"")
    assert encode_field("x", "é") == (b"x", b"\xe9")


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", "a\0"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="a header name must be"):
        encode_fields({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b", "\u20ac"])
def test_values_that_would_inject_or_cannot_be_sent(value: str) -> None:
    with pytest.raises(ValueError, match="of the header x must"):
        encode_fields({"x": value})


@pytest.mark.parametrize("value", [5, None, b"x"])
def test_values_are_text(value: Any) -> None:
    with pytest.raises(TypeError, match="is a str, not"):
        encode_fields({"x": value})
