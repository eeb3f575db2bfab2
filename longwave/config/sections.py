"""The settings as a developer writes them: TypedDicts, so that an editor marks a wrong key.

The same names stand in `longwave.config.py`, under `[tool.longwave]`, in `LONGWAVE_SECTION_KEY` variables and
in `create_app(...)`. What each does stands in `settings.py` and `longwave/limits.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

__all__ = [
    "CompressionConfig",
    "Config",
    "ExperimentalConfig",
    "FeaturesConfig",
    "FrontendConfig",
    "HmrConfig",
    "InspectorConfig",
    "LimitsConfig",
    "LogConfig",
    "NitroConfig",
    "ProxyConfig",
    "SecurityConfig",
    "ServerConfig",
    "TimeoutsConfig",
    "ViteConfig",
]


class HmrConfig(TypedDict, total=False):
    """How the page hears of changes in development; `server.hmr`."""

    host: str
    port: int
    path: str
    protocol: Literal["ws", "wss"]
    client_port: int
    timeout: float
    overlay: bool


class ProxyConfig(TypedDict, total=False):
    """What is done with the requests of one path; `server.proxy`."""

    target: Required[str]
    change_origin: bool
    ws: bool
    rewrite: Callable[[str], str] | Sequence[str]
    rewrite_ws_origin: bool
    headers: Mapping[str, str]
    secure: bool
    xfwd: bool
    timeout: float
    bypass: Callable[[Any], Any]
    cookie_domain_rewrite: str | Mapping[str, str]
    cookie_path_rewrite: str | Mapping[str, str]


class ServerConfig(TypedDict, total=False):
    """Where the server listens; `server`."""

    host: str | bool
    port: int
    strict_port: bool
    open: bool | str
    allowed_hosts: Sequence[str] | Literal[True]
    hmr: bool | HmrConfig
    proxy: Mapping[str, str | ProxyConfig]
    workers: int
    uds: str | os.PathLike[str]
    fd: int
    ssl_certfile: str | os.PathLike[str]
    ssl_keyfile: str | os.PathLike[str]
    ssl_keyfile_password: str


class FeaturesConfig(TypedDict, total=False):
    """What may be switched off; `features`."""

    websocket: bool


class CompressionConfig(TypedDict, total=False):
    """Compression of WebSocket messages; `compression`."""

    websocket: bool
    context_takeover: bool
    client_context_takeover: bool
    window_bits: int
    client_window_bits: int
    threshold: int


class SecurityConfig(TypedDict, total=False):
    """Whom the server believes; `security`."""

    origins: Sequence[str]
    require_origin: bool
    forwarded_allow_ips: Sequence[str]


class LimitsConfig(TypedDict, total=False):
    """Bounds in bytes or counts; `limits`."""

    request_line: int
    headers: int
    header_count: int
    body: int
    pipeline: int
    connections: int
    connections_per_address: int
    messages_per_turn: int
    message: int
    fragments: int
    outgoing: int
    outgoing_total: int
    backplane: int
    unfinished_total: int
    waiting_messages: int
    message_rate: int
    topics_per_peer: int
    topic_length: int


class TimeoutsConfig(TypedDict, total=False):
    """Time limits in seconds; `timeouts`."""

    header: float
    body: float
    keep_alive: float
    response: float
    turn: float
    upgrade: float
    ping: float
    pong: float
    close: float
    shutdown: float
    heartbeat: float


class ViteConfig(TypedDict, total=False):
    """A front end that Vite serves and builds; `frontend.vite`."""

    root: str | os.PathLike[str]
    dist: str | os.PathLike[str]


class FrontendConfig(TypedDict, total=False):
    """What answers where no route does; `frontend`."""

    vite: bool | ViteConfig


class InspectorConfig(TypedDict, total=False):
    """The page that shows what goes on; `inspector`."""

    token: str


class LogConfig(TypedDict, total=False):
    """What is written to the terminal; `log`."""

    level: Literal["debug", "info", "warning", "warn", "error", "silent"]
    access: bool


class ExperimentalConfig(TypedDict, total=False):
    """Nitro's former place of `features.websocket`."""

    websocket: bool


class NitroConfig(TypedDict, total=False):
    """Analog's place of Nitro's settings; only `experimental.websocket` is read."""

    experimental: ExperimentalConfig


class Config(TypedDict, total=False):
    """Everything that `define_config` and `create_app` take."""

    server: ServerConfig
    features: FeaturesConfig
    compression: CompressionConfig
    security: SecurityConfig
    limits: LimitsConfig
    timeouts: TimeoutsConfig
    frontend: FrontendConfig
    inspector: bool | InspectorConfig
    log: LogConfig
    experimental: ExperimentalConfig
    nitro: NitroConfig
