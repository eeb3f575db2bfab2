from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longwave.contract import FullReply
from longwave.core.http_dates import format_date
from longwave.errors import HTTPError
from longwave.types import Fields
from longwave.web.static import FoundFile, StaticFiles, StaticReply, _open, content_type
from tests.core.growth import LINEAR, growth
from tests.web.site import DATE, MODIFIED, SECRET, get, header, make_project, static_of


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "my-app")


@pytest.fixture
def static(project: Path) -> StaticFiles:
    return static_of(project)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/", b"<h1>root</h1>", b"text/html; charset=utf-8"),
        ("/index.html", b"<h1>root</h1>", b"text/html; charset=utf-8"),
        ("/app.js", b"let a", b"text/javascript; charset=utf-8"),
        ("/a b.txt", b"space", b"text/plain; charset=utf-8"),
        ("/caf\xe9.txt", b"accent", b"text/plain; charset=utf-8"),
        ("/empty.txt", b"", b"text/plain; charset=utf-8"),
        ("/docs/", b"<h1>docs</h1>", b"text/html; charset=utf-8"),
        ("/docs", b"<h1>docs</h1>", b"text/html; charset=utf-8"),
        ("/docs/page.html", b"<p>", b"text/html; charset=utf-8"),
    ],
)
def test_files(static: StaticFiles, path: str, body: bytes, kind: bytes) -> None:
    reply = get(static, path)
    assert (reply.status, reply.body) == (200, body)
    assert dict(reply.headers) == {
        b"etag": b'"%x-%x"' % (MODIFIED * 10**9, len(body)),
        b"cache-control": b"public, max-age=0, must-revalidate",
        b"last-modified": DATE,
        b"accept-ranges": b"bytes",
        b"x-content-type-options": b"nosniff",
        b"content-type": kind,
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        "app.js",
        "*",
        "/nothing",
        "/app.js/",
        "/app.js/x",
        "/bare",
        "/bare/",
        "//app.js",
        "/docs//page.html",
        "/docs//",
        "/.hidden",
        "/.git/config",
        "/.git/",
        "/docs/.htpasswd",
        "/.",
        "/./app.js",
        "/..",
        "/../secret.txt",
        "/../index.html",
        "/../.env",
        "/../public-2/a.txt",
        "/docs/../../secret.txt",
        "/docs/../app.js",
        "/..\\secret.txt",
        "/docs\\page.html",
        "/a\\b",
        "/a%2Fb",
        "/a%2fb",
        "/..%2fsecret.txt",
        "/app.js\0",
        "/app.js\0.html",
        "/\ud800",
        "/" + "x" * 300,
        "/" + "x/" * 5000,
        "/etc/passwd",
        "/public/app.js",
        "/src/server/routes/x.py",
    ],
)
def test_what_is_not_served(static: StaticFiles, path: str) -> None:
    assert static.find(path, "GET") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", ""])
def test_other_methods_are_for_routes(static: StaticFiles, method: str) -> None:
    assert static.find("/app.js", "GET") is not None
    assert static.find("/app.js", method) is None


def test_folders_that_are_not_there(project: Path) -> None:
    assert StaticFiles(None, None).find("/", "GET") is None
    assert StaticFiles(project / "nothing", project / "nothing.html").find("/", "GET") is None
    assert StaticFiles(project / "index.html", None).find("/", "GET") is None
    only_index = StaticFiles(None, project / "index.html")
    assert get(only_index, "/").body == b"<h1>root</h1>"
    assert only_index.find("/secret.txt", "GET") is None


def test_the_page_of_public(project: Path) -> None:
    (project / "public/index.html").write_bytes(b"public")
    assert get(StaticFiles(project / "public", None), "/").body == b"public"
    assert get(StaticFiles(project / "public", project / "nothing.html"), "/index.html").body == b"public"
    assert get(StaticFiles(project / "public", project / "index.html"), "/").body == b"<h1>root</h1>"


def test_the_folder_may_come_later(project: Path) -> None:
    static = StaticFiles(project / "later", None)
    assert static.find("/a.txt", "GET") is None
    (project / "later").mkdir()
    (project / "later/a.txt").write_bytes(b"a")
    assert get(static, "/a.txt").body == b"a"


def test_a_relative_folder_is_that_of_the_start(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    static = StaticFiles(Path("public"), Path("index.html"))
    monkeypatch.chdir(project.parent)
    assert get(static, "/app.js").body == b"let a"
    assert get(static, "/").body == b"<h1>root</h1>"


@pytest.mark.parametrize(
    ("link", "target", "body"),
    [
        ("latest.js", "app.js", b"let a"),
        ("latest", "docs", b"<h1>docs</h1>"),
        ("docs/up.js", "../app.js", b"let a"),
        ("out.txt", "../secret.txt", None),
        ("out", "..", None),
        ("beside.txt", "../public-2/a.txt", None),
        ("hidden.txt", ".hidden", None),
        ("git", ".git", None),
        ("passwd", "/etc/passwd", None),
        ("dangling", "nothing", None),
        ("loop", "loop", None),
    ],
)
def test_links(project: Path, static: StaticFiles, link: str, target: str, body: bytes | None) -> None:
    (project / "public" / link).symlink_to(target)
    if body is not None:
        assert get(static, "/" + link).body == body
    else:
        for path in (
            "/" + link,
            f"/{link}/",
            f"/{link}/secret.txt",
            f"/{link}/config",
            f"/{link}/index.html",
        ):
            assert static.find(path, "GET") is None


def test_the_folder_may_be_a_link(project: Path) -> None:
    (project / "linked").symlink_to("public")
    static = StaticFiles(project / "linked", None)
    assert get(static, "/app.js").body == b"let a"
    assert static.find("/../secret.txt", "GET") is None


@pytest.mark.parametrize(
    ("target", "served"),
    [(".env", False), ("secret.txt", False), ("/etc/passwd", False), ("public/app.js", True)],
)
def test_the_page_as_a_link(project: Path, static: StaticFiles, target: str, served: bool) -> None:
    (project / "index.html").unlink()
    (project / "index.html").symlink_to(target)
    assert (static.find("/", "GET") is not None) is served


def test_special_files_are_not_served(project: Path, static: StaticFiles) -> None:
    os.mkfifo(project / "public/pipe")
    assert static.find("/pipe", "GET") is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(project / "public/socket"))
        assert static.find("/socket", "GET") is None


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.text() | st.text("/.\\%2Ffeadocs \0").map(lambda text: "/" + text))
def test_any_path_is_a_file_of_the_folder_or_none(project: Path, path: str) -> None:
    static = StaticFiles(project / "public", None)
    found = static.find(path, "GET")
    if found is not None:
        assert Path(found.path).is_relative_to(project / "public")
        assert "/." not in found.path.removeprefix(str(project))
        reply = static.respond(found, [], "GET")
        assert isinstance(reply, StaticReply) or SECRET not in reply.body


# Conditions


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([(b"if-none-match", b"{tag}")], 304),
        ([(b"if-none-match", b"W/{tag}")], 304),
        ([(b"if-none-match", b'"a", {tag} , "b"')], 304),
        ([(b"if-none-match", b'"a"'), (b"if-none-match", b"{tag}")], 304),
        ([(b"if-none-match", b"*")], 304),
        ([(b"if-none-match", b'"a"')], 200),
        ([(b"if-none-match", b'"a,b", W/"c"')], 200),
        ([(b"if-none-match", b"")], 200),
        ([(b"if-none-match", b'"a"'), (b"if-modified-since", DATE)], 200),
        ([(b"if-modified-since", DATE)], 304),
        ([(b"if-modified-since", b"Sun Nov  6 08:49:37 1994")], 304),
        ([(b"if-modified-since", b"Sun, 06 Nov 1994 08:49:38 GMT")], 304),
        ([(b"if-modified-since", b"Sun, 06 Nov 1994 08:49:36 GMT")], 200),
        ([(b"if-modified-since", b"yesterday")], 200),
        ([(b"if-modified-since", b"\xff")], 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(static: StaticFiles, headers: Fields, status: int, method: str) -> None:
    tag = header(get(static, "/app.js"), b"etag")
    assert tag is not None
    reply = get(static, "/app.js", [(name, value.replace(b"{tag}", tag)) for name, value in headers], method)
    assert reply.status == status
    assert header(reply, b"etag") == tag
    assert header(reply, b"cache-control") == b"public, max-age=0, must-revalidate"
    if status == 304:
        assert reply.body == b""
        assert header(reply, b"content-type") is None
        assert header(reply, b"content-length") is None


def test_the_tag_changes_with_the_file(project: Path, static: StaticFiles) -> None:
    tag = header(get(static, "/app.js"), b"etag")
    (project / "public/app.js").write_bytes(b"let b")
    assert header(get(static, "/app.js"), b"etag") != tag
    assert get(static, "/app.js", [(b"if-none-match", tag or b"")]).body == b"let b"


def test_parts_of_a_second_do_not_defeat_dates(project: Path, static: StaticFiles) -> None:
    os.utime(project / "public/app.js", ns=(0, MODIFIED * 10**9 + 999_999_999))
    assert header(get(static, "/app.js"), b"last-modified") == DATE
    assert get(static, "/app.js", [(b"if-modified-since", DATE)]).status == 304


def test_a_file_without_a_date(static: StaticFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    found = static.find("/app.js", "GET")
    assert found is not None
    ancient = FoundFile(found.path, found.size, -(10**21), found.content_type)
    monkeypatch.setattr("longwave.web.static._look_again", lambda _: ancient)
    reply = static.respond(found, [(b"if-modified-since", DATE)], "HEAD")
    assert header(reply, b"last-modified") is None


def test_cache_control_is_a_setting(project: Path) -> None:
    static = StaticFiles(project / "public", None, cache_control="no-store")
    assert header(get(static, "/app.js"), b"cache-control") == b"no-store"


@pytest.mark.parametrize("unit", [b'"a", ', b",", b"W/", b" ", b'"'])
def test_time_of_tags_is_linear(static: StaticFiles, unit: bytes) -> None:
    found = static.find("/app.js", "HEAD")
    assert found is not None
    ratio = growth(
        lambda n: [(b"if-none-match", unit * n)],
        lambda headers: static.respond(found, headers, "HEAD"),
        10_000,
    )
    assert ratio < LINEAR


# HEAD


@pytest.mark.parametrize(("path", "length"), [("/app.js", 5), ("/empty.txt", 0), ("/big.bin", 1 << 20)])
def test_head(static: StaticFiles, path: str, length: int) -> None:
    reply = get(static, path, [(b"range", b"bytes=0-0")], "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert header(reply, b"content-length") == b"%d" % length
    assert header(reply, b"content-type") is not None


# What happens between find and respond


def test_a_file_that_is_gone_is_404(project: Path, static: StaticFiles) -> None:
    found = static.find("/app.js", "GET")
    assert found is not None
    (project / "public/app.js").unlink()
    with pytest.raises(HTTPError) as caught:
        static.respond(found, [], "GET")
    assert caught.value.status == 404


def test_a_link_that_was_put_there_is_not_followed(project: Path, static: StaticFiles) -> None:
    found = static.find("/app.js", "GET")
    assert found is not None
    (project / "public/app.js").unlink()
    (project / "public/app.js").symlink_to("../secret.txt")
    with pytest.raises(HTTPError) as caught:
        static.respond(found, [], "GET")
    assert caught.value.status == 404


def test_opening_follows_no_link(project: Path) -> None:
    # The last moment, after the check of what is there: the link's target even looks the same.
    target = project / "secret.txt"
    (project / "public/link.txt").symlink_to(target)
    state = target.stat()
    found = FoundFile(str(project / "public/link.txt"), state.st_size, state.st_mtime_ns, "text/plain")
    with pytest.raises(OSError):
        _open(found)


def test_a_file_that_was_written_is_served_as_it_is_now(project: Path, static: StaticFiles) -> None:
    found = static.find("/app.js", "GET")
    assert found is not None
    (project / "public/app.js").write_bytes(b"longer than before")
    reply = static.respond(found, [], "GET")
    assert isinstance(reply, FullReply)
    assert reply.body == b"longer than before"
    assert header(reply, b"etag") != found.etag


@pytest.mark.parametrize(
    ("error", "status"), [(FileNotFoundError(), 404), (PermissionError(), 403), (OSError(), 503)]
)
def test_a_file_that_cannot_be_read(
    static: StaticFiles, monkeypatch: pytest.MonkeyPatch, error: OSError, status: int
) -> None:
    def fail(found: FoundFile) -> None:
        raise error

    monkeypatch.setattr("longwave.web.static._open", fail)
    with pytest.raises(HTTPError) as caught:
        get(static, "/app.js")
    assert caught.value.status == status


# Types


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("A.HTML", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.js.map", "application/json; charset=utf-8"),
        ("a.webmanifest", "application/manifest+json; charset=utf-8"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.tar.gz", "application/gzip"),
        ("a.html.br", "application/octet-stream"),
        ("a.doc", "application/msword"),
        ("a", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.nosuchtype", "application/octet-stream"),
        ("html", "application/octet-stream"),
    ],
)
def test_content_types(name: str, kind: str) -> None:
    assert content_type("/folder.css/" + name) == kind


def test_the_date_of_the_tests() -> None:
    assert format_date(MODIFIED) == DATE
