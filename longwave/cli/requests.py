"""A line for each request, WebSocket and stream of `longwave dev`; one for all files of a page."""

from __future__ import annotations

import time
from collections.abc import Callable

from longwave.cli.lines import Lines
from longwave.cli.terminal import Part, count, lasted, stamp
from longwave.inspector.activity import LEFT, Closed, Connection, Happening, Opened, Requested

__all__ = ["RequestLines"]

LONGEST = 100
"""Characters of a path that are shown: a client may send eight thousand."""
TOGETHER = 0.3
"""Seconds within which the files of a page are one line."""
VITES = ("vite-hmr", "vite-ping")
CODES = {1000: "green", 1001: "green", 1005: "green", 1012: "cyan", 1006: "yellow"}
"""Colours of close codes: an end in order, a restart, one that was cut off. Others are errors."""
Later = Callable[[float, Callable[[], None]], object]


class RequestLines:
    """Tells in lines what goes on; subscribe `hear` to an `Activity`.

    `is_route` says of method and path whether a route answers them, `later` calls back after some seconds.
    """

    def __init__(
        self,
        lines: Lines,
        is_route: Callable[[str, str], bool],
        later: Later,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._lines = lines
        self._is_route = is_route
        self._later = later
        self._now = now
        self._file = ""
        self._files = 0

    def hear(self, happening: Happening) -> None:
        """Write a line, or count what came too fast for one."""
        if isinstance(happening, Requested):
            if self._is_file(happening):
                self._take_file(happening)
            else:
                self._request(happening)
        elif happening.connection.protocol not in VITES:
            self._connection(happening)

    def _request(self, request: Requested) -> None:
        if self._begin("request"):
            method = "WS" if request.is_upgrade else request.method
            status = ("left", "yellow") if request.status == LEFT else _status(request.status)
            self._write(method, status, request.path, _took(request.seconds))

    def _connection(self, happening: Opened | Closed) -> None:
        if not self._begin("connection"):
            return
        connection = happening.connection
        name = "WS" if connection.kind == "websocket" else "SSE"
        if isinstance(happening, Opened):
            self._write(name, ("open", "green"), connection.path, "")
            return
        code, said = happening.code, [lasted(happening.seconds), *_counts(connection)]
        end = (str(code), CODES.get(code, "red")) if name == "WS" else ("end", "green")
        if happening.reason and name == "WS":
            said.append(happening.reason)
        self._write(name, end, connection.path, ", ".join(said))

    def _is_file(self, request: Requested) -> bool:
        """Whether it is one of the files of a page, of which there may be hundreds."""
        if request.method not in ("GET", "HEAD") or request.status >= 400 or request.is_upgrade:
            return False
        name = request.path.rpartition("/")[2]
        # What Vite serves beside files begins with "/@".
        looks_so = not name or "." in name or request.path.startswith("/@")
        return looks_so and not self._is_route(request.method, request.path)

    def _take_file(self, request: Requested) -> None:
        self._files += 1
        if self._files == 1:
            self._file = request.path
            self._later(TOGETHER, self._tell_files)

    def _tell_files(self) -> None:
        files, self._files = self._files, 0
        if files and self._lines.lets("file"):
            more = f" and {count(files - 1, 'more file')}" if files > 1 else ""
            self._lines.write([stamp(self._now()), (f"GET    file  {_short(self._file)}{more}", "dim")])

    def _begin(self, noun: str) -> bool:
        """Whether a line of a kind may be written; the files that came before it come first."""
        lets = self._lines.lets(noun)
        if lets:
            self._tell_files()
        return lets

    def _write(self, method: str, status: tuple[str, str], path: str, rest: str) -> None:
        word, style = status
        parts: list[Part] = [stamp(self._now()), f"{method:<6} ", (f"{word:<4}", style), f"  {_short(path)}"]
        self._lines.write([*parts, (f"  {rest}", "dim")] if rest else parts)


def _status(status: int) -> tuple[str, str]:
    styles = {2: "green", 3: "cyan", 4: "yellow", 5: "bold red"}
    return str(status), styles.get(status // 100, "")


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else lasted(seconds)


def _counts(connection: Connection) -> list[str]:
    if connection.kind == "websocket":
        return [f"{connection.received} in", f"{connection.sent} out"]
    return [count(connection.sent, "event") or "no events"]


def _short(path: str) -> str:
    return path if len(path) <= LONGEST else path[: LONGEST - 3] + "..."
