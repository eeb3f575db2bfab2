"""What the benchmark measures is the walk of the design page, with the settings that everybody gets."""

from __future__ import annotations

import asyncio

from bench.kit import ROOT, Kit
from bench.servers import OURS, SERVERS
from longwave.cli.serve import load_app, options_of
from longwave.config import load_settings
from longwave.server.worker import Server
from tests.docs.test_design import documented
from tests.docs.walk import walk

APP = ROOT / "bench" / "app"


async def traced() -> list[str]:
    """Return the functions that run for one message to the room, as `longwave start` serves it."""
    settings = load_settings(APP, command="start", environ={}, overrides={"server": {"port": 0}})
    return await walk(Server(load_app(settings), options_of(settings)), "/ws/room", "/sse")


def test_the_walk_is_the_documented_one() -> None:
    calls = asyncio.run(traced())
    remaining = iter(calls)
    assert [step for step in documented() if step not in remaining] == [], "\n".join(calls)


def test_ours_is_started_as_everybody_starts_it() -> None:
    command = SERVERS[OURS].command(Kit(), 3001, "echo")
    assert command[1:] == ["start", str(APP), "--host", "127.0.0.1", "--port", "3001"]
    files = [path.name for path in APP.iterdir() if path.name != "__pycache__"]
    assert files == ["src"], "no config: the defaults are measured"
