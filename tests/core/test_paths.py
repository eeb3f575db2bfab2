from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwave.core.paths import decode_path
from longwave.errors import RequestError
from tests.core.growth import LINEAR, growth


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"/a/b", "/a/b"),
        (b"/a/b/", "/a/b/"),
        (b"/a//b", "/a//b"),
        (b"/%61dmin", "/admin"),
        (b"/caf%C3%A9", "/café"),
        (b"/caf\xc3\xa9", "/café"),
        (b"/a+b", "/a+b"),
        (b"/a%20b", "/a b"),
        (b"/a%3Fb%23", "/a?b#"),
        # once, and once only
        (b"/%2541", "/%41"),
        (b"/%252e%252e/a", "/%2e%2e/a"),
        # an encoded slash separates nothing
        (b"/a%2fb", "/a%2Fb"),
        (b"/a%2Fb", "/a%2Fb"),
        (b"/a/..%2f..%2fb", "/a/..%2F..%2Fb"),
        # dot segments
        (b"/.", "/"),
        (b"/..", "/"),
        (b"/a/.", "/a/"),
        (b"/a/..", "/"),
        (b"/a/b/..", "/a/"),
        (b"/a/./b", "/a/b"),
        (b"/a/../b", "/b"),
        (b"/../../etc/passwd", "/etc/passwd"),
        (b"/a/%2e%2e/b", "/b"),
        (b"/a/.%2E/b", "/b"),
        (b"/%2e/b", "/b"),
        (b"/a/b/c/../../d", "/a/d"),
        (b"/a//../b", "/a/b"),
        (b"/...", "/..."),
        (b"/.a/..b/c.", "/.a/..b/c."),
        (b"/a.b/c", "/a.b/c"),
    ],
)
def test_paths(target: bytes, path: str) -> None:
    assert decode_path(target) == (path, "")
    assert decode_path(target + b"?x=/../%2e") == (path, "x=/../%2e")


@pytest.mark.parametrize(
    ("target", "query"),
    [
        (b"/", ""),
        (b"/?", ""),
        (b"/?a=1&b", "a=1&b"),
        (b"/??", "?"),
        (b"/?\xc3\xa9", "é"),
        (b"/?\\%00", "\\%00"),
    ],
)
def test_queries_stay_encoded(target: bytes, query: str) -> None:
    assert decode_path(target) == ("/", query)


def test_the_server_as_a_whole() -> None:
    assert decode_path(b"*") == ("*", "")


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"a",
        b"?a",
        b"*a",
        b"*?a",
        b"http://example.com/",
        b"example.com:443",
        b"/a#b",
        b"/a?b#c",
        b"/a\\b",
        b"/a%5cb",
        b"/..%5C..%5Cb",
        b"/a\0b",
        b"/a%00b",
        b"/%",
        b"/%4",
        b"/%zz",
        b"/%+1",
        b"/% 1",
        b"/a%2",
        b"/%ff",
        b"/\xff",
        b"/%c0%af",
        b"/%ed%a0%80",
    ],
)
def test_what_is_refused(target: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode_path(target)
    assert caught.value.status == 400


@settings(max_examples=500, deadline=None)
@given(st.binary() | st.text("/.%2efF5cC?#\\\0é~ a").map(lambda text: b"/" + text.encode()))
def test_any_target_is_a_path_or_a_400(target: bytes) -> None:
    status = 0
    try:
        path, query = decode_path(target)
    except RequestError as error:
        status = error.status
    if status:
        assert status == 400
        return
    assert path == "*" or path.startswith("/")
    assert not {".", ".."} & set(path.split("/"))
    assert "\0" not in path
    assert "\\" not in path
    (path + query).encode()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"))))
def test_what_is_encoded_comes_back(segments: list[str]) -> None:
    segments = [segment for segment in segments if segment not in (".", "..")]
    path = "/" + "/".join(segments)
    assert decode_path(quote(path).encode()) == (path, "")


@pytest.mark.parametrize("unit", [b"/a", b"/..", b"/.", b"%41", b"%2f", b"a", b"/a/../", b"//"])
def test_time_is_linear(unit: bytes) -> None:
    assert growth(lambda n: b"/" + unit * n, decode_path, 10_000) < LINEAR
