"""A path is that of a plain reading: split, decoded once, freed of dots, `%2F` kept; nothing leaves the root.

The only refusal is `RequestError` 400, and exactly for what the docstring of `decode_path` names.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from longwave.core.paths import decode_path
from longwave.errors import RequestError

__all__ = ["check"]


def check(data: bytes) -> None:
    """Take the input for a target."""
    expected = reference(data)
    try:
        path, query = decode_path(data)
    except RequestError as error:
        assert error.status == 400
        assert expected is None, f"refused ({error.message}), not {expected}"
        return
    assert (path, query) == expected, f"{path, query} is not {expected}"
    if path != "*":
        assert path.startswith("/")
        assert not {".", ".."} & set(path.split("/"))
        assert "\0" not in path and "\\" not in path
        path.encode()


def reference(target: bytes) -> tuple[str, str] | None:
    """Return path and query, written again; None where they are refused."""
    raw, _, query = target.partition(b"?")
    if b"#" in target:
        return None
    if target == b"*":
        return "*", ""
    if not raw.startswith(b"/") or re.search(rb"%(?![0-9A-Fa-f]{2})", raw):
        return None
    kept: list[bytes] = []
    segments = [unquote_to_bytes(part).replace(b"/", b"%2F") for part in raw[1:].split(b"/")]
    for number, segment in enumerate(segments, 1):
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
        if number == len(segments) and segment in (b".", b".."):
            kept.append(b"")
    path = b"/" + b"/".join(kept)
    # A segment that ".." removes counts as well.
    if b"\0" in b"".join(segments) or b"\\" in b"".join(segments):
        return None
    try:
        for segment in segments:
            segment.decode()
    except UnicodeDecodeError:
        return None
    return path.decode(), query.decode("utf-8", "replace")
