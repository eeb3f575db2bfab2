"""What the commands show: the banner, the routes, changes and failures; plain where no one looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct

from longwave import __version__
from longwave.config.schema import shown
from longwave.config.settings import Hidden, LogLevel

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["RouteLine", "Terminal", "count", "few", "open_browser"]

SHOWN_ROUTES = 24
"""Routes of the banner; `longwave routes` shows all."""


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
        self, level: LogLevel = "info", out: TextIO | None = None, error: TextIO | None = None
    ) -> None:
        self.level = level
        self._out = out or sys.stdout
        self._error = error or sys.stderr
        self._console: Console | None = None

    @property
    def quiet(self) -> bool:
        """Whether only what went wrong is written."""
        return self.level not in ("debug", "info")

    @property
    def rich(self) -> bool:
        """Whether the output is looked at by a person who wants colours."""
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return wanted and self._out.isatty()

    def banner(
        self,
        seconds: float,
        *,
        local: Sequence[str],
        network: Sequence[str] = (),
        routes: Sequence[RouteLine] = (),
        hidden: Sequence[Hidden] = (),
        workers: int = 0,
    ) -> None:
        """Show that the server is ready, where, what it serves, in how many processes."""
        if self.quiet:
            return
        self.line()
        self.line(
            "  ", ("longwave", "bold cyan"), f" {__version__}  ready in ", (milliseconds(seconds), "bold")
        )
        self.line()
        for label, urls in (("Local", local), ("Network", network)):
            for url in urls:
                self.line(f"  {label:<8} ", (url, "cyan"))
        if workers:
            self.line(f"  {'Workers':<8} ", (str(workers), "cyan"))
        self.line()
        self.routes(routes[:SHOWN_ROUTES], indent="  ")
        if len(routes) > SHOWN_ROUTES:
            self.line(f"  ... and {len(routes) - SHOWN_ROUTES} more; see them with: longwave routes")
        for value in hidden:
            by = f"{shown(value.key, value.by.value)} of {value.by.source}"
            self.notice(f"{value.key} is {by}, which hides {shown(value.key, value.value)} of {value.source}")
        if routes or hidden:
            self.line()

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

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Show a line of plain and styled texts.

        Where nobody looks it is without styles, and there are no blank lines.
        """
        if self.rich:
            from rich.text import Text

            # A path or address that is broken over lines cannot be clicked.
            self._rich().print(Text.assemble(*parts), soft_wrap=True)
        elif parts:
            text = "".join(part if isinstance(part, str) else part[0] for part in parts)
            print(text.rstrip(), file=self._out, flush=True)

    def restarted(self, names: Sequence[str], seconds: float) -> None:
        """Say that a new worker serves what changed."""
        if not self.quiet:
            self.line("  ", ("restarted", "green"), f" in {milliseconds(seconds)}: {few(names)}")

    def swapped(
        self, names: Sequence[str], seconds: float, outcome: Sequence[str], *, mended: bool = False
    ) -> None:
        """Say that new code serves under the open connections, and what came of it."""
        if not self.quiet:
            self.line(
                "  ",
                ("mended" if mended else "swapped", "green"),
                f" in {milliseconds(seconds)}: {few(names)}",
                (f" ({', '.join(outcome)})", "dim"),
            )

    def notice(self, text: str) -> None:
        """Say something that is no error."""
        if not self.quiet:
            self.line("  ", (text, "yellow"))

    def output(self, name: str, text: str) -> None:
        """Show a line that another program wrote; how much it writes is its own affair."""
        if self.level != "silent":
            self.line("  ", (name, "magenta"), f" {text}")

    def error(self, text: str) -> None:
        """Say what went wrong, on stderr; nothing but `silent` hides it."""
        if self.level == "silent":
            return
        label = "\x1b[1;31merror\x1b[0m" if self.rich and self._error.isatty() else "error"
        print(f"{label}: {text}", file=self._error, flush=True)

    def _rich(self) -> Console:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self._out, highlight=False, emoji=False)
        return self._console


def milliseconds(seconds: float) -> str:
    """Return a time as people say it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


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
