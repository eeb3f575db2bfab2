from __future__ import annotations

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longwave.core.forms import MAX_PART_HEADER, Form, Upload, parse_form
from longwave.core.query import MissingKey
from longwave.errors import HTTPError
from tests.core.growth import LINEAR, growth

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FIELD = b'content-disposition: form-data; name="a"'


def part(head: bytes, data: bytes = b"x") -> bytes:
    return b"--b\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


def named(disposition: bytes, data: bytes = b"x") -> bytes:
    return part(b"Content-Disposition: " + disposition, data)


def pairs(form: Form) -> dict[str, list[str]]:
    return {name: form.get_all(name) for name in form}


def parsed(content_type: str, body: bytes, *statuses: int) -> Form | None:
    try:
        return parse_form(content_type, body)
    except HTTPError as error:
        status = error.status
    assert status in statuses
    return None


def refused(content_type: str, body: bytes) -> int:
    with pytest.raises(HTTPError) as caught:
        parse_form(content_type, body)
    return caught.value.status


@pytest.mark.parametrize(
    "content_type", [URLENCODED, URLENCODED.upper(), URLENCODED + "; charset=UTF-8", URLENCODED + ";"]
)
def test_urlencoded(content_type: str) -> None:
    form = parse_form(content_type, b"a=1&b=%C3%A9+x&a=2&c=%ff")
    assert pairs(form) == {"a": ["1", "2"], "b": ["é x"], "c": ["\ufffd"]}
    assert form.files == {}
    assert pairs(parse_form(content_type, b"")) == {}


def test_multipart() -> None:
    body = (
        named(b'form-data; name="a"', b"1")
        + named(b'form-data; name="a"', b"2\r\n")
        + named(
            b'form-data; name="doc"; filename="x.txt"\r\nContent-Type: text/html; charset=x', b"\r\n--a\0\xff"
        )
        + named(b'form-data; name="doc"; filename="y"', b"")
        + named(b'form-data; name="empty"; filename=""\r\nContent-Type: application/octet-stream', b"")
        + b"--b--\r\n"
    )
    form = parse_form(MULTIPART, body)
    assert pairs(form) == {"a": ["1", "2\r\n"]}
    first = Upload("x.txt", "text/html; charset=x", b"\r\n--a\0\xff")
    assert form.files == {"doc": first}
    assert form.files["doc"] is form.get_files("doc")[0]
    assert form.get_files("doc") == [first, Upload("y", "text/plain", b"")]
    assert form.get_files("empty") == []


def test_what_is_missing_is_a_400_that_names_it() -> None:
    form = parse_form(URLENCODED, b"a=1")
    with pytest.raises(MissingKey, match="form field 'b' is missing"):
        form["b"]
    with pytest.raises(MissingKey, match="form file 'doc' is missing") as caught:
        form.files["doc"]
    assert caught.value.status == 400
    assert form.files.get("doc") is None


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        (b"form-data; name=a; filename=b.txt", "a", "b.txt"),
        (b'form-data;name="a";filename="b c"', "a", "b c"),
        (b'FORM-DATA ; NAME="a" ; Filename="b"', "a", "b"),
        (b'form-data; filename="b"; name="a"', "a", "b"),
        (b'form-data; name="a"; filename="b;c=\\"d\\\\e"', "a", 'b;c="d\\e'),
        (b'form-data; name="a"; filename="C:\\dir\\b"', "a", "C:\\dir\\b"),
        (b'form-data; name="a%22%0D%0a"; filename="%22%0d%0A%41"', 'a"\r\n', '"\r\n%41'),
        ('form-data; name="é"; filename="語"'.encode(), "é", "語"),
        (b'form-data; name="a"; filename="b"; filename*=UTF-8\'\'c', "a", "b"),
        (b'form-data; name=""; filename="b"', "", "b"),
    ],
)
def test_names(disposition: bytes, name: str, filename: str) -> None:
    form = parse_form(MULTIPART, named(disposition) + b"--b--")
    assert [(key, upload.filename) for key, upload in form.files.items()] == [(name, filename)]


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"--b--", []),
        (b"--b--\r\n", []),
        (b"\r\n" + part(FIELD) + b"--b--", ["x"]),
        (part(FIELD, b"") + b"--b--", [""]),
        # the line break of the delimiter may be that of the empty body
        (b"--b\r\n" + FIELD + b"\r\n\r\n--b--", [""]),
        (part(FIELD, b"x--b") + b"--b--", ["x--b"]),
        (part(FIELD, b"\n--b--\n") + b"--b--", ["\n--b--\n"]),
        (part(FIELD, b"\r\n-b") + b"--b--", ["\r\n-b"]),
        (part(FIELD, b"\xff") + b"--b--", ["\ufffd"]),
        (part(FIELD + b"\r\ncontent-transfer-encoding: 8BIT") + b"--b--", ["x"]),
        (part(b"x-other: \xc3\xa9\t1\r\n" + FIELD) + b"--b--", ["x"]),
        (part(FIELD + b"\r\nx-empty:") + b"--b--", ["x"]),
    ],
)
def test_bodies(body: bytes, values: list[str]) -> None:
    assert parse_form(MULTIPART, body).get_all("a") == values


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--",
        b"--b",
        b"--b\r\n",
        b"--b-",
        b"--bb--",
        b"--b \r\n" + FIELD + b"\r\n\r\nx\r\n--b--",
        b"--b\n" + FIELD + b"\n\nx\n--b--",
        b"preamble\r\n" + part(FIELD) + b"--b--",
        part(FIELD) + b"--b--x",
        part(FIELD) + b"--b--\r\n\r\n",
        part(FIELD) + b"--b--\r\n--b--",
        part(FIELD),
        part(FIELD) + b"--bx\r\n",
        b"--b\r\n" + FIELD + b"\r\n\r\nx",
        b"--b\r\n" + FIELD + b"\r\n",
        b"--b\r\n\r\nx\r\n--b--",
        part(b"content-type: text/plain") + b"--b--",
        part(FIELD + b"\r\n" + FIELD) + b"--b--",
        part(FIELD + b"\r\n folded") + b"--b--",
        part(FIELD + b"\nx: y") + b"--b--",
        part(FIELD + b"\rx: y") + b"--b--",
        part(FIELD + b"\r\nno colon") + b"--b--",
        part(FIELD + b"\r\nspace : x") + b"--b--",
        part(FIELD + b"\r\n: x") + b"--b--",
        part(FIELD + b"\r\nx: \0") + b"--b--",
        part(FIELD + b"\r\nx: \xff") + b"--b--",
        part(FIELD + b"\r\ncontent-transfer-encoding: base64") + b"--b--",
        named(b"form-data") + b"--b--",
        named(b'form-data; filename="x"') + b"--b--",
        named(b'attachment; name="a"') + b"--b--",
        named(b'form-data; name="a"; name="b"') + b"--b--",
        named(b'form-data; name="a') + b"--b--",
        named(b'form-data; name="a"x') + b"--b--",
        named(b'form-data; name="a" b') + b"--b--",
        named(b"form-data; name=a b") + b"--b--",
        named(b"form-data; name") + b"--b--",
        named(b"form-data name=a") + b"--b--",
        named(b'form-data; name="a"; filename="x\\"') + b"--b--",
        named(b"") + b"--b--",
    ],
)
def test_bad_bodies_are_400(body: bytes) -> None:
    assert refused(MULTIPART, body) == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 415),
        ("application/json", 415),
        ("text/plain", 415),
        ("multipart/mixed; boundary=b", 415),
        ("\r\n", 415),
        (URLENCODED + "; charset=utf-16", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        (URLENCODED + "; charset", 400),
        ('multipart/form-data; boundary=""', 400),
        ('multipart/form-data; boundary="b "', 400),
        ('multipart/form-data; boundary="b\r\n"', 400),
        ('multipart/form-data; boundary="é"', 400),
        ("multipart/form-data; boundary=" + "b" * 71, 400),
        ("multipart/form-data; boundary=b; boundary=c", 400),
    ],
)
def test_content_types(content_type: str, status: int) -> None:
    assert refused(content_type, part(FIELD) + b"--b--") == status


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/form-data; boundary="b"', b"b"),
        ("Multipart/Form-Data;BOUNDARY=b", b"b"),
        (
            "multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundary7MA4",
            b"----WebKitFormBoundary7MA4",
        ),
        ("multipart/form-data; boundary=" + "b" * 70, b"b" * 70),
        ('multipart/form-data; boundary="a b:(c)"', b"a b:(c)"),
    ],
)
def test_boundaries(content_type: str, boundary: bytes) -> None:
    body = b"--%b\r\n%b\r\n\r\nx\r\n--%b--\r\n" % (boundary, FIELD, boundary)
    assert pairs(parse_form(content_type, body)) == {"a": ["x"]}


def test_the_number_of_fields_is_bounded() -> None:
    assert len(parse_form(URLENCODED, b"a=1&b=2", max_fields=2)) == 2
    assert refused(URLENCODED, b"a&" * 1000) == 400
    assert len(parse_form(MULTIPART, part(FIELD) * 1000 + b"--b--").get_all("a")) == 1000
    assert refused(MULTIPART, part(FIELD) * 1001 + b"--b--") == 400
    upload = named(b'form-data; name="a"; filename="x"')
    assert refused(MULTIPART, (upload + part(FIELD)) * 501 + b"--b--") == 400


def test_the_words_of_a_part_are_bounded() -> None:
    lines = [b"x%d: y" % n for n in range(31)]
    assert parse_form(MULTIPART, part(b"\r\n".join([FIELD, *lines])) + b"--b--")["a"] == "x"
    assert refused(MULTIPART, part(b"\r\n".join([FIELD, *lines, b"z: y"])) + b"--b--") == 400
    parameters = [b"x%d=y" % n for n in range(31)]
    assert parse_form(MULTIPART, part(b"; ".join([FIELD, *parameters])) + b"--b--")["a"] == "x"
    assert refused(MULTIPART, part(b"; ".join([FIELD, *parameters, b"z=y"])) + b"--b--") == 400


@pytest.mark.parametrize("body", [b"a=%", b"a=%4", b"%zz", b"a=%4&1"])
def test_a_bad_escape_is_400(body: bytes) -> None:
    assert refused(URLENCODED, body) == 400


def test_the_header_of_a_part_is_bounded() -> None:
    exact = FIELD + b"\r\nx: " + b"y" * (MAX_PART_HEADER - len(FIELD) - 5)
    assert len(exact) == MAX_PART_HEADER
    assert parse_form(MULTIPART, part(exact) + b"--b--")["a"] == "x"
    assert refused(MULTIPART, part(exact + b"y") + b"--b--") == 400


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(TEXT, TEXT, max_size=5),
    st.dictionaries(TEXT, st.tuples(TEXT.filter(bool), st.binary()), max_size=5),
)
def test_what_httpx_sends_comes_back(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> None:
    def sendable(text: str) -> bool:
        # httpx writes other control characters into a header as they are; these are refused.
        return "%" not in text and all(ord(c) >= 0x20 and ord(c) != 0x7F for c in text)

    fields = {name: value for name, value in fields.items() if sendable(name)}
    files = {name: file for name, file in files.items() if sendable(name) and sendable(file[0])}
    files["last"] = ("last.bin", b"\r\n--")
    request = httpx.Request("POST", "http://x", data=fields, files=files)
    form = parse_form(request.headers["content-type"], request.read())
    assert dict(form) == fields
    assert {name: (file.filename, file.data) for name, file in form.files.items()} == files


SCRAPS = [
    b"--b",
    b"\r\n",
    b"--",
    FIELD,
    b"content-disposition:",
    b'; filename="',
    b'"',
    b"\\",
    b"x",
    b"\0",
    b"\xff",
]


@settings(max_examples=500, deadline=None)
@given(st.binary() | st.lists(st.sampled_from(SCRAPS)).map(lambda scraps: b"--b\r\n" + b"".join(scraps)))
@example(b"--b--")
def test_any_body_is_a_form_or_an_error(body: bytes) -> None:
    form = parsed(MULTIPART, body, 400)
    if form is not None:
        assert sum(len(form.get_all(name)) for name in form) + len(form.files) <= len(body)


@settings(max_examples=300, deadline=None)
@given(
    st.text() | st.text('abcdefgh/;="\\ \t').map(lambda text: "multipart/form-data;" + text),
    st.binary(),
)
def test_any_content_type_is_read_or_refused(content_type: str, body: bytes) -> None:
    parsed(content_type, body, 400, 415)


@pytest.mark.parametrize(
    "unit",
    [
        b"x",
        b"\r\n",
        b"\r\n-",
        b"\r\n--",
        b"\r\n--" + b"a" * 69,
        b"a",
        b"-",
        b"\r\n--" + b"a" * 69 + b"b" + b"a" * 69,
    ],
)
def test_time_of_multipart_is_linear_in_the_data(unit: bytes) -> None:
    boundary = b"a" * 70
    head = b"--" + boundary + b"\r\n" + FIELD + b"\r\n\r\n"

    def make(n: int) -> bytes:
        return head + unit * (n // len(unit)) + b"\r\n--" + boundary + b"--"

    def run(body: bytes) -> None:
        parse_form("multipart/form-data; boundary=" + boundary.decode(), body)

    assert growth(make, run, 60_000) < LINEAR


def test_time_of_multipart_is_linear_in_the_parts() -> None:
    def run(body: bytes) -> None:
        parse_form(MULTIPART, body, max_fields=10**9)

    assert growth(lambda n: part(FIELD) * n + b"--b--", run, 1000) < LINEAR


@pytest.mark.parametrize("unit", [b"; x=y", b'; x="', b'\\"', b"\\", b"%22", b"; ", b" ", b"\r\nx: y"])
def test_time_of_a_part_header_is_linear(unit: bytes) -> None:
    def run(body: bytes) -> None:
        try:
            parse_form(MULTIPART, body, max_part_header=10**9)
        except HTTPError:
            pass

    assert growth(lambda n: named(b'form-data; name="' + unit * n) + b"--b--", run, 10_000) < LINEAR
    assert growth(lambda n: part(FIELD + unit * n) + b"--b--", run, 10_000) < LINEAR
