"""The settings as the server reads them: frozen, complete, each with its origin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from longwave.config.proxies import ProxyRule
from longwave.limits import Limits, Timeouts
from longwave.types import Compression

__all__ = [
    "Command",
    "CompressionSettings",
    "FeatureSettings",
    "FrontendSettings",
    "Hidden",
    "HmrSettings",
    "InspectorSettings",
    "LogLevel",
    "LogSettings",
    "Origin",
    "SecuritySettings",
    "ServerSettings",
    "Settings",
    "ViteSettings",
]

Command: TypeAlias = Literal["dev", "start"]
"""Which command the settings are for."""

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "silent"]
"""The least grave message that is written; `silent` writes nothing."""


class HmrSettings(Struct, frozen=True):
    """`server.hmr`: how the page hears of changes; `hmr = false` is `enabled` false."""

    enabled: bool = True
    host: str | None = None
    """Where the page connects to, if not to where it came from."""
    port: int | None = None
    """A port of its own, if not the server's; 0 is any free one."""
    path: str | None = None
    protocol: Literal["ws", "wss"] | None = None
    client_port: int | None = None
    """The port that the page connects to, where a proxy stands before us."""
    timeout: float = 30.0
    """Seconds between two pings of a page."""
    overlay: bool = True
    """Whether an error covers the page."""


class ServerSettings(Struct, frozen=True):
    """`server`: where it listens; `uds` or `fd` take the place of `host` and `port`."""

    host: str = "localhost"
    """Name or address; `true` in a file is every interface."""
    port: int = 3000
    """0 asks the system for a free one."""
    strict_port: bool = False
    """Whether a taken port is an error; else the next free one is used. True in `start`."""
    open: bool | str = False
    """Whether, or at which path, the browser is opened at the start of `dev`."""
    allowed_hosts: tuple[str, ...] | Literal[True] = ()
    """Names that `dev` answers to beside localhost, addresses and `host`: exact, `.example.com`, or True."""
    hmr: HmrSettings = field(default_factory=HmrSettings)
    proxy: tuple[ProxyRule, ...] = ()
    """Paths that another server answers, in `dev`; in a file a table of them."""
    workers: int = 1
    """Processes that serve, in `start`; 0 is one per processor."""
    uds: Path | None = None
    """Path of a Unix socket."""
    fd: int | None = None
    """Number of an inherited listening socket."""
    ssl_certfile: Path | None = None
    """PEM file with the certificate chain (and the key, where `ssl_keyfile` is not set)."""
    ssl_keyfile: Path | None = None
    ssl_keyfile_password: str | None = None

    def worker_count(self) -> int:
        """Return how many processes serve."""
        if self.workers:
            return self.workers
        # Those that this process may use; macOS does not say.
        count = getattr(os, "sched_getaffinity", None)
        return len(count(0)) if count is not None else os.cpu_count() or 1

    def __repr__(self) -> str:
        # It may end up in a log, the password must not.
        return f"<ServerSettings {self.host}:{self.port}>"


class FeatureSettings(Struct, frozen=True):
    """`features`: what may be switched off."""

    websocket: bool = True


class CompressionSettings(Compression, frozen=True):
    """`compression`: whether WebSocket messages are compressed, and how."""

    websocket: bool = False
    """Whether they are where neither the route nor its `upgrade` hook says."""


class SecuritySettings(Struct, frozen=True):
    """`security`: whom the server believes."""

    origins: tuple[str, ...] = ()
    """More origins whose pages may connect: exact, `*.example.com`, or `*`."""
    require_origin: bool = False
    """Whether a WebSocket without `Origin`, which is not a browser's, is refused."""
    forwarded_allow_ips: tuple[str, ...] = ()
    """Addresses or networks of proxies whose `Forwarded` headers are believed, or `*`."""


class ViteSettings(Struct, frozen=True):
    """`frontend.vite`: a front end that Vite serves in `dev`, and builds."""

    enabled: bool = False
    root: Path = Path(".")
    """Its folder, with its `package.json`."""
    dist: Path = Path("dist")
    """Where in it the built front end is."""


class FrontendSettings(Struct, frozen=True):
    """`frontend`: what answers where no route does."""

    vite: ViteSettings = field(default_factory=ViteSettings)


class LogSettings(Struct, frozen=True):
    """`log`: what is written to the terminal."""

    level: LogLevel = "info"
    access: bool = False
    """Whether each request is a line."""


class InspectorSettings(Struct, frozen=True):
    """`inspector`: the page that shows what goes on.

    `inspector = false` is `enabled` false.
    """

    enabled: bool = True
    """Whether it is there in `dev`, and in `start` where there is a token."""
    token: str | None = None
    """What whoever wants to see it in `start` has to know."""

    def __repr__(self) -> str:
        # It may end up in a log, the token must not.
        return f"<InspectorSettings enabled={self.enabled}>"


class Origin(Struct, frozen=True):
    """Where a value came from, and what it hides, the highest first."""

    value: Any
    source: str
    hides: tuple[Origin, ...] = ()


class Hidden(Struct, frozen=True):
    """A value of the config file that the project file hides."""

    key: str
    value: Any
    source: str
    by: Origin


class Settings(Struct, frozen=True):
    """Every setting of one application.

    `provenance` has an `Origin` per dotted key, `server.port`. `environment` is what the `.env` files of
    `dev` add to the environment; `files` are the files that were read or looked for, for whoever watches.
    """

    root: Path
    command: Command = "start"
    mode: str = "production"
    server: ServerSettings = field(default_factory=ServerSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    compression: CompressionSettings = field(default_factory=CompressionSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    frontend: FrontendSettings = field(default_factory=FrontendSettings)
    inspector: InspectorSettings = field(default_factory=InspectorSettings)
    log: LogSettings = field(default_factory=LogSettings)
    provenance: Mapping[str, Origin] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    config_source: str | None = None
    project_source: str | None = None

    def __repr__(self) -> str:
        # It may end up in a log, what the environment holds must not.
        return f"<Settings {self.command} {self.root}>"

    def hidden(self) -> list[Hidden]:
        """Return the values of the config file that the project file overrules."""
        return [
            Hidden(key, below.value, below.source, origin)
            for key, origin in self.provenance.items()
            if origin.source == self.project_source and self.project_source is not None
            for below in origin.hides
            if below.source == self.config_source and below.value != origin.value
        ]
