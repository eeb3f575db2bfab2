"""Fails at the end, beside one that does not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from longwave import define_plugin
from longwave.assemble import App


@define_plugin
async def plugin(app: App) -> AsyncIterator[None]:
    def write() -> None:
        with open(os.environ["PROBE_REPORT"], "a") as file:
            file.write("plugin ended\n")

    app.on_shutdown(write)
    yield
    raise RuntimeError("boom at the end.")
