"""A browser's EventSource comes back: after the end of the server, and where there was no room for it."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import in_chromium
from tests.e2e.probe import probing
from tests.e2e.wire import Connect, clients, eventually, measured, upgrade
from tests.e2e.wiretap import Wiretap

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

LISTEN = """() => {
  window.heard = []
  window.source = new EventSource('/events/idle')
  for (const type of ['open', 'error', 'message'])
    source.addEventListener(type, event => heard.push(`${type}-${event.data ?? source.readyState}`))
}"""
OPENED = "open-1 message-begun"
WAITS = "error-0"
REFUSED = f"open-1 {WAITS}( open-1 {WAITS})*"
LATEST = 10.0
"""Seconds after which an EventSource that was told to come later is back, at the latest."""


async def has_heard(page: Page, pattern: str) -> bool:
    """Whether all that was heard so far is this."""
    return re.fullmatch(pattern, await page.evaluate("heard.join(' ')")) is not None


async def is_taken(connect: Connect) -> bool:
    """Open one WebSocket more, if the browser does not hold the last place at this moment."""
    client = await connect()
    client.send(upgrade("/ws/echo"))
    return (await client.response())[0] == 101


def test_it_comes_back_to_the_next_server(tmp_path: Path) -> None:
    async def scenario(browser: Browser) -> None:
        page = await browser.new_page()
        await page.goto(server.url + "hello")
        await page.evaluate(LISTEN)
        await eventually(lambda: has_heard(page, OPENED))
        await asyncio.to_thread(server.stop)
        await eventually(lambda: has_heard(page, f"{OPENED} {WAITS}"))
        began = time.monotonic()
        await asyncio.to_thread(server.start)
        # One that comes before the server is there waits once more.
        await eventually(lambda: has_heard(page, f"{OPENED}( {WAITS})+ {OPENED}"), LATEST + 5)
        measured("back after", time.monotonic() - began)
        assert server.noted("stream closed") == 0

    with probing(tmp_path / "project") as server:
        in_chromium(scenario)


@pytest.mark.parametrize("limit", ["limits.connections", "limits.connections_per_address"])
def test_it_comes_back_when_there_is_room(limit: str, tmp_path: Path) -> None:
    async def scenario(browser: Browser) -> None:
        page = await browser.new_page()
        await page.goto(tap.url + "hello")
        async with clients(server.port) as connect:
            for _ in range(4):
                await eventually(lambda: is_taken(connect))
            # No connection is left to the page that could be the one of its stream.
            await page.evaluate(LISTEN)
            await eventually(lambda: has_heard(page, REFUSED))
        began = time.monotonic()
        await eventually(lambda: has_heard(page, f"{REFUSED} {OPENED}"), LATEST + 5)
        measured("back after", time.monotonic() - began)
        assert tap.opened("/events/idle") >= 2
        assert server.passed(limit) >= 1

    settings = {limit: 4, "timeouts.keep_alive": 0.2, "timeouts.header": 0.5}
    with probing(tmp_path / "project", env=settings) as server, Wiretap(server.port) as tap:
        in_chromium(scenario)


def test_it_stops_where_it_is_refused_for_good(tmp_path: Path) -> None:
    async def scenario(browser: Browser) -> None:
        page = await browser.new_page()
        await page.goto(server.url + "hello")
        await page.evaluate(LISTEN.replace("/events/idle", "/nothing/here"))
        await eventually(lambda: has_heard(page, "error-2"))

    with probing(tmp_path / "project") as server:
        in_chromium(scenario)
