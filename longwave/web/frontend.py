"""A front end that was built: its files, and its page for every path that the browser asks for."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any, Final

from longwave.app.event import Event
from longwave.app.iterators import BodyStream
from longwave.contract import FullReply, Reply, StreamReply
from longwave.web.static import FoundFile, StaticFiles, StaticReply

__all__ = ["BuiltFrontend", "hashed_files"]

FOR_EVER: Final = b"public, max-age=31536000, immutable"
"""For what has another name when it has another content; a year is what caches take for ever (RFC 9111)."""
ALWAYS_ASK: Final = b"no-cache"
"""For pages: they may be kept, but not used without asking whether there is a newer one."""


class BuiltFrontend:
    """A source of the app: what a build left in a folder, where no route answers.

    A path that is no file and that a browser goes to gets the page of the whole front end, whose own routes
    it may be.
    """

    def __init__(self, folder: Path) -> None:
        self._files = StaticFiles(folder, None)
        self._folder = folder.resolve()
        self._hashed = hashed_files(folder)

    def __call__(self, event: Event, match: Any) -> Reply | None:
        """Return a file or the page; None for routes, upgrades, and what is neither."""
        if match is not None or event.is_upgrade:
            return None
        found = self._files.find(event.path, event.method)
        if found is None and _is_navigation(event):
            found = self._files.find("/", event.method)
        if found is None:
            return None
        reply = self._files.respond(found, event.fields, event.method)
        kept = self._cache_control(found)
        if kept is not None:
            reply.headers = [(n, kept if n == b"cache-control" else v) for n, v in reply.headers]
        if isinstance(reply, StaticReply):
            return StreamReply(reply.status, reply.headers, BodyStream(event.app.runtime, reply.body), "body")
        assert isinstance(reply, FullReply)
        return reply

    def _cache_control(self, found: FoundFile) -> bytes | None:
        path = Path(found.path)
        if path.name.endswith(".html"):
            return ALWAYS_ASK
        return FOR_EVER if str(path.relative_to(self._folder)) in self._hashed else None


def hashed_files(folder: Path) -> frozenset[str]:
    """Return the files of a build whose names hold a hash of their content.

    Those that Vite's manifest lists and whose names look like it: one alone would let a file be kept for ever
    that may change. Without a manifest there are none.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        listed: set[str] = set()
        for chunk in manifest.values():
            listed.update((chunk["file"], *chunk.get("css", ()), *chunk.get("assets", ())))
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        logging.getLogger("longwave.error").warning("%s cannot be read: %r", folder / MANIFEST, error)
        return frozenset()
    return frozenset(name for name in listed if _HASHED.search(name))


def _is_navigation(event: Event) -> bool:
    """Whether a browser goes to a page, rather than a script asking for data."""
    if event.method not in ("GET", "HEAD") or "text/html" not in event.headers.get("accept", ""):
        return False
    # What looks like a file and is not there is missing, not a page.
    return "." not in event.path.rpartition("/")[2]


MANIFEST: Final = Path(".vite") / "manifest.json"
_HASHED: Final = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.[A-Za-z0-9.]+\Z")
