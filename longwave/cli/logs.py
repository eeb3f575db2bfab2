"""Sends what `longwave.*` logs to stderr; the project's own loggers are left to the project."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from longwave.cli.terminal import BELOW, stamp
from longwave.config.settings import LogSettings

if TYPE_CHECKING:
    from longwave.cli.lines import Lines
    from longwave.cli.terminal import Part

__all__ = ["DevHandler", "configure_dev_logs", "configure_logs"]

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
SILENT = logging.CRITICAL + 1
STYLES = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
NAMES = {"WARNING": "warn", "CRITICAL": "error"}


def configure_logs(settings: LogSettings, process: str = "") -> None:
    """Write messages of the level and above; access lines whenever asked for.

    `process` stands in each line, where there are several.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter(FORMAT.replace("%(name)s", f"{process} %(name)s" if process else "%(name)s"))
    )
    _install(settings, handler)
    if settings.access and settings.level != "silent":
        logging.getLogger("longwave.access").setLevel(logging.INFO)


def configure_dev_logs(settings: LogSettings, root: Path, lines: Lines) -> None:
    """Write messages in lines for people.

    An error comes with the lines of the project that it came through. What asyncio says of a task that failed
    is shown as well, unless the project looks after its logs itself.
    """
    handler = DevHandler(root, lines, whole=settings.level == "debug")
    _install(settings, handler)
    other = logging.getLogger("asyncio")
    if not other.handlers and settings.level != "silent":
        other.addHandler(handler)


def _install(settings: LogSettings, handler: logging.Handler) -> None:
    logger = logging.getLogger("longwave")
    logger.setLevel(SILENT if settings.level == "silent" else getattr(logging, settings.level.upper()))
    if not logger.handlers:
        logger.addHandler(handler)
        logger.propagate = False


class DevHandler(logging.Handler):
    """Writes records as lines; `whole` shows whole tracebacks."""

    def __init__(self, root: Path, lines: Lines, *, whole: bool = False) -> None:
        super().__init__()
        self._root = root
        self._lines = lines
        self._whole = whole

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; those that are too many for a person are counted."""
        if record.name == "asyncio" and logging.getLogger().handlers:
            return
        try:
            # A traceback takes its time, too.
            if self._lines.lets("message"):
                self._lines.write(*self._said(record), is_error=True)
        except Exception:
            self.handleError(record)

    def _said(self, record: logging.LogRecord) -> list[list[Part]]:
        name = NAMES.get(record.levelname, record.levelname.lower())
        first, *rest = self._shortened(record.getMessage()).split("\n")
        style = STYLES.get(record.levelname, "dim")
        said: list[list[Part]] = [[stamp(record.created), (name, style), f":{' ' * (6 - len(name))}{first}"]]
        said += [[f"{BELOW}{line}"] for line in rest]
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and self._whole:
            import traceback

            text = "".join(traceback.format_exception(error))
            said += [[f"{BELOW}{line}"] for line in text.rstrip().split("\n")]
        elif error is not None:
            said += self._traceback(error)
        return said

    def _traceback(self, error: BaseException) -> list[list[Part]]:
        from longwave.dev.tracebacks import describe_traceback

        styles = {"error": "red", "place": "cyan", "code": "", "note": "dim"}
        return [
            [(BELOW + " " * line.indent + line.text, styles[line.kind])]
            for line in describe_traceback(error, self._root)
        ]

    def _shortened(self, message: str) -> str:
        """Name files of the project as the project does."""
        for root in {f"{self._root}/", f"{self._root.resolve()}/"}:
            message = message.replace(root, "")
        return message
