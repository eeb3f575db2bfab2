"""Projects of others' frameworks, with Longwave in them or they in it, and servers that serve them."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.e2e.process import ServerProcess

__all__ = ["LIVE", "Foreign", "around", "events", "joined", "websocket", "write"]

LIVE = {
    "src/words.py": """
        word = "Longwave's"
    """,
    "src/server/plugins/life.py": """
        from collections.abc import AsyncIterator

        from longwave import define_plugin
        from longwave.assemble import App


        @define_plugin
        async def plugin(app: App) -> AsyncIterator[None]:
            print("the plugin began", flush=True)
            yield
            print("the plugin ended", flush=True)
    """,
    "src/server/routes/about.py": """
        from typing import Any

        from longwave import Event
        from src.words import word


        def get(event: Event) -> dict[str, Any]:
            return {"word": word, "path": event.path, "query": dict(event.query)}
    """,
    "src/server/routes/users/[id].py": """
        from typing import Any

        from longwave import Event


        async def post(event: Event) -> dict[str, Any]:
            return {"id": event.params["id"], "body": await event.json()}
    """,
    "src/server/routes/news.py": """
        from longwave import Event, EventStream, create_event_stream


        async def get(event: Event) -> EventStream:
            stream = create_event_stream(event)
            stream.subscribe("chat")
            return stream
    """,
    "src/server/routes/ws/chat.py": """
        from longwave import Message, Peer, define_websocket_handler

        handler = define_websocket_handler()


        @handler.open
        def join(peer: Peer) -> None:
            peer.subscribe("chat")
            peer.send({"namespace": peer.namespace, "path": peer.request.path})


        @handler.message
        def relay(peer: Peer, message: Message) -> None:
            peer.publish("chat", message, include_self=True)
    """,
}
"""A project with a module `src.words`, which the frameworks around it have as well."""


class Foreign(ServerProcess):
    """A server of others, run as `python -m`, from its first answer to its last process."""

    def __init__(self, folder: Path, server: str, *args: str) -> None:
        # The lock by which processes of one project know each other is in the folder for temporary files.
        super().__init__(folder, env={"PYTHONPATH": str(folder), "TMPDIR": str(folder)})
        self._argv = [sys.executable, "-m", server, "main:app"]
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        self._argv += address if server == "uvicorn" else ["--bind", f"127.0.0.1:{self.port}"]
        self._argv += args

    def stop(self, signum: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Stop it; uvicorn ends by the signal that it was sent, which is no failure."""
        code = super().stop(signum, within)
        return 0 if code == -signum else code

    def says(self, text: str, within: float = 10.0) -> bool:
        """Tell whether it prints a text, at the latest within some seconds."""
        deadline = time.monotonic() + within
        while text not in self.output and time.monotonic() < deadline:
            time.sleep(0.02)
        return text in self.output


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files, whose texts may be indented."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip())
    return folder


def around(folder: Path, main: str) -> Path:
    """Write a project of a framework, with a package `src` of its own, and ours in `live/`."""
    write(folder / "live", LIVE)
    words = 'word = "the framework\'s"\n'
    return write(folder, {"main.py": main, "src/__init__.py": "", "src/words.py": words})


@contextmanager
def websocket(server: ServerProcess, path: str, **options: Any) -> Iterator[ClientConnection]:
    """Connect for a block."""
    with connect(server.websocket_url + path, compression=None, proxy=None, **options) as ws:
        yield ws


@contextmanager
def events(server: ServerProcess, path: str) -> Iterator[Iterator[str]]:
    """Open an event stream and give the data of its events."""
    with httpx.stream("GET", server.url + path, timeout=5.0) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))


def joined(ws: ClientConnection) -> Any:
    """Read one message of JSON."""
    return json.loads(ws.recv(5))
