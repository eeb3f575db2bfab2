"""Makes docs/images/terminal.png: run it as `python scripts/terminal_picture.py`.

The picture is what `longwave dev` wrote to a terminal while clients connected and files were saved.
It needs what the tests need, Chromium among it.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.terminal_theme import TerminalTheme  # noqa: E402
from rich.text import Text  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from tests.e2e.browser import in_chromium  # noqa: E402
from tests.e2e.process import COMMAND  # noqa: E402
from tests.e2e.terminal import Terminal  # noqa: E402

if TYPE_CHECKING:
    from playwright.async_api import Browser

PICTURE = ROOT / "docs" / "images" / "terminal.png"
COLUMNS = 100
CHAT = "src/server/routes/api/ws/chat.py"
ROOM = """rooms = {"hall": 2}


def members(name):
    return rooms[name]


async def get(event):
    return {"members": members(event.query["room"])}
"""
COLORS = [(24, 26, 31), (240, 113, 120), (126, 198, 130), (229, 192, 110)]
COLORS += [(97, 175, 239), (198, 140, 228), (98, 196, 205), (214, 218, 226)]
THEME = TerminalTheme(COLORS[0], COLORS[7], COLORS, COLORS)
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
text {{ font-family: "DejaVu Sans Mono", monospace; font-size: {char_height}px }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 17px; font-weight: bold }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>"""
"""That of rich without its fonts from the network."""


def main() -> None:
    """Work for a while, and keep what was seen of it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "my-app"
        shutil.copytree(ROOT / "examples" / "chat", root, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "src/server/routes/api/room.py").write_text(ROOM)
        (root / "pyproject.toml").write_text("[tool.longwave]\nserver.open = false\n")
        text = work(root)
    in_chromium(lambda browser: take(browser, picture_of(text)))
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1024} KiB")


def work(root: Path) -> str:
    """Return what a terminal shows of a session with a chat and a few mistakes."""
    chat = root / CHAT
    source = chat.read_text()
    command = ["sh", "-c", f'cd "{root}" && exec "{COMMAND[0]}" dev']
    with Terminal(command, columns=COLUMNS) as terminal, httpx.Client(trust_env=False) as client:
        url = terminal.shows(r"Local +(http://\S+?)/\n")[1]
        terminal.shows(r"press h")
        client.get(url)
        socket = url.replace("http", "ws") + "/api/ws/chat"
        with connect(socket) as one, connect(socket) as two:
            for peer in (one, two):
                peer.send("hello")
            with client.stream("GET", f"{url}/api/sse") as stream:
                next(stream.iter_raw())
            terminal.shows(r"SSE    end .*\n")
            for number in range(1, 4):
                chat.write_text(source + "\n" * number)
                count = rf".*\(x{number}\)" if number > 1 else ""
                terminal.shows(rf"swapped in .*chat.py{count}")
            chat.write_text(source.replace("peer.send(reply)", "peer.send(reply"))
            terminal.shows("goes on until a file changes")
            chat.write_text(source)
            terminal.shows(r"mended in .*\n")
        terminal.shows(r"(?s)WS     1000.*WS     1000.*?\n")
        client.get(f"{url}/api/room?room=hall")
        client.get(f"{url}/api/room?room=attic")
        terminal.shows(r"GET    500 .*\n")
        (root / ".env").write_text("LONGWAVE_LOG_LEVEL=info\n")
        terminal.shows(r"restarted in .*\n")
        text = terminal.text
        terminal.type("q\n")
        assert terminal.end() == 0
    return text


def picture_of(text: str) -> str:
    """Return as SVG what stands on the screen after all moves of the cursor."""
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("\x1b[1A\r\x1b[2K"):
            lines.pop()
        lines.append(re.sub(r"\x1b\[1A\r\x1b\[2K", "", line))
    console = Console(record=True, width=COLUMNS)
    with open("/dev/null", "w") as nowhere:
        console.file = nowhere
        console.print(Text("$ longwave dev", style="bold"))
        console.print(Text.from_ansi("\n".join(lines).rstrip()))
    return console.export_svg(title="my-app", theme=THEME, code_format=SVG, unique_id="t")


async def take(browser: Browser, svg: str) -> None:
    """Let Chromium draw it."""
    page = await browser.new_page(viewport={"width": 900, "height": 800})
    await page.set_content(f"<body style='margin: 0; background: transparent'>{svg}")
    await page.locator("svg").screenshot(path=PICTURE, omit_background=True)


if __name__ == "__main__":
    main()
