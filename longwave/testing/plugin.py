"""The pytest plugin of Longwave: the fixture `longwave_client` and the setting `longwave_root`.

    async def test_greeting(longwave_client):
        async with longwave_client() as client:
            async with client.websocket("/api/ws/chat") as ws:
                assert "Welcome" in await ws.receive()

The fixture is an ordinary function, so it works with any runner of async tests (pytest-asyncio, anyio) and
with none: `asyncio.run(...)` inside a plain test. Nothing of Longwave is loaded before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from longwave.testing.client import TestClient

__all__ = ["longwave_client", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `longwave_root`."""
    parser.addini(
        "longwave_root",
        "the project that the fixture longwave_client serves, relative to the root of the tests",
        default=".",
    )


@pytest.fixture
def longwave_client(request: pytest.FixtureRequest) -> Callable[..., TestClient]:
    """A function that returns a `TestClient` for the app of this or another root.

    `longwave_client(root=None, *, timeout=5.0, **settings)`: the settings are those of `create_app`.
    """
    config = request.config

    def connect(root: str | Path | None = None, *, timeout: float = 5.0, **settings: Any) -> TestClient:
        from longwave.assemble import create_app
        from longwave.testing.client import TestClient

        folder = Path(config.rootpath, config.getini("longwave_root")) if root is None else Path(root)
        return TestClient(create_app(folder, **settings), timeout=timeout)

    return connect
