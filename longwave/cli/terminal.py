"""What the commands show: the banner, the routes, changes and failures; plain where no one looks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO, TypeAlias

from msgspec import Struct

from longwave import __version__
from longwave.config.schema import shown
from longwave.config.settings import Hidden, LogLevel
from longwave.core.paths import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "BELOW",
    "Part",
    "RouteLine",
    "Terminal",
    "count",
    "few",
    "lasted",
    "milliseconds",
    "open_browser",
    "stamp",
]

SHOWN_ROUTES = 24
"""Routes of the banner; `longwave routes` shows all."""
OVERWRITE = "\x1b[1A\r\x1b[2K"
"""One line up, to its begin, and the line is empty: ECMA-48, which every terminal with colours knows."""
BELOW = " " * 12
"""Before what belongs to a line that begins with the time of day."""
CLEAR = "\x1b[2J\x1b[3J\x1b[H"

Part: TypeAlias = str | tuple[str, str]
"""Plain text, or text and its style."""


class RouteLine(Struct, frozen=True):
    """One route as it is shown."""

    method: str
    pattern: str
    kind: str
    source: str

    @classmethod
    def of(cls, method: str | None, pattern: str, kind: str, source: str) -> RouteLine:
        """Return the line of a route; a WebSocket has no method, and no method means any."""
        shown_method = "WS" if kind == "websocket" else method or "ANY"
        return cls(shown_method, pattern, kind, source)


class Terminal:
    """Writes for people; `quiet` below level info.

    Colours only where a terminal is that wants them.
    """

    def __init__(
        self,
        level: LogLevel = "info",
        out: TextIO | None = None,
        error: TextIO | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.level = level
        self._now = now
        self._out = out or sys.stdout
        self._error = error or sys.stderr
        self._consoles: dict[TextIO, Console] = {}
        self._last: tuple[str, ...] = ()
        self._times = 0

    @property
    def quiet(self) -> bool:
        """Whether only what went wrong is written."""
        return self.level not in ("debug", "info")

    @property
    def rich(self) -> bool:
        """Whether the output is looked at by a person who wants colours."""
        return _wants_colours(self._out)

    @property
    def is_watched(self) -> bool:
        """Whether somebody is there: a terminal, and not that of a build server."""
        return self._out.isatty() and os.environ.get("CI", "").lower() in ("", "0", "false")

    def banner(
        self,
        seconds: float,
        *,
        local: Sequence[str],
        network: Sequence[str] = (),
        inspector: Sequence[str] = (),
        routes: Sequence[RouteLine] = (),
        hidden: Sequence[Hidden] = (),
        workers: int = 0,
        hint: Sequence[Part] = (),
    ) -> None:
        """Show that the server is ready, where, what it serves, in how many processes."""
        if self.quiet:
            return
        self.line()
        self.line(
            "  ", ("longwave", "bold cyan"), f" {__version__}  ready in ", (milliseconds(seconds), "bold")
        )
        self.line()
        self.addresses(local, network, inspector)
        if workers:
            self.line(f"  {'Workers':<9} ", (str(workers), "cyan"))
        self.line()
        self.routes(routes[:SHOWN_ROUTES], indent="  ")
        if len(routes) > SHOWN_ROUTES:
            self.line(f"  ... and {len(routes) - SHOWN_ROUTES} more; see them with: longwave routes")
        for value in hidden:
            by, below = shown(value.key, value.by.value), shown(value.key, value.value)
            file = os.path.basename(value.by.source).removesuffix(" [tool.longwave]")
            self.notice(
                f"{value.key} is {by} of {value.by.source}, which hides {below} of {value.source}: "
                f"remove it from {file} to use {below}"
            )
        if routes or hidden:
            self.line()
        if hint:
            self.line(*hint)
            self.line()

    def addresses(self, local: Sequence[str], network: Sequence[str], inspector: Sequence[str] = ()) -> None:
        """Show where the server is."""
        for label, urls in (("Local", local), ("Network", network), ("Inspector", inspector)):
            for url in urls:
                self.line(f"  {label:<9} ", (url, "cyan"))

    def routes(self, routes: Sequence[RouteLine], indent: str = "") -> None:
        """Show a table of routes: method, path, kind, file."""
        methods = max((len(route.method) for route in routes), default=0)
        patterns = max((len(route.pattern) for route in routes), default=0)
        kinds = max((len(route.kind) for route in routes), default=0)
        for route in routes:
            self.line(
                indent,
                (f"{route.method:<{methods}}  ", "green"),
                (f"{route.pattern:<{patterns}}  ", "bold"),
                (f"{route.kind:<{kinds}}  {route.source}", "dim"),
            )

    def line(self, *parts: Part) -> None:
        """Show a line of plain and styled texts; nothing in it can move the cursor.

        Where nobody looks it is without styles, and there are no blank lines.
        """
        self._last = ()
        self._write(self._out, parts)

    def repeated(self, parts: Sequence[Part], *same: str) -> None:
        """Show a line that may come again and again.

        It is one line with a count while nothing else is written; `same` is what makes two of them one.
        """
        text, self._times = list(parts), self._times + 1
        if self._last == same and self.rich and self._fits(text):
            text.append((f" (x{self._times})", "yellow"))
            self._out.write(OVERWRITE)
        else:
            self._times = 1
        self._write(self._out, text)
        self._last = same

    def interrupted(self) -> None:
        """Take note that something else than this wrote to the terminal."""
        self._last = ()

    def restarted(self, names: Sequence[str], seconds: float, why: str = "") -> None:
        """Say that a new worker serves what changed, and why it took one."""
        if not self.quiet:
            said = (f" ({why})", "dim") if why else ""
            took = f" in {milliseconds(seconds)}"
            self.line(stamp(self._now()), ("restarted", "green"), took, *_after(names), said)

    def swapped(
        self, names: Sequence[str], seconds: float, outcome: Sequence[str], *, mended: bool = False
    ) -> None:
        """Say that new code serves under the open connections, and what came of it."""
        what = "mended" if mended else "swapped"
        took = f" in {milliseconds(seconds)}"
        parts = [stamp(self._now()), (what, "green"), took, *_after(names)]
        self._news([*parts, (f" ({', '.join(outcome)})", "dim")], what, *names, *outcome)

    def page(self, names: Sequence[str], outcome: str = "") -> None:
        """Say that files of the page changed, and what the pages do."""
        parts = [stamp(self._now()), ("page", "green"), *_after(names)]
        self._news([*parts, (f" ({outcome})", "dim")] if outcome else parts, "page", *names, outcome)

    def notice(self, text: str) -> None:
        """Say something that is no error."""
        if not self.quiet:
            self.line("  ", (text, "yellow"))

    def output(self, name: str, text: str) -> None:
        """Show a line that another program wrote; how much it writes is its own affair."""
        if self.level == "silent":
            return
        if "\x1b" in text:
            from rich.text import Text

            # FORCE_COLOR is for it, too.
            text = Text.from_ansi(text).plain
        self.line("  ", (name, "magenta"), f" {text}")

    def error(self, text: str) -> None:
        """Say what went wrong, on stderr; nothing but `silent` hides it."""
        if self.level == "silent":
            return
        first, *rest = text.split("\n")
        self.errors([[("error", "bold red"), f": {first}"], *[[line] for line in rest]])

    def failure(self, text: str, after: str = "") -> None:
        """Say what is wrong with the project, and what becomes of it, while it is served."""
        if self.level != "silent":
            first, *rest = text.split("\n")
            lines: list[Sequence[Part]] = [[stamp(self._now()), ("error", "bold red"), f": {first}"]]
            # What Failure says is indented by two.
            lines += [[f"{BELOW[2:]}{line}"] for line in rest]
            self.errors([*lines, [(f"{BELOW}{after}", "dim")]] if after else lines)

    def errors(self, lines: Sequence[Sequence[Part]]) -> None:
        """Show lines on stderr."""
        self._last = ()
        for parts in lines:
            self._write(self._error, parts)

    def clear(self) -> None:
        """Empty the screen, where there is one."""
        if self.rich:
            self._last = ()
            self._out.write(CLEAR)
            self._out.flush()

    def _news(self, parts: Sequence[Part], *same: str) -> None:
        if not self.quiet:
            self.repeated(parts, *same)

    def _write(self, file: TextIO, parts: Sequence[Part]) -> None:
        texts = [(part, "") if isinstance(part, str) else part for part in parts]
        if _wants_colours(file):
            # A path or address that is broken over lines cannot be clicked.
            self._console(file).print(_text(texts), soft_wrap=True)
        elif parts:
            print("".join(printable(text) for text, _ in texts).rstrip(), file=file, flush=True)

    def _fits(self, parts: Sequence[Part]) -> bool:
        texts = [(part, "") if isinstance(part, str) else part for part in parts]
        try:
            columns = os.get_terminal_size(self._out.fileno()).columns
        except (OSError, ValueError):
            return False
        return _text(texts).cell_len + len(" (x1000)") < columns

    def _console(self, file: TextIO) -> Console:
        if file not in self._consoles:
            from rich.console import Console

            # Whether there are colours was decided already.
            self._consoles[file] = Console(
                file=file, force_terminal=True, color_system="standard", no_color=False, highlight=False
            )
        return self._consoles[file]


def stamp(seconds: float) -> Part:
    """Return the time of day, with which lines of a server begin."""
    return f"  {time.strftime('%H:%M:%S', time.localtime(seconds))}  ", "dim"


def milliseconds(seconds: float) -> str:
    """Return a time as people say it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def lasted(seconds: float) -> str:
    """Return how long something was there, as people say it."""
    if seconds < 60:
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """Return a number of things as people say it; nothing for none."""
    return f"{number} {noun}{'s' * (number != 1)}" if number else ""


def few(names: Sequence[str], at_most: int = 3) -> str:
    """Return a list that fits a line."""
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


def open_browser(url: str, where: bool | str) -> None:
    """Open the browser at a page.

    In a thread, since some browsers keep who started them waiting.
    """
    import threading
    import webbrowser
    from urllib.parse import urljoin

    target = urljoin(url, where) if isinstance(where, str) else url
    threading.Thread(target=webbrowser.open, args=(target,), daemon=True).start()


def _after(names: Sequence[str]) -> list[Part]:
    return [f": {few(names)}"] if names else []


def _text(parts: Sequence[tuple[str, str]]) -> Text:
    from rich.text import Text

    return Text.assemble(*((printable(text), style) for text, style in parts), no_wrap=True)


def _wants_colours(file: TextIO) -> bool:
    """Whether a file shows colours: as Python itself decides it, from 3.13 on."""
    environ = os.environ
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return file.isatty() and environ.get("TERM") != "dumb"
