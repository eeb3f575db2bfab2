"""A table answers as a matcher does that tries every route and ranks them segment by segment.

Only `RouteError` is raised, by `add` and the readers of patterns; what they read can be written again.
"""

from __future__ import annotations

from fuzz.source import Source
from longwave.errors import RouteError
from longwave.routing.table import (
    Match,
    Route,
    Segment,
    Table,
    format_pattern,
    parse_pattern,
    parse_route_key,
    shape_of,
)

__all__ = ["check"]

SEGMENTS = (
    *("a", "b", "[x]", "[y]", "[...z]", "[...]", ":x", "*", "**", "**:z", "a.b", "%2F", "ä"),
    *("", ".", "..", "[[x]]", "[x", "a[x]", "{x}", "[x][y]", "[]", "[...]a", "#", "?", "\\", "["),
)
METHODS = (None, "GET", "POST", "HEAD", "WS", None, "GET", "get")
RANK = {"static": 0, "param": 1, "tail": 2}


def check(data: bytes) -> None:
    """Fill a table and ask it for paths, as the input says."""
    source = Source(data)
    table: Table[int] = Table()
    routes: list[tuple[tuple[Segment, ...], Route[int]]] = []
    for number in range(source.byte() % 12):
        pattern, method = some_path(source, 27), source.pick(METHODS)
        try:
            table.add(pattern, method, number, f"source {number}")
        except RouteError as error:
            assert str(error)
            continue
        segments = parse_pattern(pattern)
        assert parse_pattern(format_pattern(segments)) == segments
        assert parse_route_key(format_pattern(segments))[1] == format_pattern(segments)
        shape = shape_of(segments)
        assert not [route for other, route in routes if shape_of(other) == shape and route.method == method]
        routes.append((segments, Route(format_pattern(segments), method, number, f"source {number}")))
    assert list(table) == [route for _, route in routes]
    for _ in range(8):
        path = some_path(source, 13)
        for wanted in (None, "GET", "HEAD", "POST"):
            compare(table.match(path, wanted), routes, path, wanted)
        try:
            assert parse_route_key(path)[1].startswith("/")
        except RouteError:
            pass


def some_path(source: Source, choices: int) -> str:
    """Return a pattern or path: segments, or any text."""
    shape = source.byte()
    if shape >= 240:
        return source.text()
    path = "".join("/" + source.pick(SEGMENTS[:choices]) for _ in range(shape % 5))
    return path + "/" * (shape >> 5 & 3 if shape & 128 else not path)


def compare(
    match: Match[int] | None,
    routes: list[tuple[tuple[Segment, ...], Route[int]]],
    path: str,
    method: str | None,
) -> None:
    """Compare a match with what trying every route gives."""
    found = []
    for segments, route in routes:
        values = values_of(segments, path)
        if values is not None:
            found.append(([RANK[segment.kind] for segment in segments], segments, route, values))
    if not found:
        assert match is None, "a match for a path of nobody"
        return
    assert match is not None, "no match"
    found.sort(key=lambda entry: entry[0])
    best = shape_of(found[0][1])
    answers = [entry for entry in found if method is None or answers_to(entry[2].method, method)]
    if answers:
        best = shape_of(answers[0][1])
    group = [entry for entry in found if shape_of(entry[1]) == best]
    assert match.methods == {route.method: route.value for _, _, route, _ in group}
    assert match.pattern in [route.pattern for _, _, route, _ in group]
    if method is None:
        names = {name: value for _, _, _, values in group for name, value in values}
        assert match.params.keys() == names.keys()
        assert set(match.params.values()) == set(names.values())
    elif answers:
        order = ("HEAD", "GET", None) if method == "HEAD" else (method, None)
        mine = {route.method: values for _, _, route, values in group}
        assert match.params == dict(next(mine[key] for key in order if key in mine))


def answers_to(method: str | None, wanted: str) -> bool:
    """Whether a route answers a method; GET answers HEAD."""
    return method in (None, wanted) or (method, wanted) == ("GET", "HEAD")


def values_of(segments: tuple[Segment, ...], path: str) -> list[tuple[str, str]] | None:
    """Return the parameters of a path by one pattern, None where it does not match."""
    if not path.startswith("/"):
        return None
    parts = path[1:].split("/")
    if parts[-1] == "":
        parts.pop()
    values: list[tuple[str, str]] = []
    for index, segment in enumerate(segments):
        if segment.kind == "tail":
            return [*values, (segment.text, "/".join(parts[index:]))]
        if index >= len(parts):
            return None
        if segment.kind == "static":
            if parts[index] != segment.text:
                return None
        elif parts[index] == "":
            return None
        else:
            values.append((segment.text, parts[index]))
    return values if len(parts) == len(segments) else None
