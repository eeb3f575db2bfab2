"""Bodies of HTML forms: urlencoded (WHATWG URL 5) and multipart (RFC 7578).

Strict, linear and bounded: what a browser or a client library sends is read, anything else is a 400.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from longwave.core.query import MAX_FIELDS, MissingKey, Values, parse_pairs
from longwave.errors import HTTPError

__all__ = ["Files", "Form", "Upload", "parse_form"]

MAX_PART_HEADER = 8 * 1024
"""Bytes of the header of one part. nginx: 8 KiB for a line of a header."""

MAX_WORDS = 32
"""Header fields of one part, and parameters of one field; clients send two or three."""

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_match_type = re.compile(rf"[ \t]*({_TOKEN}(?:/{_TOKEN})?)[ \t]*").match
# Possessive, so that a match never goes back: linear.
_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_match_parameter = re.compile(rf";[ \t]*+({_TOKEN})=(?:({_TOKEN})|{_QUOTED})[ \t]*+", re.DOTALL).match
# RFC 2046 section 5.1.1: 1 to 70 bchars, the last no space.
_is_boundary = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_is_header = re.compile(rf"({_TOKEN}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)").fullmatch


class Upload(Struct, frozen=True):
    """A file of a form.

    `filename` and `content_type` are the client's word: never use the name as a path.
    """

    filename: str
    content_type: str
    data: bytes


class Files(dict[str, Upload]):
    """The files of a form by field name, the first of each; a missing one answers 400."""

    __slots__ = ()

    def __missing__(self, key: str) -> Upload:
        """Raise `MissingKey`."""
        raise MissingKey("form file", key)


class Form(Values):
    """The fields of a form, and its `files`; an empty file field is not there."""

    __slots__ = ("_uploads", "files")

    noun = "form field"

    def __init__(
        self, pairs: Iterable[tuple[str, str]] = (), uploads: Iterable[tuple[str, Upload]] = ()
    ) -> None:
        super().__init__(pairs)
        self._uploads = list(uploads)
        self.files = Files()
        for name, upload in self._uploads:
            self.files.setdefault(name, upload)

    def get_files(self, key: str) -> list[Upload]:
        """Return every file of a field in order; none is an empty list."""
        return [upload for name, upload in self._uploads if name == key]


def parse_form(
    content_type: str,
    body: bytes,
    *,
    max_fields: int = MAX_FIELDS,
    max_part_header: int = MAX_PART_HEADER,
) -> Form:
    """Return the fields and files of a form's body.

    Text is UTF-8, and U+FFFD where it is not. Raises `HTTPError` 415 for another content type or charset,
    400 for a body that is not as its type says, for more than `max_fields` fields and files, and for a part
    whose header is longer than `max_part_header`.
    """
    found = _match_type(content_type)
    kind = found[1].lower() if found else ""
    if kind == "application/x-www-form-urlencoded":
        charset = _parse_parameters(content_type)[1].get("charset", "utf-8").lower()
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise HTTPError(415, f"a form is read as utf-8, not as {charset!r}")
        return Form(parse_pairs(body, "form fields", max_fields))
    if kind == "multipart/form-data":
        boundary = _parse_parameters(content_type)[1].get("boundary", "")
        if not _is_boundary(boundary):
            raise HTTPError(400, "multipart/form-data without a valid boundary")
        return _parse_multipart(body, boundary.encode("ascii"), max_fields, max_part_header)
    raise HTTPError(415, f"a form is application/x-www-form-urlencoded or multipart/form-data, not {kind!r}")


def _parse_multipart(body: bytes, boundary: bytes, max_fields: int, max_part_header: int) -> Form:
    # RFC 2046 section 5.1.1. No client of RFC 7578 sends a preamble, an epilogue or padding: refused.
    delimiter = b"\r\n--" + boundary
    if body.startswith(delimiter[2:]):
        at = len(delimiter) - 2
    elif body.startswith(delimiter):
        at = len(delimiter)
    else:
        raise HTTPError(400, "the body does not begin with its boundary")
    pairs: list[tuple[str, str]] = []
    uploads: list[tuple[str, Upload]] = []
    parts = 0
    while True:
        follows = body[at : at + 2]
        at += 2
        if follows == b"--":
            if body[at : at + 3] not in (b"", b"\r\n"):
                raise HTTPError(400, "the body goes on after its last boundary")
            return Form(pairs, uploads)
        if follows != b"\r\n":
            raise HTTPError(400, "a boundary is not followed by a line break")
        parts += 1
        if parts > max_fields:
            raise HTTPError(400, f"more than {max_fields} form fields")
        head_end = body.find(b"\r\n\r\n", at, at + max_part_header + 4)
        if head_end < 0:
            raise HTTPError(400, f"a part's header is unfinished, or longer than {max_part_header} bytes")
        # From the second line break on: an empty part may share it with its delimiter.
        end = body.find(delimiter, head_end + 2)
        if end < 0:
            raise HTTPError(400, "the last boundary is missing")
        name, filename, content_type = _parse_part_head(body[at:head_end])
        data = body[head_end + 4 : end]
        if filename is None:
            pairs.append((name, data.decode("utf-8", "replace")))
        elif filename or data:
            uploads.append((name, Upload(filename, content_type, data)))
        at = end + len(delimiter)


def _parse_part_head(head: bytes) -> tuple[str, str | None, str]:
    """Return the name, file name (None: not a file) and content type of a part."""
    fields: dict[str, str] = {}
    if head.count(b"\r\n") >= MAX_WORDS:
        raise HTTPError(400, f"a part has more than {MAX_WORDS} header fields")
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise HTTPError(400, "the header of a part is not UTF-8") from None
    for line in lines:
        found = _is_header(line)
        if found is None:
            raise HTTPError(400, "the header of a part is malformed")
        field = found[1].lower()
        if field in fields:
            raise HTTPError(400, f"a part has the field {field} twice")
        fields[field] = found[2].rstrip(" \t")
    # RFC 7578 section 4.7: deprecated, and nobody sends it; not to be misread in silence.
    if fields.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
        raise HTTPError(400, "the transfer encoding of a part is not supported")
    kind, parameters = _parse_parameters(fields.get("content-disposition", ""))
    if kind != "form-data" or "name" not in parameters:
        raise HTTPError(400, "a part without content-disposition form-data and a name")
    filename = parameters.get("filename")
    return (
        _unescape(parameters["name"]),
        None if filename is None else _unescape(filename),
        # RFC 7578 section 4.4: text/plain is the default.
        fields.get("content-type", "text/plain"),
    )


def _parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Return the first word, lower-case, and the parameters of a header field."""
    found = _match_type(value)
    if found is None:
        raise HTTPError(400, "a content type or disposition is malformed")
    kind = found[1].lower()
    parameters: dict[str, str] = {}
    at = found.end()
    while at < len(value):
        found = _match_parameter(value, at)
        if found is None:
            if value[at:] == ";":
                break
            raise HTTPError(400, "a parameter of a content type or disposition is malformed")
        name = found[1].lower()
        if name in parameters or len(parameters) >= MAX_WORDS:
            raise HTTPError(400, f"the parameter {name} is there twice, or is one too many")
        parameters[name] = found[2] if found[3] is None else _unquote(found[3])
        at = found.end()
    return kind, parameters


def _unquote(text: str) -> str:
    # Only \" and \\ are escapes: any other backslash belongs to the name, as in C:\dir\file.
    if "\\" not in text:
        return text
    return "\\".join(piece.replace('\\"', '"') for piece in text.split("\\\\"))


def _unescape(text: str) -> str:
    # WHATWG HTML 4.10.21.8: these three, and no others, are escaped in names and file names.
    if "%" in text:
        for escape, character in (("%22", '"'), ("%0D", "\r"), ("%0d", "\r"), ("%0A", "\n"), ("%0a", "\n")):
            text = text.replace(escape, character)
    return text
