"""What keeps hooks and handlers waiting until a test opens it."""

from __future__ import annotations

import asyncio

gate = asyncio.Event()
