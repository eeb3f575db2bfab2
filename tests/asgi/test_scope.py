from __future__ import annotations

import pytest

from longwave.asgi.scope import make_request, target_of
from tests.asgi.driver import http_scope, websocket_scope


@pytest.mark.parametrize(
    ("raw_path", "root_path", "query", "target"),
    [
        (b"/a/b", "", b"", b"/a/b"),
        (b"/a/b", "", b"x=1&y=%20", b"/a/b?x=1&y=%20"),
        (b"/a%2Fb", "", b"", b"/a%2Fb"),
        (b"/app/a", "/app", b"", b"/a"),
        (b"/app/a", "/app/", b"", b"/a"),
        (b"/app", "/app", b"", b"/"),
        (b"/app", "/app", b"x=1", b"/?x=1"),
        (b"/app/", "/app", b"", b"/"),
        # Not a whole segment, or not there at all: nothing is taken away.
        (b"/apple", "/app", b"", b"/apple"),
        (b"/a", "/app", b"", b"/a"),
        # The prefix is decoded, the path is not.
        (b"/%C3%BCber/a%20b", "/über", b"", b"/a%20b"),
        (b"/%zz/a", "/über", b"", b"/%zz/a"),
        (b"/%C3", "/über", b"", b"/%C3"),
        # A server that leaves the query in raw_path.
        (b"/a?x=1", "", b"x=1", b"/a?x=1"),
    ],
)
def test_target(raw_path: bytes, root_path: str, query: bytes, target: bytes) -> None:
    scope = http_scope(path="/ignored", raw_path=raw_path, root_path=root_path, query_string=query)
    assert target_of(scope) == target


@pytest.mark.parametrize(
    ("path", "root_path", "app_root_path", "target"),
    [
        # FastAPI(root_path="/proxy") and app.mount("/live", ...), behind a proxy that takes its part away.
        (b"/live/a", "/proxy/live", "/proxy", b"/a"),
        (b"/live", "/proxy/live", "/proxy", b"/"),
        (b"/live/a", "/live/live", "/live", b"/a"),
        # The same where the proxy leaves it, and the server's own root_path.
        (b"/proxy/live/a", "/proxy/live", "/proxy", b"/a"),
        # Not below a mount at all.
        (b"/a", "/proxy", "/proxy", b"/a"),
        (b"/other/a", "/proxy/live", "/proxy", b"/other/a"),
    ],
)
def test_target_below_a_framework_with_a_root_path(
    path: bytes, root_path: str, app_root_path: str, target: bytes
) -> None:
    scope = http_scope(path="/ignored", raw_path=path, root_path=root_path, app_root_path=app_root_path)
    assert target_of(scope) == target


def test_target_without_raw_path() -> None:
    scope = http_scope(path="/app/grüße 100%", raw_path=None, root_path="/app")
    assert target_of(scope) == b"/gr%C3%BC%C3%9Fe%20100%25"
    del scope["raw_path"]
    assert target_of(scope) == b"/gr%C3%BC%C3%9Fe%20100%25"


def test_request() -> None:
    request = make_request(
        http_scope(
            "POST", "/a", headers=[(b"Host", b"x"), (b"X-One", b"1")], scheme="https", http_version="2"
        )
    )
    assert (request.method, request.target, request.http_version) == ("POST", b"/a", "2")
    assert request.headers == [(b"host", b"x"), (b"x-one", b"1")]
    assert (request.scheme, request.client, request.is_upgrade) == ("https", ("127.0.0.1", 1234), False)


@pytest.mark.parametrize("client", [None, ("/tmp/socket", None)])
def test_request_without_a_client_address(client: object) -> None:
    request = make_request(http_scope(client=client))
    assert request.client == (None if client is None else ("/tmp/socket", 0))


@pytest.mark.parametrize(("scheme", "ours"), [("ws", "http"), ("wss", "https")])
def test_upgrade(scheme: str, ours: str) -> None:
    request = make_request(websocket_scope("/chat", scheme=scheme))
    assert (request.method, request.scheme, request.is_upgrade) == ("GET", ours, True)


def test_subprotocols_that_only_the_scope_has() -> None:
    request = make_request(websocket_scope(subprotocols=["a", "b"]))
    assert request.header(b"sec-websocket-protocol") == b"a, b"
    both = websocket_scope(subprotocols=["a"], headers=[(b"Sec-WebSocket-Protocol", b"a")])
    assert make_request(both).headers == [(b"sec-websocket-protocol", b"a")]


@pytest.mark.parametrize(
    ("path", "root_path", "app_root_path", "url"),
    [
        (b"/a?b=1", "", "", "/a?b=1"),
        (b"/live/a", "/live", "", "/live/a"),
        (b"/live/a", "/live/", "", "/live/a"),
        (b"/live", "/live", "", "/live/"),
        (b"/%C3%BCber/a", "/über", "", "/%C3%BCber/a"),
        # A proxy has taken its part away, or left it.
        (b"/live/a", "/proxy/live", "/proxy", "/proxy/live/a"),
        (b"/proxy/live/a", "/proxy/live", "/proxy", "/proxy/live/a"),
        (b"/a", "/app", "", "/app/a"),
    ],
)
def test_what_the_client_asked_for_has_the_mount(
    path: bytes, root_path: str, app_root_path: str, url: str
) -> None:
    path, _, query = path.partition(b"?")
    scope = http_scope(raw_path=path, root_path=root_path, app_root_path=app_root_path, query_string=query)
    request = make_request(scope)
    assert request.prefix + request.target.decode() == url
