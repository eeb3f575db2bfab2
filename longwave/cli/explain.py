"""The text of `longwave config`: every value, and with `--explain` where it came from."""

from __future__ import annotations

from longwave.config.schema import shown
from longwave.config.settings import Settings

__all__ = ["explain_settings", "list_settings"]


def list_settings(settings: Settings) -> list[str]:
    """Return a line per setting, `server.port = 3000`."""
    return [f"{key} = {shown(key, origin.value)}" for key, origin in settings.provenance.items()]


def explain_settings(settings: Settings) -> list[str]:
    """Return a line per setting with its source, and one below per value it hides."""
    values = list_settings(settings)
    width = max(len(value) for value in values)
    lines = []
    for value, (key, origin) in zip(values, settings.provenance.items(), strict=True):
        lines.append(f"{value:<{width}}  {origin.source}")
        for hidden in origin.hides:
            text = f"  hides {shown(key, hidden.value)}"
            lines.append(f"{text:<{width}}  {hidden.source}")
    return lines
