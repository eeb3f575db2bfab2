"""Runs the application of the link suite on one server: `python -m tests.suites.serve NAME PORT`."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from longwave.asgi.app import AsgiApp
from tests.suites.app import LIMITS, TIMEOUTS, SuiteApplication

__all__ = ["serve"]


def serve(name: str, port: int) -> None:
    """Serve until SIGTERM."""
    application = SuiteApplication()
    if name == "longwave":
        serve_longwave(application, port)
    elif name == "uvicorn":
        serve_uvicorn(AsgiApp(application, LIMITS, TIMEOUTS), port)
    elif name == "hypercorn":
        serve_hypercorn(AsgiApp(application, LIMITS, TIMEOUTS), port)
    else:
        raise SystemExit(f"no such server: {name}")


def serve_longwave(application: SuiteApplication, port: int) -> None:
    from longwave.server.worker import ServerOptions, run

    run(application, ServerOptions(port=port, limits=LIMITS, timeouts=TIMEOUTS))


def serve_uvicorn(app: Any, port: int) -> None:
    import uvicorn

    uvicorn.run(app, port=port, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)


def serve_hypercorn(app: Any, port: int) -> None:
    import hypercorn.asyncio
    import hypercorn.config

    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.graceful_timeout = 1
    # Its connections end only then, whoever has left.
    config.keep_alive_timeout = 2
    config.errorlog = None

    async def run() -> None:
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped.wait)

    asyncio.run(run())


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
