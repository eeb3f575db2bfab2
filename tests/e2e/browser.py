"""Headless Chromium for tests: each scenario is a coroutine, and gets a browser in which nothing is open."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.tools import chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Playwright

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
    """Run a scenario in Chromium, and close all that it has opened and begun.

    One browser serves all tests, since its start takes longer than most of them. Its contexts share nothing:
    no cookies, no cache, no connections. It has a loop and a thread of its own, because Playwright's loop
    would otherwise be the running loop of the tests' thread.
    """
    if not _SHARED:
        _SHARED.append(_Chromium())
        atexit.register(_SHARED[0].end)
    _SHARED[0].run(scenario)


def watch(page: Page) -> list[str]:
    """Return the list to which every uncaught error of the page is added."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


class _Chromium:
    """A browser, which is started anew if a test broke it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="chromium", daemon=True)
        self._thread.start()

    def run(self, scenario: Callable[[Browser], Awaitable[None]]) -> None:
        running = asyncio.run_coroutine_threadsafe(self._play(scenario), self._loop)
        try:
            running.result()
        except BaseException:
            running.cancel()  # of use where it is the thread of the tests that was interrupted
            raise

    def end(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _play(self, scenario: Callable[[Browser], Awaitable[None]]) -> None:
        from playwright.async_api import async_playwright

        if self._playwright is None:
            self._playwright = await async_playwright().start()
        if self._browser is None or not self._browser.is_connected():
            self._browser = await self._playwright.chromium.launch(
                executable_path=chromium(), args=list(ARGUMENTS)
            )
        before = asyncio.all_tasks()
        try:
            await scenario(self._browser)
        finally:
            for context in self._browser.contexts:
                await context.close()
            left = asyncio.all_tasks() - before
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _close(self) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()


_SHARED: list[_Chromium] = []
