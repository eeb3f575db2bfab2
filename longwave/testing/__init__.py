"""Tools for testing an app of Longwave: a client in process and a clock that stands still.

Names are loaded when they are used, so that the pytest plugin costs nothing where it is not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longwave.testing.client import TestClient
    from longwave.testing.clock import FakeClock
    from longwave.testing.connections import EventConnection, WebSocketConnection
    from longwave.testing.events import EventParser, ServerEvent
    from longwave.testing.response import ConnectionClosed, Headers, RefusedError, TestResponse

__all__ = [
    "ConnectionClosed",
    "EventConnection",
    "EventParser",
    "FakeClock",
    "Headers",
    "RefusedError",
    "ServerEvent",
    "TestClient",
    "TestResponse",
    "WebSocketConnection",
]

_MODULES = {
    "ConnectionClosed": "response",
    "EventConnection": "connections",
    "EventParser": "events",
    "FakeClock": "clock",
    "Headers": "response",
    "RefusedError": "response",
    "ServerEvent": "events",
    "TestClient": "client",
    "TestResponse": "response",
    "WebSocketConnection": "connections",
}


def __getattr__(name: str) -> Any:
    """Load a public name."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
