from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longwave.contract import Application, FullReply, Reply, Request, StreamReply
from longwave.errors import RequestError
from longwave.limits import Limits
from longwave.testing import RefusedError, TestClient, TestResponse
from tests.asgi.driver import Application as Answering
from tests.asgi.driver import Recorder, asynchronous, turns


async def mirror(request: Request) -> Reply:
    """Answer with what came."""
    assert request.body is not None
    lines = [f"{request.method} {request.target.decode()} {request.scheme} {request.client}".encode()]
    lines += [b"%b: %b" % field for field in request.headers]
    return FullReply(
        200, [(b"X-One", b"1"), (b"x-one", b"2")], b"\n".join([*lines, await request.body.read()])
    )


def client(handle: Any = mirror, **options: Any) -> TestClient:
    application: Application = Answering(handle)
    return TestClient(application, **options)


@asynchronous
async def test_start_and_stop() -> None:
    application = Answering(mirror)
    async with TestClient(application) as it:
        await it.get("/")
    assert application.calls == ["startup", "handle", "shutdown"]


@asynchronous
async def test_request() -> None:
    async with client(headers={"X-All": "a"}, cookies={"jar": "1"}) as it:
        response = await it.get("/grüße?a=1", params={"b": ["x y", 2]}, headers={"X-All": "b", "X-Own": "c"})
    assert response.status == 200 and response.ok
    assert response.text.splitlines() == [
        "GET /gr%C3%BC%C3%9Fe?a=1&b=x+y&b=2 http ('127.0.0.1', 50000)",
        "host: testserver",
        "x-all: b",
        "x-own: c",
        "cookie: jar=1",
    ]


@pytest.mark.parametrize(
    ("options", "kind", "body"),
    [
        ({"json": {"a": [1]}}, "application/json", '{"a":[1]}'),
        ({"form": {"a": "x y", "b": "2"}}, "application/x-www-form-urlencoded", "a=x+y&b=2"),
        ({"data": "grüße"}, "text/plain; charset=utf-8", "grüße"),
        ({"content": b"raw"}, None, "raw"),
    ],
)
@asynchronous
async def test_bodies(options: dict[str, Any], kind: str | None, body: str) -> None:
    async with client() as it:
        lines = (await it.post("/", **options)).text.splitlines()
    assert lines[-1] == body
    assert f"content-length: {len(body.encode())}" in lines
    assert [line for line in lines if line.startswith("content-type")] == (
        [f"content-type: {kind}"] if kind else []
    )


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
@asynchronous
async def test_methods(method: str) -> None:
    async with client() as it:
        response: TestResponse = await getattr(it, method)("/")
    assert response.text.startswith(method.upper() + " /")


@asynchronous
async def test_two_bodies_are_one_too_many() -> None:
    async with client() as it:
        with pytest.raises(TypeError, match="one body"):
            await it.post("/", json={}, content=b"x")
        with pytest.raises(ValueError, match="starts with a slash"):
            await it.get("users")


@asynchronous
async def test_head_has_the_length_and_no_body() -> None:
    async with client(lambda request: FullReply(200, [], b"hello")) as it:
        response = await it.head("/")
    assert (response.content, response.headers["Content-Length"]) == (b"", "5")


@asynchronous
async def test_headers_and_json() -> None:
    async with client(lambda request: FullReply(200, [(b"X-One", b"1"), (b"x-one", b"2")], b'{"a":1}')) as it:
        response = await it.get("/")
    assert response.headers["x-ONE"] == "1"
    assert response.headers.get_all("X-One") == ["1", "2"]
    assert "x-two" not in response.headers
    assert response.json() == {"a": 1}
    assert response.json(dict[str, int]) == {"a": 1}
    with pytest.raises(ValueError):
        response.json(dict[str, str])


@asynchronous
async def test_cookies_are_kept_and_deleted() -> None:
    answers = [
        [(b"set-cookie", b"a=1; Path=/; HttpOnly"), (b"set-cookie", b"b=2")],
        [(b"set-cookie", b"a=; Max-Age=0")],
        [(b"set-cookie", b"b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")],
    ]
    seen: list[bytes | None] = []

    def handle(request: Request) -> Reply:
        seen.append(request.header(b"cookie"))
        return FullReply(200, answers.pop(0))

    async with client(handle) as it:
        assert (await it.get("/")).cookies == {"a": "1", "b": "2"}
        await it.get("/")
        await it.get("/", cookies={"c": "3"})
        assert it.cookies == {}
    assert seen == [None, b"a=1; b=2", b"b=2; c=3"]


@asynchronous
async def test_body_over_the_limit() -> None:
    async with client(limits=Limits(body=3)) as it:
        assert (await it.post("/", content=b"1234")).status == 413
        assert (await it.post("/", content=b"123")).status == 200


@asynchronous
async def test_request_error_is_an_answer() -> None:
    def handle(request: Request) -> Reply:
        raise RequestError(400, "no")

    async with client(handle) as it:
        assert (await it.get("/")).status == 400


@asynchronous
async def test_stream_that_ends_is_a_whole_response() -> None:
    session = Recorder()
    async with client(lambda request: StreamReply(200, [], session, "body")) as it:
        getting = asyncio.ensure_future(it.get("/"))
        await turns()
        session.bytes(b"one ")
        await turns()
        session.bytes(b"two")
        session.link.close()
        assert (await getting).content == b"one two"
    assert session.events == ["opened", ("closed", 1000, "")]


@asynchronous
async def test_stream_that_is_cut() -> None:
    session = Recorder()
    async with client(lambda request: StreamReply(200, [], session, "body")) as it:
        getting = asyncio.ensure_future(it.get("/"))
        await turns()
        session.link.abort()
        with pytest.raises(ConnectionError, match="cut the response"):
            await getting


@asynchronous
async def test_stream_that_does_not_end() -> None:
    session = Recorder()
    async with client(lambda request: StreamReply(200, [], session)) as it:
        with pytest.raises(TimeoutError, match=r"GET /: the response is a stream .* client.events\(\)"):
            await it.get("/", timeout=0.01)
        await turns()
    assert session.events == ["opened", ("closed", 1006, "")]


@asynchronous
async def test_head_of_a_stream() -> None:
    session = Recorder()
    async with client(lambda request: StreamReply(200, [(b"x", b"1")], session)) as it:
        assert (await it.head("/")).headers == {"x": "1"}
    assert session.events == ["opened", ("closed", 1000, "")]


@asynchronous
async def test_handler_that_does_not_answer() -> None:
    async def never(request: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    async with client(never, timeout=0.01) as it:
        with pytest.raises(TimeoutError, match=r"GET /slow: no response came within 0.01 s"):
            await it.get("/slow")
        with pytest.raises(TimeoutError):
            async with it.websocket("/slow"):
                pass


@asynchronous
async def test_refusals_carry_the_response() -> None:
    async with client(lambda request: FullReply(401, [(b"x", b"1")], b"who?")) as it:
        with pytest.raises(RefusedError, match=r"the WebSocket /chat was refused with 401: who?") as refused:
            async with it.websocket("/chat"):
                pass
        assert refused.value.response.headers["x"] == "1"
        with pytest.raises(RefusedError, match="the stream /events was refused with 401"):
            async with it.events("/events"):
                pass


def test_pytest_collects_no_class_of_ours() -> None:
    assert (TestClient.__test__, TestResponse.__test__) == (False, False)
