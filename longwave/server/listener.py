"""Listening sockets: TCP, Unix, or one that was inherited; and TLS."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from longwave.errors import ConfigError

__all__ = [
    "AT_ONCE",
    "UNSENT",
    "Listener",
    "inherited_socket",
    "more_sockets",
    "tcp_sockets",
    "tls_context",
    "unix_socket",
]

BACKLOG = 2048
"""Connections that the kernel keeps until they are accepted. uvicorn: 2048."""
AT_ONCE = 256
"""Connections that are accepted in one turn of the loop: libuv accepts one, however many wait."""
TCP_USER_TIMEOUT = 18
"""Of Linux, in milliseconds; `socket.TCP_USER_TIMEOUT` is missing on other systems."""
UNSENT = 256 * 1024
"""Bytes that the kernel keeps of what a client does not take; it would keep several MiB by itself.

What waits in the kernel can neither be dropped by a policy nor be told by `buffered_amount`. What is on its
way is not counted, so that a fast connection is as fast as before.
"""


NEVER, BEFORE, AFTER = range(3)
"""When a socket is told that others may have its address: see `more_sockets`."""
NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def tcp_sockets(
    host: str, port: int, *, unacknowledged: float = 30.0, shared: bool = False
) -> list[socket.socket]:
    """Return bound sockets for all addresses of a host name.

    `ConfigError` says what is in the way. With `shared` there may be more of them, see `more_sockets`.

    `unacknowledged` is how long the kernel waits for a client that vanished, or takes nothing, before it
    cuts the connection; accepted sockets inherit it (Linux).
    """
    # A str loads the tables of internationalized names.
    name = host.encode() if host.isascii() else host
    try:
        found = socket.getaddrinfo(
            name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
        )
    except socket.gaierror as error:
        raise ConfigError(
            f"the host {host!r} cannot be found: {error.strerror}; set another --host"
        ) from None
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        if sockets and port == 0:
            # All addresses of the host get the one port that the system chose for the first.
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            sockets.append(_bind_tcp(int(family), address, unacknowledged, share=AFTER if shared else NEVER))
        except OSError as error:
            if error.errno in NO_SUCH_ADDRESS:
                # A container's /etc/hosts names ::1 for localhost where IPv6 is switched off.
                missing = error
                continue
            for bound in sockets:
                bound.close()
            raise ConfigError(_why_not(error, host, port)) from None
    if not sockets and missing is not None:
        raise ConfigError(_why_not(missing, host, port)) from None
    return sockets


def more_sockets(sockets: Iterable[socket.socket], *, unacknowledged: float = 30.0) -> list[socket.socket]:
    """Return sockets at the same addresses as shared ones.

    The kernel deals connections out among them; each has a queue of its own. Raises `OSError`.
    """
    return [
        _bind_tcp(int(bound.family), bound.getsockname(), unacknowledged, share=BEFORE) for bound in sockets
    ]


def unix_socket(path: str, mode: int = 0o666) -> socket.socket:
    """Return a socket bound to a path.

    A socket file that nobody listens to any more is removed first.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(path)
        os.chmod(path, mode)
        bound.setblocking(False)
    except (OSError, ConfigError) as error:
        bound.close()
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot listen on the Unix socket {path!r}: {error.strerror}") from None
    return bound


def inherited_socket(fd: int) -> socket.socket:
    """Return the socket of a descriptor that systemd or a supervisor opened."""
    try:
        inherited = socket.socket(fileno=fd)
        inherited.setblocking(False)
    except OSError as error:
        raise ConfigError(f"the file descriptor {fd} is no socket: {error.strerror}") from None
    return inherited


def tls_context(certfile: str, keyfile: str | None, password: str | None) -> ssl.SSLContext:
    """Return the context of a TLS server that speaks HTTP/1.1 only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, keyfile, password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificate {certfile!r} and key {(keyfile or certfile)!r} cannot be used: {error}"
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


class Listener:
    """Accepts connections on bound sockets, and can stop that for a while.

    While it is paused the kernel goes on to queue connections: the loop is given a duplicate of each
    socket, and only the duplicate is closed.

    `room` tells how many connections more may be accepted, `at_once` is how many in one turn of the loop.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        factory: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None = None,
        handshake: float = 10.0,
        shutdown: float = 5.0,
        path: str | None = None,
        room: Callable[[], int] = lambda: AT_ONCE,
        at_once: int = AT_ONCE,
    ) -> None:
        self._sockets = sockets
        self._factory = factory
        self._room = room
        self._at_once = at_once
        self._taking: set[asyncio.Task[Any]] = set()
        self._servers: dict[socket.socket, asyncio.AbstractServer] = {}
        self._is_paused = True
        self._path = path
        self._inode = os.stat(path).st_ino if path is not None else 0
        self._options: dict[str, Any] = {}
        if tls is not None:
            self._options = {
                "ssl": tls,
                "ssl_handshake_timeout": handshake or None,
                "ssl_shutdown_timeout": shutdown or None,
            }

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as people write it.

        `127.0.0.1:3000`, `[::1]:3000`, `unix:/run/app.sock`.
        """
        return [_shown(bound) for bound in self._sockets]

    @property
    def is_paused(self) -> bool:
        """Whether connections are not accepted at the moment."""
        return self._is_paused

    async def start(self) -> None:
        """Accept, for the first time or again."""
        self._is_paused = False
        for bound in [bound for bound in self._sockets if bound not in self._servers]:
            await self._serve(bound)

    async def add(self, sockets: list[socket.socket]) -> None:
        """Accept at more sockets."""
        self._sockets = self._sockets + sockets
        if not self._is_paused:
            await self.start()

    def remove(self, sockets: list[socket.socket]) -> None:
        """Give up some sockets; whoever else has them goes on."""
        self._sockets = [bound for bound in self._sockets if bound not in sockets]
        for bound in sockets:
            server = self._servers.pop(bound, None)
            if server is not None:
                server.close()
            bound.close()

    async def _serve(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        own = bound.dup()
        make: Any = loop.create_unix_server if own.family == socket.AF_UNIX else loop.create_server
        server = await make(partial(self._accept, bound), sock=own, backlog=BACKLOG, **self._options)
        # Meanwhile it may have been paused, or begun by another call.
        if self._is_paused or bound not in self._sockets or bound in self._servers:
            server.close()
        else:
            self._servers[bound] = server

    def _accept(self, bound: socket.socket) -> asyncio.Protocol:
        """Make the protocol of a connection that was accepted, and accept those that wait behind it.

        A loop that is busy would leave them to the kernel for as many turns as there are, and nobody could
        be told that the server is full.
        """
        for _ in range(min(self._at_once, self._room() - len(self._taking)) - 1):
            try:
                accepted, _ = bound.accept()
            except OSError:
                break  # nobody waits any more, or there is no file left
            accepted.setblocking(False)
            loop = asyncio.get_running_loop()
            task = loop.create_task(loop.connect_accepted_socket(self._factory, accepted, **self._options))
            self._taking.add(task)
            task.add_done_callback(partial(self._taken, accepted))
        return self._factory()

    def _taken(self, accepted: socket.socket, task: asyncio.Task[Any]) -> None:
        self._taking.discard(task)
        # A TLS handshake that failed is the client's affair.
        if task.cancelled() or task.exception() is not None:
            accepted.close()

    def pause(self) -> None:
        """Accept nothing until `start`."""
        self._is_paused = True
        servers, self._servers = self._servers, {}
        for server in servers.values():
            server.close()

    def close(self) -> None:
        """Give the sockets up for good."""
        self.pause()
        for task in self._taking:
            task.cancel()
        for bound in self._sockets:
            bound.close()
        self._sockets = []
        if self._path is not None:
            # Another server may have put its own socket there meanwhile.
            with suppress(OSError):
                if os.stat(self._path).st_ino == self._inode:
                    os.unlink(self._path)
            self._path = None


def _bind_tcp(family: int, address: object, unacknowledged: float, share: int = NEVER) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share == BEFORE:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # Each family has a socket of its own.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if unacknowledged and hasattr(socket, "TCP_USER_TIMEOUT"):
            bound.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, int(unacknowledged * 1000))
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        bound.bind(address)  # type: ignore[arg-type]
        if share == AFTER:
            # Another server's sockets would be joined without a word, were this said before.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Two servers can be bound to one port; that it is taken shows only here.
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host!r} is taken; stop the program that has it, or set another --port"
    if error.errno == errno.EACCES:
        return (
            f"port {port} is not allowed for this user; ports below 1024 need a privilege, set another --port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"the address {host!r} is not one of this machine; set another --host"
    return f"cannot listen on {host!r}, port {port}: {error.strerror}"


def _remove_stale(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path!r} exists and is no socket; name another path for the Unix socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise ConfigError(f"another server listens on the Unix socket {path!r}; stop it or name another path")


def _shown(bound: socket.socket) -> str:
    name = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if bound.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"
