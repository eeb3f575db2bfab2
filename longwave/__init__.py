"""Longwave: a realtime server for Python. Files are WebSocket and Server-Sent Events endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from longwave.app.app import publish
from longwave.app.event import Event
from longwave.app.event_stream import EventStream, create_event_stream
from longwave.app.handlers import define_event_handler, define_middleware, define_plugin
from longwave.app.hooks import CloseDetails, UpgradeResult, WebSocketHandler, define_websocket_handler
from longwave.app.message import Message
from longwave.app.peer import Peer
from longwave.app.response import Response, redirect
from longwave.app.values import EventMessage
from longwave.assemble import App, create_app
from longwave.config import ConfigEnv, define_config
from longwave.errors import ConfigError, HTTPError, LimitError, LongwaveError, MessageError, RouteError
from longwave.types import Compression, SendStatus
from longwave.web.mount import mount_asgi

if TYPE_CHECKING:
    from longwave.web.proxy import proxy_request
    from longwave.web.websocket_proxy import create_websocket_proxy

__all__ = [
    "App",
    "CloseDetails",
    "Compression",
    "ConfigEnv",
    "ConfigError",
    "Event",
    "EventMessage",
    "EventStream",
    "HTTPError",
    "LimitError",
    "LongwaveError",
    "Message",
    "MessageError",
    "Peer",
    "Response",
    "RouteError",
    "SendStatus",
    "UpgradeResult",
    "WebSocketHandler",
    "create_app",
    "create_event_stream",
    "create_websocket_proxy",
    "define_config",
    "define_event_handler",
    "define_middleware",
    "define_plugin",
    "define_websocket_handler",
    "mount_asgi",
    "proxy_request",
    "publish",
    "redirect",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load what few applications use."""
    if name == "proxy_request":
        from longwave.web.proxy import proxy_request

        return proxy_request
    if name == "create_websocket_proxy":
        from longwave.web.websocket_proxy import create_websocket_proxy

        return create_websocket_proxy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
