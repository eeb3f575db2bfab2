"""Which app `publish` at the top of the package means."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longwave.app.app import App
    from longwave.app.hooks import WebSocketHandler

__all__ = ["current", "publish", "running"]

current: ContextVar[App] = ContextVar("longwave_app")
"""The app of the request, hook or task that runs."""
running: dict[App, None] = {}
"""The apps of this process that were started and not stopped."""


def publish(
    topic: str,
    data: Any,
    *,
    namespace: str | None = None,
    of: WebSocketHandler | None = None,
    compress: bool | None = None,
) -> None:
    """Publish to every subscriber of a topic, by the app that this code runs in.

    As `App.publish`. Outside of any app's code the only one that runs is meant; raises `LookupError` when
    there is none, or more than one.
    """
    app = current.get(None)
    if app is None or app not in running:
        if len(running) != 1:
            raise LookupError(
                "publish() knows no app: none is running"
                if not running
                else f"publish() cannot choose among {len(running)} running apps: use app.publish()"
            )
        (app,) = running
    app.publish(topic, data, namespace=namespace, of=of, compress=compress)
