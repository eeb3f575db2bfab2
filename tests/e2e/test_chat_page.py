"""The page of examples/chat in Chromium, on `longwave start`."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import websockets

from tests.e2e.browser import in_chromium, watch
from tests.e2e.process import CHAT, ServerProcess
from tests.e2e.wiretap import Wiretap

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

browser_test = pytest.mark.browser

CHAT_PATH = "/api/ws/chat"
CLOCK_PATH = "/api/sse"

# The least contrast of each pair of text and what is really behind it: WCAG 2.2, 1.4.3, normal text.
CONTRAST = 4.5
TEXTS = ("h1", "h1 span", "#clock", "#status-text", "h2", "#people .name", "#people small", ".row .who span",
         ".row .who time", ".row:not(.own) .bubble", ".own .bubble", ".notice", ".note", "#send")  # fmt: skip
MEASURE_CONTRAST = """(selector) => {
  const node = document.querySelector(selector);
  if (!node) return null;
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const behind = [];
  for (let at = node; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
  const light = (colours) => rgb(colours).map((v) => v / 255)
    .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const pair = [light(behind), light([...behind, getComputedStyle(node).color])].sort((a, b) => b - a);
  return (pair[0] + .05) / (pair[1] + .05);
}"""


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess(CHAT) as running:
        yield running


async def tune_in(context: BrowserContext, url: str) -> Page:
    """Open the page and wait until it is connected."""
    page = await context.new_page()
    page.set_default_timeout(15_000)
    await page.goto(url)
    await live(page)
    return page


async def live(page: Page) -> None:
    await page.wait_for_selector("body[data-state=live]")


async def say(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.press("#text", "Enter")


async def hears(page: Page, text: str, *, own: bool = False) -> None:
    kind = ".row.own:not(.pending)" if own else ".row:not(.own)"
    await page.locator(f"{kind} .bubble").filter(has_text=text).first.wait_for()


async def my_name(page: Page) -> str:
    return str(await page.inner_text("#people li:has(small) .name"))


async def until(true: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.02)


@browser_test
def test_two_people_talk_and_see_each_other(server: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        one = await tune_in(await browser.new_context(), server.url)
        errors = watch(one)
        two = await tune_in(await browser.new_context(), server.url)
        name = await my_name(two)
        await one.locator(".notice").filter(has_text=f"{name} joined").wait_for()
        assert await one.locator("#people .name").all_inner_texts() == [await my_name(one), name]

        await say(one, "Hello over there")
        await hears(one, "Hello over there", own=True)
        await hears(two, "Hello over there")
        assert await two.inner_text(".row:not(.own) .who span") == await my_name(one)
        await say(two, "Hello yourself")
        await hears(one, "Hello yourself")

        await two.context.close()
        await one.locator(".notice").filter(has_text=f"{name} left").wait_for()
        assert await one.locator("#people li").count() == 1
        assert errors == []

    in_chromium(scenario)


@browser_test
def test_what_others_write_is_text_and_nothing_else(server: ServerProcess) -> None:
    nasty = '<img src=x onerror="document.title=1"><b>bold</b> ' + "x" * 400

    async def scenario(browser: Browser) -> None:
        phone = await browser.new_context(viewport={"width": 320, "height": 568})
        one, two = await tune_in(phone, server.url), await tune_in(await browser.new_context(), server.url)
        await say(two, nasty)
        await hears(one, nasty)
        assert await one.locator("#log img, .bubble b").count() == 0
        assert await one.title() == "Longwave chat"
        assert await one.evaluate("document.documentElement.scrollWidth") == 320

    in_chromium(scenario)


@browser_test
def test_ping_is_answered_to_the_sender_alone(server: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        one = await tune_in(await browser.new_context(), server.url)
        two = await tune_in(await browser.new_context(), server.url)
        await say(one, "ping, are you there?")
        await one.locator(".own .note").filter(has_text="pong").wait_for()
        await say(one, "after")
        await hears(two, "after")
        assert await two.locator(".row .bubble").all_inner_texts() == ["after"]

    in_chromium(scenario)


@browser_test
def test_both_go_on_after_a_restart_of_the_server(server: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        one = await tune_in(await browser.new_context(), server.url)
        two = await tune_in(await browser.new_context(), server.url)
        await say(one, "before the restart")
        await hears(two, "before the restart")

        assert await asyncio.to_thread(server.stop) == 0
        for page in (one, two):
            await page.wait_for_selector("body[data-state=waiting]")
            assert await page.is_disabled("#send")
            assert await page.locator("#people li").count() == 0
        await one.fill("#text", "written while away")
        await asyncio.to_thread(server.start)
        for page in (one, two):
            await live(page)

        await one.press("#text", "Enter")
        await hears(two, "written while away")
        await hears(one, "before the restart", own=True)
        await say(two, "and back")
        await hears(one, "and back")
        ticking = one.locator("#clock-box:not(.stale)")
        await ticking.wait_for()

    in_chromium(scenario)


@browser_test
def test_a_message_that_was_lost_can_be_sent_again(server: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        with Wiretap(server.port) as tap:
            page = await tune_in(await browser.new_context(), tap.url)
            # The network goes away between the write and the echo: the text is on its way when it is cut.
            await page.evaluate("chat.socket.send = () => {}")
            await say(page, "into the void")
            await page.locator(".own.pending").wait_for()
            tap.cut()
            await page.locator(".own.failed").wait_for()
            await live(page)
            await page.click(".failed button")
            await hears(page, "into the void", own=True)
            assert await page.locator(".own").count() == 1
            assert tap.opened(CHAT_PATH) == 2

    in_chromium(scenario)


@browser_test
def test_six_tabs_share_one_stream_and_the_next_takes_over(server: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        with Wiretap(server.port) as tap:
            context = await browser.new_context()
            tabs = [await tune_in(context, tap.url) for _ in range(6)]
            await ticks(*tabs)
            assert tap.open_now(CLOCK_PATH) == 1
            assert tap.opened(CLOCK_PATH) == 1
            assert tap.open_now(CHAT_PATH) == 6

            await say(tabs[5], "from the sixth")
            for tab in tabs[:5]:
                await hears(tab, "from the sixth")

            carriers = [tab for tab in tabs if "carried by this tab" in await wire_of(tab)]
            assert carriers == tabs[:1]
            await tabs[0].close()
            await until(lambda: tap.opened(CLOCK_PATH) == 2)
            await ticks(*tabs[1:])
            assert tap.open_now(CLOCK_PATH) == 1

    in_chromium(scenario)


async def wire_of(page: Page) -> str:
    return str(await page.text_content("#wire-clock"))


async def ticks(*pages: Page) -> None:
    """Wait until the clock of every page has moved twice."""

    async def tick(page: Page) -> None:
        seen: set[str] = set()
        while len(seen) < 3:
            now = await page.inner_text("#clock")
            if re.fullmatch(r"\d\d:\d\d:\d\d", now):
                seen.add(now)
            await asyncio.sleep(0.1)

    async with asyncio.timeout(15):
        await asyncio.gather(*map(tick, pages))


@browser_test
def test_the_page_keeps_five_hundred_messages(server: ServerProcess) -> None:
    async def scenario(browser: Browser) -> None:
        page = await tune_in(await browser.new_context(), server.url)
        async with websockets.connect(server.websocket_url + "api/ws/chat") as other:
            assert "Welcome" in json.loads(await other.recv())["message"]
            for number in range(520):
                await other.send(f"number {number}")
                await other.recv()
        await hears(page, "number 519")
        assert await page.locator("#log > *").count() == 500
        assert await page.locator(".bubble").filter(has_text=re.compile(r"^number 0$")).count() == 0
        scrolled = "log.scrollHeight - log.scrollTop - log.clientHeight < 4"
        await page.wait_for_function(scrolled)

    in_chromium(scenario)


SIZES = {"wide": (1280, 800), "phone": (390, 844), "small": (320, 568)}


@browser_test
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(server: ServerProcess, scheme: Any, tmp_path: Path) -> None:
    """Writes pictures to look at into $LONGWAVE_SCREENSHOTS, where that is set."""
    folder = Path(os.environ.get("LONGWAVE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    async def scenario(browser: Browser) -> None:
        pages = {}
        for size, (width, height) in SIZES.items():
            context = await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            pages[size] = await tune_in(context, server.url)
        wide, phone, small = pages.values()
        for page, text in (
            (wide, "Morning! Is anybody on this frequency?"),
            (phone, "Loud and clear. How is the weather out there?"),
            (wide, "Calm. A long swell from the west, nothing else."),
            (wide, "I can see the lighthouse from here."),
            (small, "Swell here too. Did you know that the clock is one event stream for all your tabs?"),
            (wide, "ping"),
            (phone, "I did not. Whose wave is that?"),
        ):
            await say(page, text)
            if text != "ping":
                await hears(page, text, own=True)
        for size, page in pages.items():
            await hears(page, "Whose wave", own=page is phone)
            await page.locator("#clock-box:not(.stale)").wait_for()
            assert await page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
            await page.screenshot(path=folder / f"chat-{scheme}-{size}.png")
        for selector in TEXTS:
            ratio = await wide.evaluate(MEASURE_CONTRAST, selector)
            assert ratio is not None, f"{selector} is not on the page"
            assert ratio >= CONTRAST, f"{selector} has a contrast of {ratio:.1f} in {scheme}"

    in_chromium(scenario)


def test_the_page_is_one_file_that_asks_nobody_else() -> None:
    page = (CHAT / "index.html").read_text()
    assert set(re.findall(r"https?://[^\s'\"<>%]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page)
    assert not re.search(r"<script[^>]+src|<link[^>]+stylesheet|@import|url\(", page)
