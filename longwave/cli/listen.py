"""Binds the listening sockets: before anything else is done, so that a taken port is said at once."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from longwave.config.settings import Origin, Settings
from longwave.errors import ConfigError

__all__ = ["bind_sockets", "close_sockets", "local_urls", "network_urls"]

BACKLOG = 2048
"""Connections that wait while no worker accepts; the system may allow fewer. uvicorn: 2048."""
PORTS_TRIED = 50
WILDCARDS = ("0.0.0.0", "::")


def bind_sockets(settings: Settings) -> list[socket.socket]:
    """Return the listening sockets of a server: one per address of the host, all on one port.

    A taken port is an error with `server.strict_port`, else the next free one is taken. Raises
    `ConfigError` with a sentence that names the setting and where it was set.
    """
    server = settings.server
    if server.fd is not None:
        return [_inherited(server.fd, settings.provenance)]
    if server.uds is not None:
        return [_bind_unix(server.uds)]
    # Port 0 is a free port for the first address, and mostly for the second one, too.
    tries = 1 if server.strict_port and server.port else PORTS_TRIED
    last = min(server.port + tries - 1, 65535) if server.port else 0
    for port in range(server.port, last + 1) if server.port else [0] * tries:
        try:
            return _bind_all(server.host, port)
        except socket.gaierror as error:
            raise ConfigError(f"{_setting(settings, 'host')}: cannot be resolved: {error.strerror}") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            if error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
                text = f"{_setting(settings, 'host')}: is no address of this machine"
            else:
                text = f"{_setting(settings, 'port')}: cannot listen there: {error.strerror}"
            raise ConfigError(text) from None
    taken = f"port {server.port} is" if last == server.port else f"the ports from {server.port} to {last} are"
    raise ConfigError(
        f"{_setting(settings, 'port')}: {taken} taken; stop what listens there or choose another port"
    )


def close_sockets(settings: Settings, sockets: list[socket.socket]) -> None:
    """Close what `bind_sockets` returned; the file of a Unix socket goes with it."""
    for sock in sockets:
        sock.close()
    if settings.server.uds is not None and settings.server.fd is None:
        settings.server.uds.unlink(missing_ok=True)


def local_urls(settings: Settings, port: int) -> list[str]:
    """Return the addresses for a browser on this machine."""
    host = settings.server.host
    name = "localhost" if host in (*WILDCARDS, "localhost", "127.0.0.1", "::1") else host
    return [_url(settings, name, port)]


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


def _setting(settings: Settings, name: str) -> str:
    origin = settings.provenance.get(f"server.{name}") or Origin(getattr(settings.server, name), "default")
    return f"server.{name} = {origin.value} ({origin.source})"


def _bind_all(host: str, port: int) -> list[socket.socket]:
    """Bind every address of a host to one port, or none: `OSError` of the first that cannot be."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    # Browsers try both for "localhost"; whoever has the other one would get half of our clients.
    if host == "localhost":
        addresses = [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port, 0, 0))]
    sockets: list[socket.socket] = []
    try:
        for family, address in addresses:
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_bind(family, (address[0], chosen, *address[2:])))
            except OSError as error:
                # A machine without IPv6 has a localhost all the same.
                if not sockets or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" alone means everybody; beside an IPv4 socket it must leave that one its half.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists():
            _remove_stale(path)
        sock.bind(os.fspath(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"server.uds = {path}: cannot listen there: {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that is gone; raise `ConfigError` for anything else."""
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise ConfigError(f"server.uds = {path}: expected a socket or nothing there, found a file")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise ConfigError(f"server.uds = {path}: another server listens there")


def _inherited(fd: int, provenance: Mapping[str, Origin]) -> socket.socket:
    origin = provenance.get("server.fd")
    where = f"server.fd = {fd}" + (f" ({origin.source})" if origin else "")
    try:
        sock = socket.socket(fileno=os.dup(fd))
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError(f"{where}: expected a listening socket, found {error.strerror}") from None
    if not listens:
        sock.close()
        raise ConfigError(f"{where}: expected a listening socket, found one that does not listen")
    return sock
