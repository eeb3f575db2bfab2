"""What a handler or the app's chain reaches for."""

from __future__ import annotations

__all__: list[str] = []
