"""The page of docs/topics/keepalive.md in Chromium, behind a proxy that stops to carry anything."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.robustness.slow import black_hole
from tests.docs.samples import ROOT, blocks_of
from tests.e2e.browser import in_chromium, watch
from tests.e2e.process import ServerProcess

if TYPE_CHECKING:
    from playwright.async_api import Browser

PAGE = ROOT / "docs" / "topics" / "keepalive.md"
EVERY = 400
HTML = """<!doctype html><title>0</title><script>
{code}
let said = 0;
connect("/ws/live", (text) => {{ if (text === "You said: Hello") document.title = ++said; }}, {every});
</script>
"""


def project(folder: Path) -> Path:
    """Make the project of the page, with its script in a page of its own."""
    for block in blocks_of(PAGE):
        if block.title is not None:
            target = folder / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.code)
    (script,) = (block.code for block in blocks_of(PAGE) if block.language == "js")
    (folder / "index.html").write_text(HTML.format(code=script, every=EVERY))
    return folder


@pytest.mark.browser
def test_a_page_notices_that_nobody_is_there(tmp_path: Path) -> None:
    with ServerProcess(project(tmp_path)) as server:

        async def scenario(browser: Browser) -> None:
            async with black_hole(server.port) as hole:
                page = await browser.new_page()
                page.set_default_timeout(15_000)
                errors = watch(page)
                sockets: list[str] = []
                page.on("websocket", lambda socket: sockets.append(socket.url))
                await page.goto(f"http://127.0.0.1:{hole.port}/")
                await page.wait_for_function("document.title === '1'")
                # It says nothing but pings, and stays.
                await asyncio.sleep(5 * EVERY / 1000)
                assert (await page.title(), len(sockets)) == ("1", 1)
                hole.swallow()
                began = time.monotonic()
                while len(sockets) == 1:
                    assert time.monotonic() - began < 15, "the page has not noticed"
                    await asyncio.sleep(0.02)
                hole.carry_on()
                # Another connection speaks, and the page hears.
                await page.wait_for_function("document.title === '2'")
                # The end of a connection that tells of it is noticed as well.
                hole.cut()
                await page.wait_for_function("document.title === '3'")
                assert errors == []
                await page.close()

        in_chromium(scenario)
