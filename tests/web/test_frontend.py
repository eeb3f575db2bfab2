"""A built front end: which files are kept for ever, and which paths are its page."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from longwave import create_app
from longwave.testing import TestClient, TestResponse
from longwave.web.frontend import hashed_files
from tests.asgi.driver import asynchronous

FOR_EVER = "public, max-age=31536000, immutable"
MANIFEST = {
    "index.html": {"file": "assets/index-BNvqJdU1.js", "css": ["assets/index-C0ffee_-.css"], "isEntry": True},
    "src/logo.svg": {"file": "assets/logo-12345678.svg"},
    "src/lazy.ts": {"file": "assets/lazy.js", "assets": ["assets/font.12345678abcdef.woff2"]},
}


def build(root: Path) -> Path:
    files = {
        "index.html": "<h1>page</h1>",
        "plain.txt": "plain",
        "users/7.txt": "behind a route",
        "assets/index-BNvqJdU1.js": "let a",
        "assets/index-C0ffee_-.css": "a {}",
        "assets/lazy.js": "let b",
        "assets/my-document.pdf": "not in the list",
        ".vite/manifest.json": json.dumps(MANIFEST),
    }
    for name, text in files.items():
        path = root / "web" / "dist" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    routes = root / "src" / "server" / "routes"
    routes.mkdir(parents=True)
    (routes / "own.py").write_text("def get():\n    return 'own'\n")
    (routes / "users").mkdir()
    (routes / "users" / "[id].py").write_text("def get(event):\n    return event.params['id']\n")
    (root / "public").mkdir()
    (root / "public" / "old.txt").write_text("not served beside a front end")
    return root


def cache(response: TestResponse) -> str:
    return response.headers["cache-control"]


@asynchronous
async def test_files_pages_and_routes(tmp_path: Path) -> None:
    app = create_app(build(tmp_path), frontend={"vite": {"root": "web"}})
    browser = {"accept": "text/html,*/*;q=0.8"}
    async with TestClient(app) as client:
        for path in ("/", "/index.html"):
            response = await client.get(path)
            assert (response.text, cache(response)) == ("<h1>page</h1>", "no-cache")
        assert cache(await client.get("/assets/index-BNvqJdU1.js")) == FOR_EVER
        assert cache(await client.get("/assets/index-C0ffee_-.css")) == FOR_EVER
        for path in ("/assets/lazy.js", "/assets/my-document.pdf", "/plain.txt"):
            assert "immutable" not in cache(await client.get(path))
        # What a browser goes to is a page of the front end; what a script asks for is not.
        response = await client.get("/deep/page", headers=browser)
        assert (response.text, cache(response)) == ("<h1>page</h1>", "no-cache")
        assert (await client.request("HEAD", "/deep/page", headers=browser)).status == 200
        for path in ("/deep/page", "/old.txt", "/.vite/manifest.json"):
            assert (await client.get(path)).status == 404
        for path in ("/assets/gone-BNvqJdU1.js", "/old.txt", "/.vite/manifest.json"):
            assert (await client.get(path, headers=browser)).status == 404
        assert (await client.post("/deep/page", headers=browser)).status == 404
        assert (await client.get("/own", headers=browser)).text == "own"
        assert (await client.get("/users/7.txt", headers=browser)).text == "7.txt"


@asynchronous
async def test_without_a_build_there_is_nothing(tmp_path: Path) -> None:
    async with TestClient(create_app(tmp_path, frontend={"vite": True})) as client:
        assert (await client.get("/", headers={"accept": "text/html"})).status == 404


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": {}}'])
def test_a_manifest_that_cannot_be_read(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert hashed_files(tmp_path) == frozenset()
    assert not caplog.records
    (tmp_path / ".vite").mkdir()
    (tmp_path / ".vite" / "manifest.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert hashed_files(tmp_path) == frozenset()
    assert "manifest.json cannot be read" in caplog.text
