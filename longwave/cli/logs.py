"""Sends what `longwave.*` logs to stderr; the project's own loggers are left to the project."""

from __future__ import annotations

import logging
import sys

from longwave.config.settings import LogSettings

__all__ = ["configure_logs"]

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
SILENT = logging.CRITICAL + 1


def configure_logs(settings: LogSettings, process: str = "") -> None:
    """Write messages of the level and above; access lines whenever asked for.

    `process` stands in each line, where there are several.
    """
    logger = logging.getLogger("longwave")
    level = SILENT if settings.level == "silent" else getattr(logging, settings.level.upper())
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            logging.Formatter(FORMAT.replace("%(name)s", f"{process} %(name)s" if process else "%(name)s"))
        )
        logger.addHandler(handler)
        logger.propagate = False
    if settings.access and settings.level != "silent":
        logging.getLogger("longwave.access").setLevel(logging.INFO)
