"""Maps settings to the server's options; `longwave start`."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from longwave.assemble import App, create_app
from longwave.cli.listen import bind_socket, close_socket, local_urls, network_urls
from longwave.cli.logs import configure_logs
from longwave.cli.terminal import RouteLine, Terminal, open_browser
from longwave.config import Settings
from longwave.server.worker import Server, ServerOptions, run

if TYPE_CHECKING:
    from longwave.backplane.workers import WorkersBackplane

__all__ = ["load_app", "options_of", "route_lines", "run_start"]


def load_app(settings: Settings, backplane: WorkersBackplane | None = None) -> App:
    """Make the application of a project.

    What its `.env` files add is in the environment before its code runs. `backplane` is for one worker of
    several.
    """
    os.environ.update(settings.environment)
    return create_app(settings.root, settings=settings, backplane=backplane)


def options_of(settings: Settings, fd: int | None = None) -> ServerOptions:
    """Return the server's options; `fd` is a listening socket, in place of addresses."""
    server = settings.server
    return ServerOptions(
        host=server.host,
        port=server.port,
        uds=_text(server.uds) if fd is None else None,
        fd=server.fd if fd is None else fd,
        ssl_certfile=_text(server.ssl_certfile),
        ssl_keyfile=_text(server.ssl_keyfile),
        ssl_keyfile_password=server.ssl_keyfile_password,
        limits=settings.limits,
        timeouts=settings.timeouts,
        # `dev` has lines of its own for them.
        access_log=settings.log.access and settings.command == "start",
    )


def route_lines(app: App) -> list[RouteLine]:
    """Return the routes of an application as they are shown."""
    return [RouteLine.of(route.method, route.pattern, route.kind, route.source) for route in app.routes()]


def run_start(settings: Settings) -> int:
    """Serve a project until a signal; returns the exit code."""
    began = time.perf_counter()
    configure_logs(settings.log)
    terminal = Terminal(settings.log.level)
    with ExitStack() as stack:
        fd = None
        if not settings.server.strict_port and settings.server.fd is None and settings.server.uds is None:
            # The server itself does not look for a free port.
            sock = bind_socket(settings)
            stack.callback(close_socket, settings, sock)
            fd = os.dup(sock.fileno())
        app = load_app(settings)

        def on_ready(server: Server) -> None:
            app.server_stats = server.stats
            seconds = time.perf_counter() - began
            local, network = local_urls(settings, server.port), network_urls(settings, server.port)
            if not server.port:
                local, network = server.addresses, []
            terminal.banner(
                seconds, local=local, network=network, routes=route_lines(app), hidden=settings.hidden()
            )
            if settings.server.open and server.port:
                open_browser(local[0], settings.server.open)

        return run(app.served, options_of(settings, fd), on_ready)


def _text(path: os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)
