"""A start that does not come to an end, where the environment asks for it."""

from __future__ import annotations

import asyncio
import os

from longwave import define_plugin
from longwave.assemble import App


@define_plugin
async def plugin(app: App) -> None:
    if "PROBE_STARTS" in os.environ:
        print("starting", flush=True)
        await asyncio.sleep(60)
