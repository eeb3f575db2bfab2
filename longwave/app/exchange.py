"""What becomes of open connections when the routes are exchanged under them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from msgspec import Struct

from longwave.app.event_stream import COME_BACK
from longwave.app.route import Route
from longwave.app.runtime import Runtime
from longwave.routing.table import Table

__all__ = ["Exchange", "move_on", "pair_routes"]


class Exchange(Struct, frozen=True):
    """What an exchange of routes did.

    `kept` sockets go on, `closed` ones lost their route, `ended` streams ran code that was replaced.
    """

    kept: int = 0
    closed: int = 0
    ended: int = 0


def pair_routes(old: Iterable[Route], new: Iterable[Route]) -> dict[Route, Route]:
    """Return the old route of each new one that takes its WebSockets over.

    They are of the same path.
    """
    standing = {route.pattern: route for route in old if route.handler is not None}
    return {
        route: standing[route.pattern]
        for route in new
        if route.handler is not None and route.pattern in standing and standing[route.pattern] is not route
    }


def move_on(runtime: Runtime, before: Table[Any], after: Table[Any], other_middleware: bool) -> Exchange:
    """Close sockets whose route is gone, end streams whose code was replaced.

    A stream at a path without a route is that of a middleware.
    """
    closed = kept = ended = 0
    for peers in list(runtime.namespaces.values()):
        for peer in list(peers):
            if peer.leave_route():
                closed += 1
            else:
                kept += 1
    for stream in list(runtime.streams):
        code = stream.found(partial(_find, before))
        if code is not stream.found(partial(_find, after)) or (code is None and other_middleware):
            stream.end(COME_BACK)
            ended += 1
    return Exchange(kept, closed, ended)


def _find(table: Table[Any], path: str, method: str) -> Any:
    match = table.match(path, method)
    return None if match is None else match.pick(method)
