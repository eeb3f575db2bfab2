"""Where a project is served: the socket that `dev` holds, and the addresses that people open."""

from __future__ import annotations

import errno
import os
import socket
import sys

from longwave.config import Settings
from longwave.errors import ConfigError
from longwave.server.listener import inherited_socket, more_sockets, tcp_sockets, unix_socket

__all__ = ["bind_hmr_socket", "bind_slots", "bind_socket", "close_socket", "local_urls", "network_urls"]

BACKLOG = 2048
"""Connections that wait while no worker accepts; the system may allow fewer. uvicorn: 2048."""
PORTS_TRIED = 50
WILDCARDS = ("0.0.0.0", "::")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def bind_socket(settings: Settings, *, shared: bool = False) -> socket.socket:
    """Return the listening socket of a server whose worker inherits it.

    `localhost` is 127.0.0.1 here, at a port that ::1 has free as well: browsers try both. A taken port is an
    error with `server.strict_port`, else the next free one is taken. `shared` is that of `tcp_sockets`.
    Raises `ConfigError`.
    """
    server = settings.server
    if server.fd is not None:
        return _inherited(server.fd)
    if server.uds is not None:
        sock = unix_socket(os.fspath(server.uds))
        sock.listen(BACKLOG)
        return sock
    return _first_free(settings, server.port, "server.port", "--port", shared=shared)


def bind_hmr_socket(settings: Settings) -> socket.socket | None:
    """Return the listening socket of HMR, or None where it shares the server's.

    It listens where the server does, at `server.hmr.port`, or at the next one as `bind_socket` does. Raises
    `ConfigError`.
    """
    hmr = settings.server.hmr
    if not hmr.enabled or hmr.port is None or (hmr.port and hmr.port == settings.server.port):
        return None
    return _first_free(settings, hmr.port, "server.hmr.port", "server.hmr.port")


def bind_slots(settings: Settings, count: int) -> list[list[socket.socket]]:
    """Return the listening sockets of each of so many workers.

    Each has its own where the kernel deals connections out among sockets of one address (Linux); else, and at
    a Unix or an inherited socket, all have the same. Raises `ConfigError`.
    """
    server = settings.server
    if server.fd is not None or server.uds is not None:
        return [[bind_socket(settings)]] * count
    balances = sys.platform == "linux"
    unacknowledged = settings.timeouts.response
    if server.strict_port:
        first = tcp_sockets(server.host, server.port, unacknowledged=unacknowledged, shared=balances)
    else:
        first = [bind_socket(settings, shared=balances)]
    if not balances:
        return [first] * count
    try:
        others = [more_sockets(first, unacknowledged=unacknowledged) for _ in range(count - 1)]
    except OSError as error:
        raise ConfigError(f"cannot listen {count} times: {error.strerror}; use fewer --workers") from None
    return [first, *others]


def close_socket(settings: Settings, sock: socket.socket) -> None:
    """Close what `bind_socket` returned; the file of a Unix socket goes with it."""
    sock.close()
    if settings.server.uds is not None and settings.server.fd is None:
        settings.server.uds.unlink(missing_ok=True)


def local_urls(settings: Settings, port: int) -> list[str]:
    """Return the addresses for a browser on this machine."""
    host = settings.server.host
    return [_url(settings, "localhost" if host in WILDCARDS + LOOPBACK else host, port)]


def network_urls(settings: Settings, port: int) -> list[str]:
    """Return the addresses for other machines, where the server listens for them."""
    if settings.server.host not in WILDCARDS:
        return []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: the system only looks up which of its addresses it would use.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [_url(settings, probe.getsockname()[0], port)]


def _url(settings: Settings, host: str, port: int) -> str:
    scheme = "https" if settings.server.ssl_certfile else "http"
    default = 443 if scheme == "https" else 80
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}/" if port == default else f"{scheme}://{name}:{port}/"


def _first_free(
    settings: Settings, first: int, key: str, remedy: str, *, shared: bool = False
) -> socket.socket:
    """Bind a port or, without `server.strict_port`, the next that is free; raises `ConfigError`."""
    host = settings.server.host
    tries = 1 if settings.server.strict_port or not first else min(PORTS_TRIED, 65536 - first)
    for port in range(first, first + tries):
        try:
            return _bind(host, port, settings.timeouts.response, shared)
        except ConfigError as error:
            raise ConfigError(f"{error}{_sources(settings, key)}") from None
        except OSError:
            continue
    ports = f"port {first} is" if tries == 1 else f"ports {first} to {first + tries - 1} are"
    raise ConfigError(
        f"{ports} taken; stop the program that has it, or set another {remedy}{_sources(settings, key)}"
    )


def _bind(host: str, port: int, unacknowledged: float, shared: bool) -> socket.socket:
    """Bind the first address of a host; raises `OSError` for a taken port, `ConfigError` for the rest."""
    if host == "localhost" and port:
        # Whoever has the other half of "localhost" would get half of our clients.
        try:
            socket.create_server(("::1", port), family=socket.AF_INET6).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    try:
        first, *others = tcp_sockets(
            "127.0.0.1" if host == "localhost" else host,
            port,
            unacknowledged=unacknowledged,
            shared=shared,
        )
    except ConfigError as error:
        # Its text is for people; what it was made of tells whether another port may do.
        cause = error.__context__
        if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            raise cause
        raise
    for other in others:
        other.close()
    return first


def _sources(settings: Settings, key: str) -> str:
    """Return where host and port were set, which may be a variable that nobody thought of."""
    places = [
        f"{name} = {origin.value} is from {origin.source}"
        for name in ("server.host", key)
        if (origin := settings.provenance[name]).source != "default"
    ]
    return f" ({', '.join(places)})" if places else ""


def _inherited(fd: int) -> socket.socket:
    """Return a duplicate: the number itself belongs to whoever opened it."""
    try:
        sock = inherited_socket(os.dup(fd))
    except OSError as error:
        raise ConfigError(f"server.fd = {fd}: expected a listening socket, found {error.strerror}") from None
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ConfigError(f"server.fd = {fd}: expected a listening socket, found one that does not listen")
    return sock
