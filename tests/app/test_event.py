from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any

import msgspec
import pytest

from longwave.app.app import App
from longwave.app.event import Event
from longwave.contract import Request
from longwave.errors import HTTPError, RequestError
from longwave.types import Fields
from tests.app.harness import FakeBody, full, make_app, run_app


class Item(msgspec.Struct):
    name: str
    price: float


FIELDS: Fields = [(b"host", b"example.com:8080"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]


def make_event(
    target: str = "/p?x=1", fields: Fields | None = None, body: FakeBody | None = None, **options: Any
) -> Event:
    path, _, query = target.partition("?")
    given = FIELDS if fields is None else fields
    request = Request(
        "POST", target.encode(), given, body, raw=b"r", parse=lambda raw: list(given), **options
    )
    return Event(None, request, path, query)  # type: ignore[arg-type]


def test_what_a_request_says() -> None:
    event = make_event(scheme="https", client=("192.0.2.1", 5), is_upgrade=True)
    assert (event.method, event.path, event.query_string) == ("POST", "/p", "x=1")
    assert event.url == "https://example.com:8080/p?x=1"
    assert (event.host, event.scheme, event.remote_address) == ("example.com:8080", "https", ("192.0.2.1", 5))
    assert event.is_upgrade and event.params == {} and event.context == {}
    assert event.headers["Host"] == "example.com:8080" and event.fields is FIELDS
    assert event.cookies == {"a": "1", "b": "2"}
    assert repr(event) == "<Event POST /p>"
    assert make_event(fields=[]).host == ""
    assert make_event(prefix="/live").url == "http://example.com:8080/live/p?x=1"


def test_a_missing_query_key_is_a_400_that_names_it_and_a_key_error() -> None:
    event = make_event("/p?x=1&x=2&y=")
    assert event.query["x"] == "1" and event.query.get_all("x") == ["1", "2"] and event.query["y"] == ""
    assert event.query.get("z") is None and event.query.get("z", "d") == "d"
    with pytest.raises(KeyError) as caught:
        event.query["prompt"]
    assert isinstance(caught.value, HTTPError)
    assert caught.value.status == 400 and "prompt" in caught.value.message


@pytest.mark.parametrize(
    ("target", "fields", "wanted"),
    [
        ("/", [], None),
        ("/", [(b"last-event-id", b"7")], "7"),
        ("/", [(b"last-event-id", "é".encode())], "é"),
        ("/?last_event_id=8", [], "8"),
        ("/?last_event_id=8", [(b"last-event-id", b"")], ""),
        ("/?not_last_event_id=8", [], None),
    ],
)
def test_the_last_event_id(target: str, fields: Fields, wanted: str | None) -> None:
    assert make_event(target, fields).last_event_id == wanted


def test_the_body_is_read_once_and_kept() -> None:
    async def main() -> None:
        body = FakeBody('{"a": "é"}'.encode())
        event = make_event(body=body)
        assert await event.json() == {"a": "é"}
        body.data = b"changed"
        assert await event.text() == '{"a": "é"}'
        assert [chunk async for chunk in event.chunks()] == ['{"a": "é"}'.encode()]
        assert await event.bytes() == '{"a": "é"}'.encode()
        without = make_event()
        assert await without.bytes() == b""
        assert [chunk async for chunk in make_event().chunks()] == [b""]

    asyncio.run(main())


def test_what_is_wrong_with_a_body_is_a_status() -> None:
    async def status(read: Any) -> int:
        with pytest.raises(HTTPError) as caught:
            await read
        return caught.value.status

    async def chunks(event: Event) -> None:
        async for _ in event.chunks():
            pass

    async def main() -> None:
        for wanted in (413, 408, 400):
            body = FakeBody(error=RequestError(wanted, "no", {"x-a": "1"}))
            event = make_event(body=body)
            for read in (event.bytes(), event.text(), event.json(), event.form(), chunks(event)):
                assert await status(read) == wanted
        assert await status(make_event(body=FakeBody(b"\xff")).text()) == 400
        assert await status(make_event(body=FakeBody(b"{")).json()) == 400
        assert await status(make_event(body=FakeBody(b"[" * 100_000)).json()) == 400
        assert await status(make_event(body=FakeBody(b"[]")).json(dict[str, int])) == 400
        assert await status(make_event(body=FakeBody(b"x")).form()) == 415

    asyncio.run(main())


def test_what_is_staged_goes_out_once() -> None:
    event = make_event()
    assert event.take_staged() is None
    event.response.set_header("a", "1")
    assert event.response is event.response
    staged = event.take_staged()
    assert staged is not None and staged.fields == [(b"a", b"1")]
    assert event.take_staged() is None


def test_release_forgets_what_can_be_had_again() -> None:
    class Holder(dict[str, str]):
        pass

    event = make_event()
    event.context["user"] = "ann"
    event._cookies = Holder(event.cookies)
    event.response.set_header("a", "1")
    event.query["x"]
    ghost = weakref.ref(event._cookies)
    event.release()
    gc.collect()
    assert ghost() is None
    assert event.request._headers is None
    assert (event.reply, event.task, event.take_staged()) == (None, None, None)
    assert event.query["x"] == "1" and event.cookies == {"a": "1", "b": "2"}
    assert event.context == {"user": "ann"} and event.headers["host"] == "example.com:8080"


def test_the_event() -> None:
    seen: dict[str, Any] = {}

    async def handler(event: Event) -> dict[str, Any]:
        seen["all"] = event.query.get_all("a")
        seen["body"] = await event.json(Item)
        seen["again"] = await event.text()
        return {
            "method": event.method,
            "path": event.path,
            "url": event.url,
            "params": event.params,
            "a": event.query["a"],
            "ua": event.headers["User-Agent"],
            "cookie": event.cookies["sid"],
            "address": event.remote_address,
        }

    async def check(app: App) -> None:
        reply = await full(
            app,
            "/items/caf%C3%A9?a=1&a=2",
            method="POST",
            headers=[(b"user-agent", b"test"), (b"cookie", b"sid=s; x=y")],
            body=FakeBody(b'{"name":"n","price":2}'),
        )
        assert json.loads(reply.body) == {
            "method": "POST",
            "path": "/items/café",
            "url": "http://example.com/items/caf%C3%A9?a=1&a=2",
            "params": {"id": "café"},
            "a": "1",
            "ua": "test",
            "cookie": "s",
            "address": ["192.0.2.1", 1234],
        }
        assert seen == {"all": ["1", "2"], "body": Item("n", 2.0), "again": '{"name":"n","price":2}'}

    run_app(make_app({"/items/[id]": handler}), check)


def test_bodies_that_cannot_be_had() -> None:
    async def handler(event: Event) -> Any:
        return await event.json(Item)

    async def form(event: Event) -> Any:
        return dict(await event.form())

    async def chunks(event: Event) -> Any:
        return [chunk.decode() async for chunk in event.chunks()]

    async def check(app: App) -> None:
        bad = await full(app, "/json", method="POST", body=FakeBody(b'{"name":1}'))
        assert bad.status == 400 and b"$.name" in bad.body
        big = FakeBody(error=RequestError(413, "too big"))
        assert (await full(app, "/json", method="POST", body=big)).status == 413
        assert (await full(app, "/chunks", method="POST", body=big)).status == 413
        assert (await full(app, "/form", method="POST", body=FakeBody(b"x"))).status == 415
        kind = [(b"content-type", b"application/x-www-form-urlencoded")]
        reply = await full(app, "/form", method="POST", headers=kind, body=FakeBody(b"a=1&b=2"))
        assert json.loads(reply.body) == {"a": "1", "b": "2"}
        reply = await full(app, "/chunks", method="POST", body=FakeBody(b"abcde"))
        assert json.loads(reply.body) == ["abc", "de"]

    run_app(make_app({"/json": handler, "/form": form, "/chunks": chunks}), check)
