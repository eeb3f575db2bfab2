"""A small site on disk, and how the tests ask for its files."""

from __future__ import annotations

import os
from pathlib import Path

from longwave.contract import FullReply
from longwave.types import Fields
from longwave.web.static import StaticFiles, StaticReply

__all__ = ["DATE", "MODIFIED", "SECRET", "get", "header", "make_project", "static_of", "streamed"]

SECRET = b"secret"
MODIFIED = 784111777
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def make_project(root: Path) -> Path:
    """Write a project with a page, a `public` folder, and what must never be served."""
    files = {
        "index.html": b"<h1>root</h1>",
        ".env": SECRET,
        "secret.txt": SECRET,
        "public-2/a.txt": SECRET,
        "public/app.js": b"let a",
        "public/a b.txt": b"space",
        "public/caf\xe9.txt": b"accent",
        "public/empty.txt": b"",
        "public/big.bin": bytes(range(256)) * 4096,
        "public/docs/index.html": b"<h1>docs</h1>",
        "public/docs/page.html": b"<p>",
        "public/bare/x.txt": b"x",
        "public/.hidden": SECRET,
        "public/.git/config": SECRET,
        "public/docs/.htpasswd": SECRET,
        "public/a%2Fb": SECRET,
        "public/a\\b": SECRET,
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (MODIFIED, MODIFIED))
    return root


def static_of(project: Path) -> StaticFiles:
    """Return its files, as the application would make them."""
    return StaticFiles(project / "public", project / "index.html")


def get(static: StaticFiles, path: str, headers: Fields | None = None, method: str = "GET") -> FullReply:
    """Return the whole answer to a request for a file that is there."""
    found = static.find(path, method)
    assert found is not None
    reply = static.respond(found, headers or [], method)
    assert isinstance(reply, FullReply)
    return reply


def streamed(static: StaticFiles, path: str, headers: Fields | None = None) -> StaticReply:
    """Return the streamed answer to a request for a file that is there."""
    found = static.find(path, "GET")
    assert found is not None
    reply = static.respond(found, headers or [], "GET")
    assert isinstance(reply, StaticReply)
    return reply


def header(reply: FullReply | StaticReply, name: bytes) -> bytes | None:
    """Return the only value of a field, or None."""
    values = [value for key, value in reply.headers if key == name]
    assert len(values) <= 1
    return values[0] if values else None
