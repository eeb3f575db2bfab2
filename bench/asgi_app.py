"""The same routes for any ASGI server: `uvicorn bench.asgi_app:app`."""

from __future__ import annotations

from pathlib import Path

from longwave import create_app

__all__ = ["app"]

app = create_app(Path(__file__).with_name("app"))
