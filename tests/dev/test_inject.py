"""The script in the pages of the development server: into which, where, and what stays right."""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.handlers import Middleware
from longwave.app.hooks import define_websocket_handler
from longwave.app.response import Response
from longwave.assemble import create_app
from longwave.config import load_settings
from longwave.contract import FullReply, Reply, Request, StreamReply, UpgradeReply
from longwave.dev.hmr import ClientOptions
from longwave.dev.inject import CLIENT, OPEN, ClientScript, PageFiles, Pages, find_place
from longwave.types import Fields
from tests.app.harness import header, make_app, run_app

OPTIONS = ClientOptions(path="/_longwave/hmr", token="s</script>&", direct=3000)
TAG = b'<script type="module" src="/_longwave/client.js"></script>'
FAILED = b'<script type="module" src="/_longwave/client.js" data-longwave-status="%d"></script>'
DOCUMENT = (b"sec-fetch-dest", b"document")
TYPED = (b"accept", b"text/html,*/*;q=0.8")
PAGE = "<!doctype html><html><head><title>x</title></head></html>"
FILLED = b"<!doctype html><html><head>" + TAG + b"<title>x</title></head></html>"


class Served:
    """An application with the script in its pages, as its server asks it."""

    def __init__(self, app: App, options: ClientOptions = OPTIONS) -> None:
        self.pages = Pages(app, options)
        self.client = ("127.0.0.1", 1234)

    async def ask(self, target: str = "/", *fields: tuple[bytes, bytes], method: str = "GET") -> Reply:
        """Return the reply to a request; a page is asked for, unless fields say otherwise."""
        is_upgrade = (b"upgrade", b"websocket") in fields
        headers: Fields = [(b"host", b"localhost:3000"), *(fields or [DOCUMENT, TYPED])]
        request = Request(method, target.encode(), headers, client=self.client, is_upgrade=is_upgrade)
        reply = self.pages.handle(request)
        return await reply if inspect.isawaitable(reply) else reply

    async def full(self, target: str = "/", *fields: tuple[bytes, bytes], method: str = "GET") -> FullReply:
        """Return a reply that has to be whole."""
        reply = await self.ask(target, *fields, method=method)
        assert isinstance(reply, FullReply), reply
        return reply


def serve(routes: dict[str, Any], test: Callable[[Served], Any], **options: Any) -> None:
    """Run a test on an application of these routes."""
    options.setdefault("dev", True)
    client = options.pop("client", OPTIONS)
    run_app(make_app(routes, **options), lambda app: test(Served(app, client)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "public" / "deep").mkdir(parents=True)
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "public" / "deep" / "index.html").write_text("<p>deep")
    (tmp_path / "public" / "large.html").write_text(PAGE + "x" * 600_000)
    (tmp_path / "public" / "style.css").write_text("a{}")
    return tmp_path


def serve_files(project: Path, test: Callable[[Served], Any]) -> None:
    """Run a test on the files of a project, as `longwave dev` serves them."""
    app = create_app(project, settings=load_settings(project, command="dev"))
    app.add_source(PageFiles(project))
    run_app(app, lambda app: test(Served(app)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("\ufeff", ""),
        ("<!doctype html>", "<p>x"),
        ("<!DOCTYPE html><HTML LANG=en>", "<body>"),
        ("<!-- a > b -->\n<!doctype html>\n<html>\n<head>", "<title>"),
        ('<?xml version="1.0"?><!doctype html><html><head>', "<title>"),
        ("<!doctype html>", "<header>x</header>"),
        ("<!doctype html><html data-x='a>b' y=\"<head>\"><head data-z = '>'>", "</head>"),
        ("<html lang=it's><head>", '<p title="it\'s">'),
        ("<!doctype html>", "<!-- never closed"),
        ("", "plain"),
        ("<head>", "<html>"),
        ("<!doctype html><html/>", "x"),
        ("<head><script type='importmap'>{}</script>", "<script type=module>"),
        (
            '<head><script x\n type = importmap >{}</script>x<script nonce="a" type="importmap">1</SCRIPT>',
            "",
        ),
        ("<head>", '<script type="module">"importmap"</script>'),
        ("<head>", '<script type="importmap">never closed'),
    ],
)
def test_it_is_the_first_thing_in_the_head(before: str, after: str) -> None:
    assert find_place((before + after).encode()) == len(before.encode())


def test_a_place_is_found_in_linear_time() -> None:
    heads = ["<!--", "<? ", "<script ", "<script type", "<script type=importmap>", "</script "]
    for bad in (*heads, "<html =' ", '<html ="'):
        find_place((bad * 100_000).encode())
        find_place(b"<html " + (bad[5:] * 100_000).encode())


def test_pages_of_handlers_hold_it() -> None:
    async def later(event: Any) -> Response:
        return Response.html(PAGE)

    constant = Response.html(PAGE, headers={"etag": '"1"'})

    async def check(served: Served) -> None:
        assert (await served.full()).body == FILLED
        assert (await served.full("/later")).body == FILLED
        assert (await served.full("/later", (b"sec-fetch-dest", b"iframe"))).body == FILLED
        # On a network without TLS, browsers do not say where they go to.
        assert (await served.full("/", TYPED)).body == FILLED
        for _ in range(2):
            reply = await served.full("/constant")
            assert reply.body == FILLED and header(reply, "etag") == '"1-longwave"'
        assert constant.body == PAGE.encode() and constant.headers["etag"] == '"1"'

    routes = {"/": lambda: Response.html(PAGE), "/later": later, "/constant": lambda: constant}
    serve(routes, check)
    # Also behind middleware, where nothing is answered at once.
    serve(routes, check, middleware=[Middleware(lambda event: None)])


@pytest.mark.parametrize(
    "fields",
    [
        [(b"sec-fetch-dest", b"empty"), TYPED],
        [(b"sec-fetch-dest", b"image"), TYPED],
        [(b"accept", b"*/*")],
        [TYPED, (b"x-requested-with", b"XMLHttpRequest")],
        [TYPED, (b"hx-request", b"true")],
        [TYPED, (b"turbo-frame", b"list")],
    ],
)
def test_what_a_script_asks_for_is_left_alone(fields: Fields) -> None:
    async def check(served: Served) -> None:
        reply = await served.full("/", *fields, (b"if-none-match", b'"1"'))
        assert reply.body == PAGE.encode() and header(reply, "etag") == '"1"'
        assert asked == [b'"1"']

    asked: list[bytes | None] = []

    def page(event: Any) -> Response:
        asked.append(event.request.header(b"if-none-match"))
        return Response.html(PAGE, headers={"etag": '"1"'})

    serve({"/": page}, check)


@pytest.mark.parametrize(
    "response",
    [
        Response.json({"a": "<html>"}),
        Response("<html>", content_type="text/plain"),
        Response("<html>", content_type="application/xhtml+xml"),
        Response.html(PAGE, 302, {"location": "/x"}),
        Response.html(PAGE, 206),
        Response.html(PAGE, headers={"content-encoding": "gzip"}),
        Response.html(PAGE, headers={"content-disposition": "attachment; filename=x.html"}),
        Response(PAGE.encode("utf-16"), content_type="text/html"),
        Response(PAGE.encode("utf-16-le"), content_type="text/html"),
        Response(PAGE.encode("utf-16-be"), content_type="text/html"),
        Response(PAGE.encode("utf-16-be"), content_type="text/html; charset=UTF-16BE"),
    ],
)
def test_what_is_no_page_that_bytes_can_be_put_into_is_left_alone(response: Response) -> None:
    async def check(served: Served) -> None:
        reply = await served.full()
        assert reply.body == response.body and reply.headers == response.fields

    serve({"/": lambda: response}, check)


def test_a_page_in_another_charset_of_bytes_keeps_every_byte() -> None:
    body = PAGE.replace("x", "Größe").encode("latin-1")

    async def check(served: Served) -> None:
        assert (await served.full()).body == body.replace(b"<head>", b"<head>" + TAG)

    serve({"/": lambda: Response(body, content_type="text/html; charset=iso-8859-1")}, check)


def test_streams_and_sockets_are_left_alone() -> None:
    async def pieces() -> Any:
        yield "<html>"

    async def events(event: Any) -> Any:
        yield 1

    async def check(served: Served) -> None:
        for path in ("/pieces", "/events"):
            reply = await served.ask(path)
            assert isinstance(reply, StreamReply)
            reply.session.closed(1006, "")
        upgrade = await served.ask("/ws", (b"upgrade", b"websocket"), DOCUMENT)
        assert isinstance(upgrade, UpgradeReply)
        upgrade.session.closed(1006, "")

    routes = {
        "/pieces": lambda: Response(pieces(), content_type="text/html"),
        "/events": events,
        "/ws": define_websocket_handler(open=lambda peer: None),
    }
    serve(routes, check)


def test_the_page_of_an_error_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise KeyError("x")

    async def check(served: Served) -> None:
        for path, status in (("/fail", 500), ("/nowhere", 404)):
            reply = await served.full(path)
            assert reply.status == status
            assert b'<html lang="en">' + FAILED % status + b'<meta charset="utf-8">' in reply.body
        # It cannot be asked for again without doing the same again.
        reply = await served.full("/fail", DOCUMENT, TYPED, method="POST")
        assert reply.status == 500 and TAG in reply.body
        reply = await served.full("/fail", DOCUMENT, (b"accept", b"*/*"))
        assert json.loads(reply.body)["status"] == 500

    serve({"/fail": fail}, check)


def test_files_are_whole_and_have_tags_of_their_own(project: Path) -> None:
    async def check(served: Served) -> None:
        page = await served.full()
        assert page.body == FILLED and header(page, "content-type") == "text/html; charset=utf-8"
        assert (await served.full("/deep/")).body == TAG + b"<p>deep"
        large = await served.full("/large.html")
        assert large.body == FILLED + b"x" * 600_000 and header(large, "content-length") is None
        plain = await served.full("/", (b"accept", b"*/*"))
        etag, own = header(plain, "etag"), header(page, "etag")
        assert plain.body == PAGE.encode() and etag is not None and own == etag[:-1] + '-longwave"'

        # No part of a page: parts of two do not fit together.
        part = await served.full("/", DOCUMENT, (b"range", b"bytes=0-3"))
        assert part.status == 200 and part.body == FILLED
        part = await served.full("/", (b"accept", b"*/*"), (b"range", b"bytes=0-3"))
        assert part.status == 206 and part.body == PAGE.encode()[:4]
        style = await served.full("/style.css", DOCUMENT)
        assert style.body == b"a{}"

        # The server takes the length of an answer to HEAD from its body, and leaves that out.
        head = await served.full("/", DOCUMENT, method="HEAD")
        assert head.body == FILLED and header(head, "content-length") is None

        for tag in (own, f'"other", W/{own}', "*"):
            again = await served.full("/", DOCUMENT, (b"if-none-match", tag.encode()))
            assert (again.status, header(again, "etag"), again.body) == (304, own, b"")
        # What the browser keeps without the script is another page.
        since = (b"if-modified-since", (header(page, "last-modified") or "").encode())
        again = await served.full("/", DOCUMENT, (b"if-none-match", etag.encode()), since)
        assert (again.status, again.body) == (200, FILLED)

    serve_files(project, check)


def test_a_handler_finds_its_own_tag_again() -> None:
    def page(event: Any) -> Response:
        if event.headers.get("if-none-match") == 'W/"7"':
            return Response(status=304, headers={"etag": 'W/"7"'})
        return Response.html(PAGE, headers={"etag": 'W/"7"'})

    async def check(served: Served) -> None:
        tag = header(await served.full(), "etag")
        assert tag == 'W/"7-longwave"'
        again = await served.full("/", DOCUMENT, (b"if-none-match", tag.encode()))
        assert (again.status, header(again, "etag")) == (304, tag)

    serve({"/": page}, check)


SELF = "default-src 'self'"


@pytest.mark.parametrize(
    ("policies", "tag"),
    [
        ([], TAG),
        ([SELF], TAG),
        (["default-src 'none'; script-src 'self'; connect-src 'self'"], TAG),
        (["script-src http://localhost:3000/_longwave/; connect-src ws://localhost:*"], TAG),
        (["script-src http://localhost:3000/_longwave/client.js; connect-src ws:"], TAG),
        (["script-src *; connect-src *"], TAG),
        (["default-src 'none'; script-src-elem http:; connect-src 'self'", SELF], TAG),
        (["img-src 'none'"], TAG),
        (["sandbox allow-scripts allow-same-origin"], TAG),
        (["script-src 'nonce-aB+/=' 'strict-dynamic'"], TAG.replace(b"></", b' nonce="aB+/="></')),
        (["default-src 'none'"], None),
        (["script-src 'nonce-a' 'strict-dynamic'", "script-src 'nonce-b'"], None),
        (["script-src 'self' 'strict-dynamic' 'sha256-x'"], None),
        (["script-src 'nonce-a\"onload=x'"], None),
        (["script-src 'none'"], None),
        (["script-src https:"], None),
        (["script-src http://localhost:3001 http://*.localhost http://localhost:3000/other/"], None),
        (["script-src http://localhost:3000/_longwave/client.js/x"], None),
        ([SELF, "connect-src 'none'"], None),
        ([SELF + ", connect-src 'none'"], None),
        (["connect-src ws://localhost:3001 http://localhost:3000"], None),
        (["connect-src 'none'; connect-src *"], None),
        (["sandbox allow-scripts"], None),
    ],
)
def test_a_policy_is_kept_to(
    policies: list[str], tag: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    def page() -> Response:
        response = Response.html(PAGE)
        response.fields += [(b"content-security-policy", policy.encode()) for policy in policies]
        return response

    async def check(served: Served) -> None:
        for _ in range(2):
            body = (await served.full()).body
            assert body == (PAGE.encode() if tag is None else FILLED.replace(TAG, tag))

    with caplog.at_level(logging.WARNING, "longwave.dev"):
        serve({"/": page}, check)
    # Once is enough.
    assert len(caplog.records) == (tag is None)


@pytest.mark.parametrize(
    ("options", "policy", "fits"),
    [
        ({"port": 3002}, "connect-src 'self'", False),
        ({"port": 3002}, "connect-src ws://localhost:3002", True),
        ({"port": 3002}, "connect-src ws://localhost:3002/_longwave/", True),
        ({"host": "::1", "port": 1}, "connect-src ws://[::1]:1", True),
        ({"host": "hmr.example.com", "protocol": "wss"}, "connect-src wss://*.example.com:3000", True),
        ({"host": "hmr.example.com", "protocol": "wss"}, "connect-src ws://*.example.org:3000", False),
        ({"port": 99999}, "connect-src 'self'", False),
    ],
)
def test_the_socket_may_be_elsewhere(options: dict[str, Any], policy: str, fits: bool) -> None:
    async def check(served: Served) -> None:
        assert (TAG in (await served.full()).body) is fits

    page = Response.html(PAGE, headers={"content-security-policy": policy})
    client = ClientOptions(path="/_longwave/hmr", token="x", **options)
    serve({"/": lambda: page}, check, client=client)


@pytest.fixture
def script(project: Path) -> Callable[[Callable[[Served], Any]], None]:
    def run(test: Callable[[Served], Any]) -> None:
        app = make_app({}, dev=True)
        app.add_claim(ClientScript(OPTIONS, project))
        run_app(app, lambda app: test(Served(app)))

    return run


def test_the_script_holds_its_options(script: Any) -> None:
    async def check(served: Served) -> None:
        reply = await served.full(CLIENT)
        assert reply.status == 200
        assert header(reply, "content-type") == "text/javascript; charset=utf-8"
        assert header(reply, "cache-control") == "no-cache"
        assert header(reply, "cross-origin-resource-policy") == "same-origin"
        text = reply.body.decode()
        assert "__OPTIONS__" not in text and "</script" not in text
        line = next(line for line in text.splitlines() if line.startswith("const options = "))
        found = json.loads(line.removeprefix("const options = ").removesuffix(";"))
        assert found == {
            "path": "/_longwave/hmr",
            "token": "s</script>&",
            "port": None,
            "host": None,
            "protocol": None,
            "direct": 3000,
            "timeout": 30.0,
            "overlay": True,
        }
        assert (await served.full(CLIENT, method="HEAD")).status == 200
        assert (await served.full(CLIENT, method="POST")).status == 405
        assert (await served.full(CLIENT + "/x")).status == 404

    script(check)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_the_script_is_for_pages_of_the_same_origin(script: Any, site: str) -> None:
    async def check(served: Served) -> None:
        for method, path in (("GET", CLIENT), ("POST", OPEN)):
            reply = await served.full(path, (b"sec-fetch-site", site.encode()), method=method)
            assert reply.status == 403 and b"token" not in reply.body

    script(check)


def test_a_file_is_opened(script: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, opened = project / "said", project / "it's $(here).py"
    opened.write_text("")
    os.mkfifo(said)
    editor = project / "editor"
    editor.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {said}\n')
    editor.chmod(0o755)
    monkeypatch.setenv("LONGWAVE_EDITOR", f"{editor} --at {{file}}:{{line}}")
    token = (b"x-longwave-token", OPTIONS.token.encode())

    async def check(served: Served) -> None:
        async def status(query: str, *fields: tuple[bytes, bytes], method: str = "POST") -> int:
            return (await served.full(f"{OPEN}?{query}", *fields, method=method)).status

        name = "file=it's%20$(here).py"
        assert await status(name + "&line=7", token) == 204
        assert said.read_text() == f"--at|{opened}:7|"
        assert await status(name + "&line=-1", token) == 204
        assert said.read_text() == f"--at|{opened}:1|"
        assert await status(name, (b"x-longwave-token", b"other")) == 403
        assert await status(name) == 403
        assert await status(name, token, method="GET") == 405
        for other in ("../x", "/etc/hostname", "public", "none.py", "", "a%00b"):
            assert await status("file=" + other, token) == 404
        served.client = ("192.0.2.1", 1234)
        assert await status(name, token) == 403
        served.client = ("127.0.0.1", 1234)
        monkeypatch.setenv("LONGWAVE_EDITOR", "/nowhere/editor")
        assert await status(name, token) == 501
        monkeypatch.delenv("LONGWAVE_EDITOR")
        monkeypatch.setenv("EDITOR", "vim")
        monkeypatch.delenv("VISUAL", raising=False)
        assert await status(name, token) == 501

    script(check)
