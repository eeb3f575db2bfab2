"""The chat of two browsers on `longwave dev` goes on while its code is edited: nobody connects anew."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import in_chromium, watch
from tests.e2e.process import CHAT, ServerProcess
from tests.e2e.test_chat_page import hears, live, say

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, WebSocket

pytestmark = pytest.mark.browser

EDITS = 20
ROUTE = "src/server/routes/api/ws/chat.py"
WORDS = "src/server/util/words.py"
MARKS = "src/server/util/marks.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example, with a helper module and one more behind it, which mark what others hear."""
    root = tmp_path / "chat"
    shutil.copytree(CHAT, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / WORDS).parent.mkdir()
    (root / WORDS).write_text(
        "from src.server.util import marks\ndef mark(reply):\n"
        "    return {**reply, 'message': reply['message'] + marks.MARK}\n"
    )
    (root / MARKS).write_text("MARK = ''\n")
    return root


def test_two_browsers_talk_through_twenty_edits(project: Path) -> None:
    code = "from src.server.util.words import mark\n" + (project / ROUTE).read_text()
    publish = 'peer.publish("chat", reply)'
    assert publish in code
    (project / ROUTE).write_text(code)

    async def scenario(browser: Browser) -> None:
        pages = [await enter(browser, server.url) for _ in range(2)]
        for number in range(1, EDITS + 1):
            marked = f"peer.publish('chat', {{**reply, 'message': reply['message'] + ' route {number}'}})"
            save(project / ROUTE, code.replace(publish, marked))
            await talk(pages, number, f"route {number}")
        save(project / ROUTE, code.replace(publish, "peer.publish('chat', mark(reply))"))
        await talk(pages, EDITS + 1, "")
        for number in range(1, EDITS + 1):
            save(project / MARKS, f"MARK = ' helper {number}'\n")
            await talk(pages, EDITS + 1 + number, f"helper {number}")
        for page in pages:
            await page.is_where_it_was()

    with ServerProcess(project, command="dev") as server:
        in_chromium(scenario)


def save(path: Path, text: str) -> None:
    """Exchange a file in one step, as editors do: each save is one swap."""
    written = path.with_name(f".{path.name}")
    written.write_text(text)
    written.replace(path)


class Talker:
    """A page of the chat, and the WebSockets that it opened."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors = watch(page)
        self.sockets: list[WebSocket] = []
        page.on("websocket", lambda socket: self.sockets.append(socket))

    async def is_where_it_was(self) -> None:
        """Check that the page is the same, and so are its two connections: the chat and HMR."""
        await live(self.page)
        assert self.errors == []
        assert sorted("vite-hmr" in socket.url for socket in self.sockets) == [False, True]
        assert not any(socket.is_closed() for socket in self.sockets)


async def enter(browser: Browser, url: str) -> Talker:
    talker = Talker(await (await browser.new_context()).new_page())
    async with talker.page.expect_console_message(lambda said: said.text == "[longwave] connected"):
        await talker.page.goto(url)
    await live(talker.page)
    await talker.page.evaluate("""() => {
        window.swaps = 0;
        addEventListener("longwave:swapped", () => swaps++);
    }""")
    return talker


async def talk(pages: list[Talker], swaps: int, mark: str) -> None:
    """Wait until both pages were told of as many swaps, then let one say something to the other."""
    told = "(count) => swaps === count"
    await asyncio.gather(*(talker.page.wait_for_function(told, arg=swaps) for talker in pages))
    one, two = pages if swaps % 2 else reversed(pages)
    await say(one.page, f"Words {swaps}")
    await hears(two.page, f"Words {swaps} {mark}".rstrip())
