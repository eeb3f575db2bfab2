"""A path into a route: a lookup for static paths, a trie for parameters.

A pattern is a list of segments, written as in file names: `/users/[id]`, `/docs/[...slug]`, `/[...]`. The
spelling of h3 is read too: `:id` is `[id]`, `*` is `[_]`, `**` is `[...]`, `**:slug` is `[...slug]`.

Which of several patterns wins is settled segment by segment, from the left: static beats `[param]` beats
`[...catchall]`, with a step back where the better choice leads nowhere. Every node of the trie stands at one
depth, so a match visits a node at most once: the work is bounded by the table, whatever the path is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Generic, Literal, NamedTuple, TypeVar

from longwave.errors import RouteError

__all__ = [
    "METHODS",
    "Match",
    "Route",
    "Segment",
    "Table",
    "allowed_methods",
    "format_pattern",
    "parse_pattern",
    "parse_route_key",
    "shape_of",
]

T = TypeVar("T")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that a route may be for, in the order of the `Allow` header."""

_METHOD = re.compile(r"[A-Z]+")
_NAME = re.compile(r"[\w-]+")
_FORBIDDEN = re.compile("[\x00-\x1f\x7f\ud800-\udfff?#*\\\\]")


# Skips the constructor written in Python that a named tuple has: half of what a static match costs.
_make = tuple.__new__


class Segment(NamedTuple):
    """One segment of a pattern; `text` is what to equal, or a parameter's name."""

    kind: Literal["static", "param", "tail"]
    text: str


class Route(NamedTuple, Generic[T]):
    """One line of a table: `method` is None where the value answers any method."""

    pattern: str
    method: str | None
    value: T
    source: str


class Match(NamedTuple, Generic[T]):
    """A path's route: values by method, parameters, pattern in bracket form."""

    methods: dict[str | None, T]
    params: dict[str, str]
    pattern: str

    def pick(self, method: str) -> T | None:
        """Return the value for a method: its own, GET's for HEAD, that for any."""
        for key in _keys_for(method):
            if key in self.methods:
                return self.methods[key]
        return None


class Table(Generic[T]):
    """Patterns and, per method, a value each.

    Fill a table with `add` and swap it in by one assignment; it is not changed while it serves. Paths are
    given percent-decoded, and nothing is decoded again. A single slash at the end of a path is as good as
    none (`/users/` is `/users`), `[param]` never matches an empty segment, and `[...slug]` matches the empty
    tail as well: `/docs` and `/docs/` with `slug` as `""`.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._static: dict[str, _Entry[T]] = {}
        self._routes: list[Route[T]] = []
        self._depth = 0

    def __len__(self) -> int:
        """Return how many routes there are; two methods of one pattern are two routes."""
        return len(self._routes)

    def __iter__(self) -> Iterator[Route[T]]:
        """Yield the routes in the order in which they were added."""
        return iter(self._routes)

    def add(self, pattern: str, method: str | None, value: T, source: str = "") -> None:
        """Add a value for a pattern and a method, or for any method (None).

        A method is a word in capitals; it may be one of the caller's own beside those of HTTP. `source` says
        where the route was written, for messages: `RouteError` when the pattern cannot be read, or when
        another source has the same route, whatever its parameters are called.
        """
        if method is not None and not _METHOD.fullmatch(method):
            raise RouteError(
                f"{source or pattern}: a method is a word in capitals such as GET, not {method!r}"
            )
        segments = parse_pattern(pattern)
        pattern = format_pattern(segments)
        entry = self._entry(segments)
        if method in entry.methods:
            first, second = entry.sources[method] or "a first route", source or "a second one"
            raise RouteError(f"{first} and {second} both answer {method or 'any method of'} {pattern}")
        names = tuple(segment.text for segment in segments if segment.kind != "static")
        entry.add(method, value, _Spelling(pattern, names), source)
        self._depth = max(self._depth, len(segments))
        self._routes.append(Route(pattern, method, value, source))
        if not names:
            self._static[pattern] = entry
            if segments:
                self._static[pattern + "/"] = entry

    def match(self, path: str, method: str | None = None) -> Match[T] | None:
        """Return the route of a decoded path, or None.

        With a method, the best pattern that answers it wins over a better one that does not, so that
        `users/me.get.py` leaves `POST /users/me` to `users/[id].py`; where none answers it, the best
        pattern is returned, for a 405. Parameters carry the names that the route for that method gives them;
        without a method, all the names that they have.
        """
        entry = self._static.get(path)
        if entry is not None and (method is None or entry.any or method in entry.accepts):
            return _make(Match, (entry.methods, {}, entry.spelling.pattern))
        return self._search(path, method)

    def _search(self, path: str, method: str | None) -> Match[T] | None:
        if not path.startswith("/"):
            return None
        segments = path[1:].split("/", self._depth)
        if not segments[-1]:
            segments.pop()
        elif segments[-1].endswith("/"):
            segments[-1] = segments[-1][:-1]
        end = len(segments)
        best: _Entry[T] | None = None
        todo: list[tuple[_Node[T] | _Entry[T], int]] = [(self._root, 0)]
        while todo:
            place, depth = todo.pop()
            if isinstance(place, _Entry):
                if method is None or place.any or method in place.accepts:
                    return place.match(segments, method)
                best = best or place
                continue
            if place.tail is not None:
                todo.append((place.tail, depth))
            if depth == end:
                if place.entry is not None:
                    todo.append((place.entry, depth))
                continue
            if place.param is not None and segments[depth]:
                todo.append((place.param, depth + 1))
            child = place.static.get(segments[depth])
            if child is not None:
                todo.append((child, depth + 1))
        return None if best is None else best.match(segments, method)

    def _entry(self, segments: tuple[Segment, ...]) -> _Entry[T]:
        node = self._root
        for index, segment in enumerate(segments):
            if segment.kind == "tail":
                if node.tail is None:
                    node.tail = _Entry(segments, index)
                return node.tail
            if segment.kind == "static":
                node = node.static.setdefault(segment.text, _Node())
            else:
                if node.param is None:
                    node.param = _Node()
                node = node.param
        if node.entry is None:
            node.entry = _Entry(segments, None)
        return node.entry


def parse_pattern(pattern: str) -> tuple[Segment, ...]:
    """Read a pattern, in brackets or in h3's spelling.

    `RouteError` says what is wrong with it. A slash at the end is dropped; "/" has no segments.
    """
    if not pattern.startswith("/"):
        raise RouteError(f"the route {pattern!r} must start with a slash")
    texts = pattern[1:].removesuffix("/").split("/") if pattern != "/" else []
    segments = tuple(_parse_segment(text, pattern) for text in texts)
    names = [segment.text for segment in segments if segment.kind != "static"]
    for name, count in Counter(names).items():
        if count > 1:
            raise RouteError(f"the route {pattern!r} has two parameters called {name!r}; rename one")
    for segment in segments[:-1]:
        if segment.kind == "tail":
            raise RouteError(f"the route {pattern!r} goes on after its catch-all, which takes all the rest")
    return segments


def format_pattern(segments: Iterable[Segment]) -> str:
    """Return a pattern in bracket form; the catch-all called `_` is `[...]`."""
    return "/" + "/".join(map(_format_segment, segments))


def shape_of(segments: Iterable[Segment]) -> str:
    """Return a pattern without its parameters' names: what two routes must not share."""
    blank = {"param": "[]", "tail": "[...]"}
    return "/" + "/".join(blank.get(segment.kind, segment.text) for segment in segments)


def parse_route_key(key: str) -> tuple[str | None, str]:
    """Split a key of an explicit table: `GET /sse` or, for any method, `/sse`.

    The pattern comes back in bracket form.
    """
    words = key.split()
    if len(words) == 1 and key.strip().startswith("/"):
        return None, format_pattern(parse_pattern(words[0]))
    if len(words) != 2 or not words[1].startswith("/"):
        raise RouteError(f"the route {key!r} must be a path, or a method and a path: '/chat' or 'GET /chat'")
    method = words[0].upper()
    if method not in METHODS:
        raise RouteError(f"the route {key!r}: {words[0]!r} is not a method; one of {', '.join(METHODS)}")
    return method, format_pattern(parse_pattern(words[1]))


def allowed_methods(methods: Iterable[str | None]) -> list[str]:
    """Return what `Allow` says: HEAD comes with GET, None means all."""
    given = set(methods)
    if None in given:
        return list(METHODS)
    if "GET" in given:
        given.add("HEAD")
    return [method for method in METHODS if method in given]


class _Spelling(NamedTuple):
    """How one source wrote a route: another may name parameters differently."""

    pattern: str
    names: tuple[str, ...]


class _Entry(Generic[T]):
    """All routes of one shape: where its parameters stand, and the values by method."""

    __slots__ = ("accepts", "any", "differ", "methods", "places", "sources", "spelling", "spellings", "tail")

    def __init__(self, segments: tuple[Segment, ...], tail: int | None) -> None:
        self.methods: dict[str | None, T] = {}
        self.sources: dict[str | None, str] = {}
        self.spellings: dict[str | None, _Spelling] = {}
        self.spelling = _Spelling("", ())
        self.places = [index for index, segment in enumerate(segments) if segment.kind == "param"]
        self.tail = tail
        self.accepts: set[str] = set()
        self.any = False
        self.differ = False

    def add(self, method: str | None, value: T, spelling: _Spelling, source: str) -> None:
        self.differ = self.differ or (bool(self.methods) and spelling != self.spelling)
        if not self.methods or method is None:
            self.spelling = spelling
        self.methods[method] = value
        self.spellings[method] = spelling
        self.sources[method] = source
        if method is None:
            self.any = True
        else:
            self.accepts.update(("GET", "HEAD") if method == "GET" else (method,))

    def match(self, segments: list[str], method: str | None) -> Match[T]:
        spelling = self.spelling
        if self.differ and method is not None:
            known = (self.spellings[key] for key in _keys_for(method) if key in self.spellings)
            spelling = next(known, spelling)
        values = [segments[place] for place in self.places]
        if self.tail is not None:
            values.append("/".join(segments[self.tail :]))
        params = dict(zip(spelling.names, values, strict=True))
        if self.differ and method is None:
            for other in self.spellings.values():
                params = dict(zip(other.names, values, strict=True)) | params
        return _make(Match, (self.methods, params, spelling.pattern))


class _Node(Generic[T]):
    __slots__ = ("entry", "param", "static", "tail")

    def __init__(self) -> None:
        self.static: dict[str, _Node[T]] = {}
        self.param: _Node[T] | None = None
        self.tail: _Entry[T] | None = None
        self.entry: _Entry[T] | None = None


def _keys_for(method: str) -> tuple[str | None, ...]:
    return ("HEAD", "GET", None) if method == "HEAD" else (method, None)


def _format_segment(segment: Segment) -> str:
    if segment.kind == "static":
        return segment.text
    if segment.kind == "param":
        return f"[{segment.text}]"
    return "[...]" if segment.text == "_" else f"[...{segment.text}]"


def _parse_segment(text: str, pattern: str) -> Segment:
    try:
        return _parse_text(text)
    except RouteError as error:
        # The whole pattern is named only where it is needed: that is linear in it.
        raise RouteError(f"the route {pattern!r}: {error}") from None


def _parse_text(text: str) -> Segment:
    where = repr(text)
    if text == "*":
        return Segment("param", "_")
    if text == "**":
        return Segment("tail", "_")
    if text.startswith("**:"):
        return Segment("tail", _checked_name(text[3:], where))
    if text.startswith(":"):
        return Segment("param", _checked_name(text[1:], where))
    if "[" in text or "]" in text:
        return _parse_brackets(text, where)
    if text in ("", ".", ".."):
        raise RouteError(f"{where} is not a segment that a path can have")
    if text[0] + text[-1] in ("{}", "<>"):
        raise RouteError(f"{where}: a parameter is written '[{text[1:-1]}]' here")
    bad = _FORBIDDEN.search(text)
    if bad:
        raise RouteError(f"{where} has the character {bad[0]!r}, which a route cannot have")
    return Segment("static", text)


def _parse_brackets(text: str, where: str) -> Segment:
    if "[[" in text or "]]" in text:
        raise RouteError(
            f"{where}: optional parameters are not supported; write two routes, one without the parameter, "
            "or a catch-all '[...name]', which matches the empty tail too"
        )
    if text.count("[") != text.count("]") or text.find("]") < text.find("["):
        raise RouteError(f"{where} has a bracket without its counterpart; a parameter is written '[name]'")
    if text.count("[") > 1:
        raise RouteError(f"{where} has several parameters in one segment; give each a segment of its own")
    if not (text.startswith("[") and text.endswith("]")):
        raise RouteError(f"{where} mixes text and a parameter; a parameter is a whole segment")
    inner = text[1:-1]
    if inner == "...":
        return Segment("tail", "_")
    if inner.startswith("..."):
        return Segment("tail", _checked_name(inner[3:], where))
    return Segment("param", _checked_name(inner, where))


def _checked_name(name: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        raise RouteError(f"{where}: a parameter's name is letters, digits, '_' and '-', not {name!r}")
    return name
