"""Static files: the folder `public/` at `/`, and the page `index.html`.

What is served is a regular file that is in the folder after every link was followed, and whose path holds no
name that begins with a dot. Everything else does not exist, so that a route may answer.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from msgspec import Struct

from longwave.contract import FullReply
from longwave.core.http_dates import format_date, parse_date
from longwave.errors import HTTPError
from longwave.types import Fields

__all__ = ["FoundFile", "StaticFiles", "StaticReply", "content_type", "parse_range"]

WHOLE = 256 * 1024
"""Bytes up to which a file is read at once, on the loop: 0.1 ms from the page cache."""
PIECE = 256 * 1024
"""Bytes that are read at a time, in a thread, of a larger file."""

INDEX = "index.html"

# The types that the web is made of, the same on every machine; others are looked up in `mimetypes`.
_TYPES = {
    "avif": "image/avif",
    "bin": "application/octet-stream",
    "br": "application/octet-stream",
    "bz2": "application/x-bzip2",
    "css": "text/css",
    "csv": "text/csv",
    "gif": "image/gif",
    "gz": "application/gzip",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/x-icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "m4a": "audio/mp4",
    "map": "application/json",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ogg": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tgz": "application/gzip",
    "ttf": "font/ttf",
    "txt": "text/plain",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}


class FoundFile(Struct, frozen=True):
    """A file that may be served: its path without links, and how it was found."""

    path: str
    size: int
    mtime_ns: int
    content_type: str

    @property
    def etag(self) -> bytes:
        """The entity tag, with quotes; strong, as time has nanoseconds (RFC 9110, 8.8.3)."""
        return b'"%x-%x"' % (self.mtime_ns, self.size)

    @property
    def modified(self) -> int:
        """The change time in whole seconds since 1970, which is what HTTP dates can say."""
        return self.mtime_ns // 1_000_000_000


class StaticReply(Struct):
    """A response whose body comes in pieces.

    `length` is their sum, and in `headers` too. The iterator opens the file at its first step: one that is
    never begun holds nothing. It raises `OSError` when the file is no longer the one that the head
    describes.
    """

    status: int
    headers: Fields
    body: AsyncIterator[bytes]
    length: int


class StaticFiles:
    """The files of a folder, and the page at `/`; either may be None or not exist.

    `index` is the page of the project's root, and wins over the one in `public`.
    """

    def __init__(
        self,
        public: Path | None,
        index: Path | None,
        *,
        cache_control: str = "public, max-age=0, must-revalidate",
    ) -> None:
        self._public = None if public is None else os.path.abspath(public)
        self._index = None if index is None else os.path.abspath(index)
        self._cache_control = cache_control.encode("latin-1")

    def find(self, path: str, method: str) -> FoundFile | None:
        """Return the file of a decoded path, for GET and HEAD; None lets routes answer.

        A folder is its `index.html`, with a slash at the end of the path or without.
        """
        if method not in ("GET", "HEAD") or not _is_servable(path):
            return None
        if self._index is not None and path in ("/", "/" + INDEX):
            found = self._find_index(self._index)
            if found is not None:
                return found
        if self._public is None:
            return None
        # Nearly every request is for no file: that costs one stat.
        candidate = self._public + path
        try:
            state = os.stat(candidate)
            if S_ISDIR(state.st_mode):
                candidate = candidate.rstrip("/") + "/" + INDEX
            return _found(candidate, os.path.realpath(self._public))
        except (OSError, ValueError):
            return None

    def respond(self, found: FoundFile, headers: Fields, method: str) -> FullReply | StaticReply:
        """Return the answer to a GET or HEAD with these request headers.

        200, 206 for one byte range, 304 or 416 (RFC 9110 sections 13 and 14). The answer to HEAD has no body
        and the `content-length` of GET; a `FullReply` with a body leaves that field to the server. Raises
        `HTTPError` 404 when the file is gone since it was found.
        """
        try:
            found = _look_again(found)
        except OSError:
            raise HTTPError(404) from None
        fields: Fields = [
            (b"etag", found.etag),
            (b"cache-control", self._cache_control),
        ]
        date = _last_modified(found)
        if date is not None:
            fields.append((b"last-modified", date))
        if _is_not_modified(found, headers):
            return FullReply(304, fields)
        fields.append((b"accept-ranges", b"bytes"))
        fields.append((b"x-content-type-options", b"nosniff"))
        status, start, length = 200, 0, found.size
        wanted = _range_of(found, headers, date) if method == "GET" else None
        if wanted is not None:
            start, stop = wanted
            if start >= stop:
                fields.append((b"content-range", b"bytes */%d" % found.size))
                return FullReply(416, fields)
            status, length = 206, stop - start
            fields.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, found.size)))
        fields.append((b"content-type", found.content_type.encode("latin-1")))
        size = (b"content-length", b"%d" % length)
        if method == "HEAD":
            return FullReply(status, [*fields, size])
        if length > WHOLE:
            return StaticReply(status, [*fields, size], _pieces(found, start, length), length)
        return FullReply(status, fields, _read(found, start, length))

    def _find_index(self, index: str) -> FoundFile | None:
        folder, name = os.path.split(index)
        try:
            target = os.path.realpath(index, strict=True)
            # A link may lead into `public`; to a source file beside it, or out of the project, it may not.
            if target == os.path.join(os.path.realpath(folder), name):
                return _found(index, os.path.dirname(target))
            if self._public is not None:
                return _found(index, os.path.realpath(self._public))
        except (OSError, ValueError):
            pass
        return None


def content_type(name: str) -> str:
    """Return the content type of a file name; text is UTF-8, unknown is a byte stream."""
    extension = os.path.splitext(name)[1][1:].lower()
    kind = _TYPES.get(extension)
    if kind is None:
        import mimetypes  # reads files of the system at its first use, and is rarely needed

        guessed, encoding = mimetypes.guess_type("x." + extension)
        kind = guessed if guessed is not None and encoding is None else "application/octet-stream"
    is_text = kind.startswith("text/") or kind.endswith(("json", "xml", "javascript"))
    return kind + "; charset=utf-8" if is_text else kind


def parse_range(value: bytes, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of a `Range` field with one byte range.

    `stop` is past the last byte. None: no byte range, malformed, or several ranges; the field is to be
    ignored. An empty range, (n, n): it cannot be satisfied. RFC 9110 section 14.1.2.
    """
    unit, separator, spec = value.strip(b" \t").partition(b"=")
    first, dash, last = (part.strip(b" \t") for part in spec.partition(b"-"))
    if unit.lower() != b"bytes" or not separator or not dash:
        return None
    if not first:
        length = _number(last)
        return None if length is None else (max(size - length, 0), size)
    start = _number(first)
    stop = size - 1 if not last else _number(last)
    if start is None or stop is None or (last and stop < start):
        return None
    return (start, min(stop + 1, size)) if start < size else (size, size)


def _number(digits: bytes) -> int | None:
    if not digits.isdigit():
        return None
    # int() takes quadratic time, and refuses above 4300 digits; no file has so many bytes.
    return int(digits) if len(digits) <= 19 else 10**19


def _is_servable(path: str) -> bool:
    # Also against callers that did not decode the path with core.paths: it never leaves, never surprises.
    if not path.startswith("/") or "/." in path or "//" in path or "\\" in path or "\0" in path:
        return False
    return "%2f" not in path.lower()


def _found(candidate: str, root: str) -> FoundFile | None:
    """Return the file behind a path when, links followed, it may be served."""
    real = os.path.realpath(candidate, strict=True)
    inside = root.rstrip(os.sep) + os.sep
    if not real.startswith(inside):
        return None
    if any(part.startswith(".") for part in real[len(inside) :].split(os.sep)):
        return None
    state = os.stat(real)
    if not S_ISREG(state.st_mode):
        return None
    return FoundFile(real, state.st_size, state.st_mtime_ns, content_type(candidate))


def _look_again(found: FoundFile) -> FoundFile:
    return _as_it_is(found, os.stat(found.path, follow_symlinks=False))


def _as_it_is(found: FoundFile, state: os.stat_result) -> FoundFile:
    if not S_ISREG(state.st_mode):
        raise OSError(errno.ENOENT, "no longer a regular file", found.path)
    return FoundFile(found.path, state.st_size, state.st_mtime_ns, found.content_type)


def _open(found: FoundFile) -> BinaryIO:
    """Open the very file that was found; raises `OSError` when it is another by now."""
    file = open(found.path, "rb", opener=_opener)  # noqa: SIM115
    try:
        if _as_it_is(found, os.fstat(file.fileno())) != found:
            raise OSError(errno.ESTALE, "changed while it was served", found.path)
    except BaseException:
        file.close()
        raise
    return file


def _opener(path: str, flags: int) -> int:
    # No link that was put there in between, and no wait for the writer of a pipe.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _read(found: FoundFile, start: int, length: int) -> bytes:
    try:
        with _open(found) as file:
            file.seek(start)
            data = file.read(length)
    except FileNotFoundError:
        raise HTTPError(404) from None
    except PermissionError:
        raise HTTPError(403) from None
    except OSError as error:
        raise HTTPError(503, headers={"retry-after": "1"}) from error
    if len(data) != length:
        raise HTTPError(503, headers={"retry-after": "1"})
    return data


async def _pieces(found: FoundFile, start: int, length: int) -> AsyncIterator[bytes]:
    with _open(found) as file:
        file.seek(start)
        while length:
            # A read that is cancelled goes on in its thread: the file's own lock makes close() wait for it.
            piece = await asyncio.to_thread(file.read, min(PIECE, length))
            if not piece:
                raise OSError(errno.ESTALE, "became shorter while it was served", found.path)
            length -= len(piece)
            yield piece


def _last_modified(found: FoundFile) -> bytes | None:
    try:
        return format_date(found.modified)
    except ValueError:
        return None


def _is_not_modified(found: FoundFile, headers: Fields) -> bool:
    # RFC 9110 section 13.2.2: with If-None-Match, If-Modified-Since does not count.
    tags = [value for name, value in headers if name == b"if-none-match"]
    if tags:
        return any(_matches(tag, found.etag) for value in tags for tag in value.split(b","))
    for name, value in headers:
        if name == b"if-modified-since":
            since = parse_date(value.decode("latin-1"))
            return since is not None and found.modified <= since
    return False


def _matches(tag: bytes, etag: bytes) -> bool:
    # Weak comparison, section 8.8.3.2. Our tag holds no comma, so splitting others' tags there does no harm.
    tag = tag.strip(b" \t")
    return tag == b"*" or tag.removeprefix(b"W/") == etag


def _range_of(found: FoundFile, headers: Fields, date: bytes | None) -> tuple[int, int] | None:
    ranges = [value for name, value in headers if name == b"range"]
    if len(ranges) != 1:
        return None
    for name, value in headers:
        # Section 13.1.5: a strong tag, or exactly our date; else the whole file is sent.
        if name == b"if-range" and value.strip(b" \t") not in (found.etag, date):
            return None
    return parse_range(ranges[0], found.size)
