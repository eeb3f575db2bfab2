"""Serves a project with an ASGI server of others: `python -m tests.e2e.serve NAME PORT ROOT`."""

from __future__ import annotations

import sys

from longwave import create_app
from tests.suites.serve import serve_hypercorn, serve_uvicorn

__all__ = ["main"]


def main(name: str, port: int, root: str) -> None:
    """Serve until SIGTERM."""
    serve = {"uvicorn": serve_uvicorn, "hypercorn": serve_hypercorn}[name]
    serve(create_app(root), port)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
