"""Headless Chromium for tests: each scenario is a coroutine, and gets a browser of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.tools import chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["in_chromium", "watch"]

# No sandbox: tests run as root in containers. No QUIC, no /dev/shm: neither is there in a bare root.
# The others keep the browser from talking to anything but the test's server.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def in_chromium(scenario: Callable[[Browser], Awaitable[None]]) -> None:
    """Run a scenario with a fresh browser, in a loop of its own, and close both.

    Not a fixture that stays open: Playwright's loop would be the running loop of the thread, and every
    later test that calls `asyncio.run` would fail.
    """
    asyncio.run(_run(scenario))


async def _run(scenario: Callable[[Browser], Awaitable[None]]) -> None:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            await scenario(browser)
        finally:
            await browser.close()


def watch(page: Page) -> list[str]:
    """Return the list to which every uncaught error of the page is added."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors
