"""Who is measured: each server's name, what it needs, and its command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.kit import ROOT, Kit

__all__ = ["OURS", "SERVERS", "Server"]

OURS = "longwave"
"""The server that all others are compared with, where a row has no other."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server; `command` is given the kit, a port, and what the row wants to be served."""

    name: str
    title: str
    needs: str
    packages: tuple[str, ...]
    command: Callable[[Kit, int, str], list[str]]


def _uvicorn(app: str) -> Callable[[Kit, int, str], list[str]]:
    # websockets-sansio is the fastest (peers/README.md); compression costs, and nobody else here compresses.
    options = ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio", "--backlog", "4096"]
    options += ["--ws-per-message-deflate", "false", "--no-access-log", "--log-level", "warning"]
    return lambda kit, port, _: [kit.python("uvicorn"), app, "--port", str(port), *options]


def _granian(interface: str, app: str) -> Callable[[Kit, int, str], list[str]]:
    # Its backpressure counts open WebSockets as well.
    options = [
        "--workers",
        "1",
        "--loop",
        "uvloop",
        "--http",
        "1",
        "--backlog",
        "4096",
        "--backpressure",
        "30000",
    ]
    options += ["--no-access-log", "--log-level", "warning"]
    return lambda kit, port, _: [
        kit.python("granian"), "--interface", interface, app, "--port", str(port), *options
    ]  # fmt: skip


def _module(name: str) -> Callable[[Kit, int, str], list[str]]:
    return lambda kit, port, _: [kit.python(), "-m", name, str(port)]


def _node(script: str) -> Callable[[Kit, int, str], list[str]]:
    return lambda kit, port, wanted: [kit.node, str(kit.node_folder / script), str(port), wanted]


def _bun(script: str) -> Callable[[Kit, int, str], list[str]]:
    return lambda kit, port, wanted: [kit.bun, str(kit.node_folder / script), str(port), wanted]


def _longwave(kit: Kit, port: int, _: str) -> list[str]:
    app = str(ROOT / "bench" / "app")
    return [kit.python("longwave"), "start", app, "--host", "127.0.0.1", "--port", str(port)]


_STARLETTE = "bench.peers.starlette_app:app"
_ALL = (
    Server(OURS, "Longwave", "python", ("longwave", "uvloop"), _longwave),
    Server("limit", "C, the limit", "cc", ("cc",), lambda kit, port, _: [kit.limit, str(port)]),
    Server("uvloop", "bare uvloop protocol", "python", ("uvloop",), _module("bench.peers.uvloop_server")),
    Server("starlette", "Starlette on uvicorn", "python", ("starlette", "uvicorn"), _uvicorn(_STARLETTE)),
    Server("sse-starlette", "sse-starlette on uvicorn", "python", ("sse-starlette", "uvicorn"),
           _uvicorn(_STARLETTE)),
    Server("fastapi", "FastAPI on uvicorn", "python", ("fastapi", "uvicorn"),
           _uvicorn("bench.peers.fastapi_app:app")),
    Server("granian", "Granian RSGI", "python", ("granian",),
           _granian("rsgi", "bench.peers.granian_rsgi:app")),
    Server("picows", "picows", "python", ("picows",), _module("bench.peers.picows_server")),
    Server("crossws-node", "crossws on Node", "node", ("crossws", "node"), _node("crossws_node.mjs")),
    Server("crossws-bun", "crossws on Bun", "bun", ("crossws", "bun"), _bun("crossws_bun.mjs")),
    Server("h3-node", "h3 on Node", "node", ("h3", "node"), _node("h3_server.mjs")),
    Server("h3-bun", "h3 on Bun", "bun", ("h3", "bun"), _bun("h3_server.mjs")),
    Server("bun", "Bun's direct stream", "bun", ("bun",), _bun("bun_stream.mjs")),
    Server("uvicorn-longwave", "Longwave on uvicorn", "python", ("longwave", "uvicorn"),
           _uvicorn("bench.asgi_app:app")),
    Server("granian-longwave", "Longwave on Granian", "python", ("longwave", "granian"),
           _granian("asgi", "bench.asgi_app:app")),
    Server("granian-starlette", "Starlette on Granian", "python", ("starlette", "granian"),
           _granian("asgi", _STARLETTE)),
)  # fmt: skip
SERVERS = {server.name: server for server in _ALL}
"""All of them by name."""
