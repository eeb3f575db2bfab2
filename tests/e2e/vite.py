"""A project with a front end of Vite in development: its server, and what a page must live through."""

from __future__ import annotations

import asyncio
import http.client
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.browser import watch
from tests.e2e.process import ServerProcess

if TYPE_CHECKING:
    from playwright.async_api import Browser, WebSocket

__all__ = ["Dev", "edit_component", "get"]


class Dev(ServerProcess):
    """`longwave dev` of a project with a front end, ready when Vite is."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, command="dev")

    def start(self, within: float = 40.0) -> None:
        super().start(within)
        status, _, text = get(self.port, "/")
        assert status == 200 and "/@vite/client" in text, self.output

    @property
    def token(self) -> str:
        """What Vite's client says to be let in."""
        (token,) = re.findall(r'wsToken = "([^"]+)"', get(self.port, "/@vite/client")[2])
        return str(token)


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        fields = {"accept": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, headers=fields)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
    finally:
        connection.close()


async def edit_component(browser: Browser, server: Dev, component: Path) -> None:
    """Edit what the page shows: it must change without a reload, and its own WebSocket must stay open."""
    page = await browser.new_page()
    errors = watch(page)
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    await page.goto(server.url)
    await page.get_by_role("heading", name="First words").wait_for()
    await page.evaluate("window.kept = true")
    await page.click("#say")
    await page.get_by_text("hello 0").wait_for()
    opened = len(sockets)
    for words in ("Second words", "Third words"):
        component.write_text(re.sub(r"\w+ words", words, component.read_text()))
        await page.get_by_role("heading", name=words).wait_for()
        await page.click("#say")
        # Vite itself loses the second of two edits within some 50 ms.
        await page.wait_for_timeout(200)
    await page.get_by_text("hello 2").wait_for()

    # The other side of the same page: new code for its WebSocket, which stays open too, as does Vite's.
    route = server.root / "src" / "server" / "routes" / "api" / "ws" / "echo.py"
    code = route.read_text()
    await _save(server, route, code.replace("peer.send(message)", "peer.send(f'{message}!')"))
    await page.click("#say")
    await page.get_by_text("hello 3!").wait_for()
    await _save(server, route, code)

    assert await page.locator("#lines li").all_inner_texts() == ["hello 0", "hello 1", "hello 2", "hello 3!"]
    assert await page.evaluate("window.kept") is True
    # One port for all, and the socket of the user was never opened anew.
    assert len(sockets) == opened and not any(socket.is_closed() for socket in sockets[-2:])
    assert {re.sub(r"\?.*", "", socket.url) for socket in sockets} == {
        f"ws://127.0.0.1:{server.port}/",
        f"ws://127.0.0.1:{server.port}/api/ws/echo",
    }
    assert errors == []


async def _save(server: Dev, file: Path, code: str) -> None:
    """Save a file and wait until its code serves."""
    before = server.output.count("swapped in")
    file.write_text(code)
    async with asyncio.timeout(20):
        while server.output.count("swapped in") == before:
            await asyncio.sleep(0.05)
