"""The page that the tutorial ends with, in a browser: two people talk, a clock runs, curl joins in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.docs.samples import ROOT, blocks_of
from tests.e2e.browser import in_chromium, watch
from tests.e2e.process import ServerProcess

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page


@pytest.mark.browser
def test_two_people_talk(tmp_path: Path) -> None:
    for block in blocks_of(ROOT / "docs" / "tutorial.md"):
        if block.title is not None:
            path = tmp_path / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)

    async def open_page(browser: Browser, url: str) -> Page:
        page = await (await browser.new_context()).new_page()
        page.set_default_timeout(10_000)
        errors[page] = watch(page)
        await page.goto(url)
        await page.wait_for_function("ws.readyState === WebSocket.OPEN")
        return page

    async def says(page: Page, line: str) -> None:
        await page.locator("#lines li").filter(has_text=line).wait_for()

    async def scenario(browser: Browser) -> None:
        one = await open_page(browser, server.url)
        two = await open_page(browser, server.url)
        await says(one, "server: Somebody joined.")
        await one.wait_for_function(r"/^\d\d:\d\d:\d\d$/.test(document.getElementById('clock').textContent)")
        await two.fill("#user", "Ada")
        await two.fill("#text", "Hello")
        await two.press("#text", "Enter")
        await says(one, "Ada: Hello")
        await says(two, "Ada: Hello")
        async with httpx.AsyncClient() as http:
            said = {"user": "curl", "text": "Hello from the terminal"}
            assert (await http.post(f"{server.url}api/say", json=said)).json() == {"ok": True}
        await says(one, "curl: Hello from the terminal")
        await two.context.close()
        await says(one, "server: Somebody left.")
        assert [error for found in errors.values() for error in found] == []

    errors: dict[Page, list[str]] = {}
    with ServerProcess(tmp_path) as server:
        in_chromium(scenario)
