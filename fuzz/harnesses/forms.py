"""A form that was written as a browser writes it comes back; any other body is read or refused, never more.

The only refusals are `HTTPError` 415 and 400; fields and headers of parts keep their bounds.
"""

from __future__ import annotations

from fuzz.source import Source
from longwave.core.forms import parse_form
from longwave.core.query import parse_pairs
from longwave.errors import HTTPError

__all__ = ["check"]

TYPES = (
    "multipart/form-data; boundary=b",
    'multipart/form-data; boundary="a b"',
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=UTF-8",
    "Multipart/Form-Data; Boundary=-",
)
MOST = 20


def check(data: bytes) -> None:
    """Read the input as a body of some type, then write a form of it."""
    source = Source(data)
    kind = source.byte()
    content_type = source.text() if kind >= 128 else TYPES[kind % len(TYPES)]
    if kind & 64:
        write(source)
        return
    body = source.rest()
    try:
        form = parse_form(content_type, body, max_fields=MOST, max_part_header=200)
    except HTTPError as error:
        assert error.status in (400, 415)
        assert error.message
        return
    fields = sum(len(form.get_all(name)) for name in form)
    files = [upload for name in form.files for upload in form.get_files(name)]
    assert fields + len(files) <= MOST
    assert sum(len(upload.data) for upload in files) <= len(body)
    if "urlencoded" in content_type.lower():
        pairs = parse_pairs(body, "form fields", MOST)
        assert {name: form.get_all(name) for name in form} == grouped(pairs)
        assert not files


def write(source: Source) -> None:
    """Write a multipart form as browsers do (WHATWG HTML 4.10.21.8), and read it back."""
    fields: list[tuple[str, str]] = []
    uploads: list[tuple[str, str, bytes]] = []
    body = b""
    for _ in range(MOST):
        if not source:
            break
        name = clean(source.text())
        value = source.take()
        head = f'Content-Disposition: form-data; name="{escape(name)}"'
        if source.byte() & 1:
            filename = clean(source.text())
            head += f'; filename="{escape(filename)}"\r\nContent-Type: image/png'
            if filename or value:
                uploads.append((name, filename, value))
        else:
            fields.append((name, value.decode("utf-8", "replace")))
        if len(head.encode()) > 1000:
            return
        body += b"--bxyz\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n"
        if b"\r\n--bxyz" in value:
            return
    body += b"--bxyz--\r\n"
    form = parse_form("multipart/form-data; boundary=bxyz", body, max_fields=MOST)
    assert [(name, form.get_all(name)) for name in form] == list(grouped(fields).items())
    read = [(name, file.filename, file.data) for name in form.files for file in form.get_files(name)]
    assert sorted(read) == sorted(uploads), f"{read} are not {uploads}"


def clean(text: str) -> str:
    """Return a name that can be in a header, and that escaping does not make ambiguous."""
    kept = "".join(character for character in text if character.isprintable() or character in '\r\n"')
    return kept.encode("utf-8", "replace").decode().replace("%", "").replace("\\", "")


def escape(text: str) -> str:
    """Escape a name as browsers do."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return all values of each name."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
