"""What `longwave dev` serves of pages, as clients of HTTP see it."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator

import pytest

from tests.e2e.process import ServerProcess

TAG = b'<script type="module" src="/_longwave/client.js"></script>'
PAGE = b"<!doctype html><html><head><title>x</title></head></html>"
FILLED = PAGE.replace(b"<head>", b"<head>" + TAG)
LARGE = PAGE + b"x" * 600_000
STRICT = """
from longwave import Response
def get(event):
    return Response.html("<p>x", headers={"content-security-policy": "default-src 'none'"})
"""
DOCUMENT = {"sec-fetch-dest": "document", "accept": "text/html"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("pages")
    (root / "public").mkdir()
    (root / "index.html").write_bytes(PAGE)
    (root / "public" / "large.html").write_bytes(LARGE)
    routes = root / "src" / "server" / "routes"
    routes.mkdir(parents=True)
    (routes / "strict.py").write_text(STRICT)
    (routes / "fail.py").write_text("def get(event):\n    raise KeyError('x')\n")
    (routes / "last.py").write_text("def get(event):\n    raise KeyError('the last')\n")
    with ServerProcess(root, command="dev") as running:
        yield running


class Answer:
    """A whole answer, read to the end that its head tells."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.fields = {name.lower(): value for name, value in answer.getheaders()}
        self.body = answer.read()


def ask(server: ServerProcess, path: str, method: str = "GET", **fields: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, path, headers=headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.parametrize(("path", "plain"), [("/", PAGE), ("/large.html", LARGE)])
def test_lengths_and_tags_are_those_of_what_is_sent(server: ServerProcess, path: str, plain: bytes) -> None:
    page, file = ask(server, path, **DOCUMENT), ask(server, path)
    assert file.body == plain and page.body == plain.replace(b"<head>", b"<head>" + TAG)
    for answer in (page, file):
        assert answer.fields["content-length"] == str(len(answer.body))
        assert "transfer-encoding" not in answer.fields
    for fields, answer in ((DOCUMENT, page), ({}, file)):
        head = ask(server, path, "HEAD", **fields)
        for name in ("content-length", "etag", "content-type", "last-modified"):
            assert head.fields[name] == answer.fields[name]
        again = ask(server, path, if_none_match=answer.fields["etag"], **fields)
        assert (again.status, again.body, again.fields["etag"]) == (304, b"", answer.fields["etag"])
    assert page.fields["etag"] != file.fields["etag"]
    assert ask(server, path, if_none_match=file.fields["etag"], **DOCUMENT).status == 200
    assert ask(server, path, if_none_match=page.fields["etag"]).status == 200

    part = ask(server, path, range="bytes=2-9", if_range=file.fields["etag"])
    assert (part.status, part.body) == (206, plain[2:10])
    whole = ask(server, path, range="bytes=2-9", if_range=page.fields["etag"], **DOCUMENT)
    assert (whole.status, whole.body) == (200, page.body)


def test_the_script_is_for_our_pages_alone(server: ServerProcess) -> None:
    script = ask(server, "/_longwave/client.js", sec_fetch_site="same-origin")
    assert script.fields["cross-origin-resource-policy"] == "same-origin"
    assert script.fields["cache-control"] == "no-cache"
    (token,) = re.findall(rb'"token": "([\w-]+)"', script.body)
    assert len(token) >= 16
    # A page of this machine may read what the project serves, never the token.
    shared = ask(server, "/_longwave/client.js", origin="http://localhost:5173")
    assert "access-control-allow-origin" not in shared.fields
    for fields in (
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"host": "evil.example"},
    ):
        refused = ask(server, "/_longwave/client.js", **fields)
        assert refused.status == 403 and token not in refused.body
        opened = ask(
            server, "/_longwave/open?file=index.html", "POST", x_longwave_token=token.decode(), **fields
        )
        assert opened.status == 403
    assert ask(server, "/_longwave/open?file=index.html", "POST").status == 403


def test_errors_have_it_and_strict_pages_do_not(server: ServerProcess) -> None:
    for path, status in (("/fail", 500), ("/none", 404)):
        answer = ask(server, path, **DOCUMENT)
        assert answer.status == status
        assert answer.body.count(b'data-longwave-status="%d"' % status) == 1
        assert answer.fields["content-length"] == str(len(answer.body))
        assert b"_longwave" not in ask(server, path).body
    for _ in range(2):
        assert ask(server, "/strict", **DOCUMENT).body == b"<p>x"
    # What the log says is written a little later, in order.
    ask(server, "/last", **DOCUMENT)
    deadline = time.monotonic() + 10
    while "the last" not in server.output:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.01)
    assert server.output.count("Content-Security-Policy") == 1
