"""The same sessions under any ASGI server."""

from __future__ import annotations

from longwave.asgi.app import AsgiApp, asgi_app

__all__ = ["AsgiApp", "asgi_app"]
