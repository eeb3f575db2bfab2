"""What the worker of `longwave dev` shows: its log and, where somebody looks, a line for each request."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from longwave.assemble import App
from longwave.cli.lines import Lines, Written
from longwave.cli.logs import configure_dev_logs
from longwave.cli.requests import RequestLines
from longwave.cli.terminal import Part, Terminal
from longwave.config import Settings
from longwave.inspector.activity import Activity

__all__ = ["WorkerOutput"]


class WorkerOutput:
    """Writes beside the supervisor.

    That is told whether something was written between its own lines.
    """

    def __init__(self, settings: Settings) -> None:
        self._log = settings.log
        self._terminal = Terminal(settings.log.level)
        self._written = Written((sys.stdout, sys.stderr))
        self._lines = Lines(self._show)
        configure_dev_logs(settings.log, settings.root, self._lines)

    def follow(self, app: App, activity: Activity) -> None:
        """Write a line for each request.

        That is where somebody looks, or where `log.access` asks for it.
        """
        terminal = self._terminal
        if (terminal.is_watched and not terminal.quiet) or (self._log.access and self._log.level != "silent"):
            loop = asyncio.get_running_loop()
            lines = RequestLines(
                self._lines,
                lambda method, path: app.table.match(path, method) is not None,
                loop.call_later,
            )
            activity.subscribe(lines.hear)

    def was_used(self) -> bool:
        """Whether something was written since this was last asked."""
        return self._written.take()

    def close(self) -> None:
        """Write what waits."""
        self._lines.close()

    def _show(self, lines: Sequence[Sequence[Part]], is_error: bool) -> None:
        if is_error:
            self._terminal.errors(lines)
        else:
            for parts in lines:
                self._terminal.line(*parts)
