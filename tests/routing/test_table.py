"""The route table: what matches, what wins, what is refused, and how much work a match is."""

from __future__ import annotations

import itertools
import random
import sys
from types import FrameType
from typing import Any

import pytest

from longwave.errors import RouteError
from longwave.routing.table import (
    METHODS,
    Match,
    Table,
    allowed_methods,
    format_pattern,
    parse_pattern,
    parse_route_key,
    shape_of,
)


def table(*patterns: str) -> Table[str]:
    made: Table[str] = Table()
    for pattern in patterns:
        made.add(pattern, None, pattern, f"{pattern}.py")
    return made


def found(made: Table[str], path: str, method: str | None = None) -> tuple[str, dict[str, str]] | None:
    match = made.match(path, method)
    return None if match is None else (match.pattern, match.params)


@pytest.mark.parametrize(
    ("pattern", "path", "params"),
    [
        ("/", "/", {}),
        ("/users", "/users", {}),
        ("/users", "/users/", {}),
        ("/users/", "/users", {}),
        ("/rss.xml", "/rss.xml", {}),
        ("/users/[id]", "/users/42", {"id": "42"}),
        ("/users/[id]", "/users/42/", {"id": "42"}),
        ("/users/[user-id]", "/users/42", {"user-id": "42"}),
        ("/a/[x]/b/[y]", "/a/1/b/2", {"x": "1", "y": "2"}),
        ("/[a]/[b]", "/1/2", {"a": "1", "b": "2"}),
        ("/docs/[...slug]", "/docs", {"slug": ""}),
        ("/docs/[...slug]", "/docs/", {"slug": ""}),
        ("/docs/[...slug]", "/docs/a", {"slug": "a"}),
        ("/docs/[...slug]", "/docs/a/b/c/", {"slug": "a/b/c"}),
        ("/docs/[...slug]", "/docs/a//b", {"slug": "a//b"}),
        ("/[x]/[...rest]", "/1/2/3", {"x": "1", "rest": "2/3"}),
        ("/[...]", "/", {"_": ""}),
        ("/[...]", "/a/b", {"_": "a/b"}),
        ("/users/[id]", "/users/a%2fb", {"id": "a%2fb"}),
        ("/ü/[n]", "/ü/é ?", {"n": "é ?"}),
    ],
)
def test_matches(pattern: str, path: str, params: dict[str, str]) -> None:
    match = table(pattern).match(path)
    assert match is not None
    assert match.params == params
    assert match.methods == {None: pattern}
    assert match.pattern == (pattern.rstrip("/") or "/")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/users", "/user"),
        ("/users", "/users//"),
        ("/users", "/Users"),
        ("/users", "users"),
        ("/users", ""),
        ("/", "//"),
        ("/", "*"),
        ("/", ""),
        ("/users/[id]", "/users"),
        ("/users/[id]", "/users/"),
        ("/users/[id]", "/users//"),
        ("/users/[id]", "/users/1/2"),
        ("/[a]/[b]", "//2"),
        ("/docs/[...slug]", "/doc"),
        ("/docs/[...slug]", "/docsx/y"),
        ("/[...]", "*"),
    ],
)
def test_does_not_match(pattern: str, path: str) -> None:
    assert table(pattern).match(path) is None


def test_static_beats_parameter_beats_catch_all_in_any_order_of_adding() -> None:
    patterns = ["/u/me", "/u/[id]", "/u/[...rest]", "/[...]"]
    for order in itertools.permutations(patterns):
        made = table(*order)
        assert found(made, "/u/me") == ("/u/me", {})
        assert found(made, "/u/42") == ("/u/[id]", {"id": "42"})
        assert found(made, "/u/42/x") == ("/u/[...rest]", {"rest": "42/x"})
        assert found(made, "/u") == ("/u/[...rest]", {"rest": ""})
        assert found(made, "/v") == ("/[...]", {"_": "v"})


def test_steps_back_where_the_better_choice_leads_nowhere() -> None:
    made = table("/a/b/c", "/a/[x]/d", "/[y]/b/e", "/[y]/[...z]")
    assert found(made, "/a/b/c") == ("/a/b/c", {})
    assert found(made, "/a/b/d") == ("/a/[x]/d", {"x": "b"})
    assert found(made, "/a/b/e") == ("/[y]/b/e", {"y": "a"})
    assert found(made, "/a/b/f") == ("/[y]/[...z]", {"y": "a", "z": "b/f"})
    assert found(made, "/a/b/c/d") == ("/[y]/[...z]", {"y": "a", "z": "b/c/d"})


def test_an_index_beats_a_catch_all_with_an_empty_tail() -> None:
    made = table("/docs", "/docs/[...slug]")
    assert found(made, "/docs/") == ("/docs", {})
    assert found(made, "/docs/x") == ("/docs/[...slug]", {"slug": "x"})


def test_params_belong_to_the_match() -> None:
    made = table("/users")
    first = made.match("/users")
    assert first is not None
    first.params["x"] = "1"
    second = made.match("/users")
    assert second is not None
    assert second.params == {}


def test_methods_of_one_pattern() -> None:
    made: Table[int] = Table()
    made.add("/users", "GET", 1)
    made.add("/users/", "POST", 2)
    made.add("/users", None, 3)
    match = made.match("/users")
    assert match is not None
    assert match.methods == {"GET": 1, "POST": 2, None: 3}
    assert [match.pick(method) for method in ("GET", "HEAD", "POST", "PUT")] == [1, 1, 2, 3]
    assert len(made) == 3


def test_pick_prefers_head_itself_and_says_none() -> None:
    assert Match({"GET": 1, "HEAD": 2}, {}, "/").pick("HEAD") == 2
    assert Match({"POST": 1}, {}, "/").pick("HEAD") is None
    assert Match({"POST": 1}, {}, "/").pick("GET") is None


def test_a_method_goes_to_the_best_pattern_that_answers_it() -> None:
    made: Table[str] = Table()
    made.add("/users/me", "GET", "me")
    made.add("/users/[id]", "POST", "id")
    made.add("/[...]", None, "rest")
    assert found(made, "/users/me", "GET") == ("/users/me", {})
    assert found(made, "/users/me", "HEAD") == ("/users/me", {})
    assert found(made, "/users/me", "POST") == ("/users/[id]", {"id": "me"})
    assert found(made, "/users/me", "PUT") == ("/[...]", {"_": "users/me"})
    assert found(made, "/users/me") == ("/users/me", {})


def test_where_nothing_answers_a_method_the_best_pattern_is_told() -> None:
    made: Table[str] = Table()
    made.add("/users/me", "GET", "me")
    made.add("/users/[id]", "POST", "id")
    match = made.match("/users/me", "PUT")
    assert match is not None
    assert match.pattern == "/users/me"
    assert allowed_methods(match.methods) == ["GET", "HEAD"]


def test_methods_of_one_shape_may_name_their_parameters_differently() -> None:
    made: Table[str] = Table()
    made.add("/users/[id]/[n]", "GET", "get")
    made.add("/users/[slug]/[n]", "POST", "post")
    assert found(made, "/users/1/2", "GET") == ("/users/[id]/[n]", {"id": "1", "n": "2"})
    assert found(made, "/users/1/2", "HEAD") == ("/users/[id]/[n]", {"id": "1", "n": "2"})
    assert found(made, "/users/1/2", "POST") == ("/users/[slug]/[n]", {"slug": "1", "n": "2"})
    assert found(made, "/users/1/2") == ("/users/[id]/[n]", {"id": "1", "slug": "1", "n": "2"})


@pytest.mark.parametrize(
    ("first", "second"),
    [("/users", "/users/"), ("/users/[id]", "/users/[slug]"), ("/[...]", "/[...rest]"), ("/:id", "/[id]")],
)
def test_one_route_from_two_sources_is_an_error_that_names_both(first: str, second: str) -> None:
    made: Table[int] = Table()
    made.add(first, "GET", 1, "one.py")
    made.add(second, "POST", 2, "two.py")
    with pytest.raises(RouteError, match=r"one\.py and three\.py both answer GET /"):
        made.add(second, "GET", 3, "three.py")
    assert [route.value for route in made] == [1, 2]


def test_two_routes_for_any_method_are_an_error() -> None:
    made = table("/a")
    with pytest.raises(RouteError, match=r"/a\.py and b\.py both answer any method of /a"):
        made.add("/a", None, "b", "b.py")


def test_a_method_is_a_word_in_capitals() -> None:
    made: Table[int] = Table()
    made.add("/chat", "WEBSOCKET", 1)
    with pytest.raises(RouteError, match=r"b\.py: a method is a word in capitals such as GET, not 'get'"):
        made.add("/b", "get", 1, "b.py")


def test_lists_its_routes() -> None:
    made: Table[int] = Table()
    made.add("/users/:id", "GET", 1, "a.py")
    made.add("/**", None, 2, "b.py")
    assert [tuple(route) for route in made] == [
        ("/users/[id]", "GET", 1, "a.py"),
        ("/[...]", None, 2, "b.py"),
    ]


@pytest.mark.parametrize(
    ("written", "bracket"),
    [
        ("/", "/"),
        ("/users/", "/users"),
        ("/users/:id", "/users/[id]"),
        ("/:a/x/:b-c", "/[a]/x/[b-c]"),
        ("/*", "/[_]"),
        ("/files/**", "/files/[...]"),
        ("/files/**:path", "/files/[...path]"),
        ("/[...]", "/[...]"),
        ("/v1/items:batch", "/v1/items:batch"),
    ],
)
def test_normalises_patterns(written: str, bracket: str) -> None:
    assert format_pattern(parse_pattern(written)) == bracket
    assert format_pattern(parse_pattern(bracket)) == bracket


def test_shapes_leave_out_names() -> None:
    assert shape_of(parse_pattern("/a/[id]/[...rest]")) == "/a/[]/[...]"
    assert shape_of(parse_pattern("/a/[x]/**")) == "/a/[]/[...]"
    assert shape_of(parse_pattern("/")) == "/"


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("users", "must start with a slash"),
        ("", "must start with a slash"),
        ("//", "not a segment"),
        ("/a//b", "not a segment"),
        ("/a/./b", "not a segment"),
        ("/../b", "not a segment"),
        ("/[[id]]", "optional parameters are not supported"),
        ("/[[...slug]]", "optional parameters are not supported"),
        ("/[id", "bracket without its counterpart"),
        ("/id]", "bracket without its counterpart"),
        ("/]id[", "bracket without its counterpart"),
        ("/[a][b]", "several parameters in one segment"),
        ("/[a]-[b]", "several parameters in one segment"),
        ("/[id].xml", "mixes text and a parameter"),
        ("/x[id]", "mixes text and a parameter"),
        ("/[]", "a parameter's name is"),
        ("/[a b]", "a parameter's name is"),
        ("/[..a]", "a parameter's name is"),
        ("/[....]", "a parameter's name is"),
        ("/:", "a parameter's name is"),
        ("/:id?", "a parameter's name is"),
        (r"/:id(\d+)", "a parameter's name is"),
        ("/**:", "a parameter's name is"),
        ("/{id}", r"written '\[id\]' here"),
        ("/<id>", r"written '\[id\]' here"),
        ("/a*b", "has the character '\\*'"),
        ("/a?b=c", "has the character '\\?'"),
        ("/a#b", "has the character '#'"),
        ("/a\\b", "has the character"),
        ("/a\x00b", "has the character"),
        ("/a\udc80", "has the character"),
        ("/[id]/x/[id]", "two parameters called 'id'"),
        ("/*/**", "two parameters called '_'"),
        ("/[...a]/b", "goes on after its catch-all"),
        ("/**/[b]", "goes on after its catch-all"),
    ],
)
def test_refuses_patterns_with_a_sentence(pattern: str, says: str) -> None:
    with pytest.raises(RouteError, match=says):
        table(pattern)


@pytest.mark.parametrize(
    ("key", "parsed"),
    [
        ("/ws/chat", (None, "/ws/chat")),
        ("GET /sse", ("GET", "/sse")),
        ("post  /users/:id", ("POST", "/users/[id]")),
        (" /a ", (None, "/a")),
    ],
)
def test_parses_route_keys(key: str, parsed: tuple[str | None, str]) -> None:
    assert parse_route_key(key) == parsed


@pytest.mark.parametrize(
    "key", ["", "sse", "GET", "GET sse", "GET /a b", "FETCH /a", "WEBSOCKET /a", "/a GET"]
)
def test_refuses_route_keys(key: str) -> None:
    with pytest.raises(RouteError, match="the route "):
        parse_route_key(key)


def test_allowed_methods() -> None:
    assert allowed_methods(["POST", "GET"]) == ["GET", "HEAD", "POST"]
    assert allowed_methods(["DELETE", "WEBSOCKET"]) == ["DELETE"]
    assert allowed_methods([None, "GET"]) == list(METHODS)


def best_by_definition(patterns: list[str], path: str) -> str | None:
    """Return the best pattern as the rule says it: compare segment by segment, from the left."""
    body = path[1:]
    parts = (body[:-1] if body.endswith("/") else body).split("/") if body else []
    ranked: list[tuple[tuple[int, ...], str]] = []
    for pattern in patterns:
        segments = parse_pattern(pattern)
        rank = []
        for index, segment in enumerate(segments):
            if segment.kind == "tail":
                rank.append(2)
                ranked.append((tuple(rank), pattern))
                break
            if index >= len(parts):
                break
            if segment.kind == "static" and segment.text == parts[index]:
                rank.append(0)
            elif segment.kind == "param" and parts[index]:
                rank.append(1)
            else:
                break
        else:
            if len(segments) == len(parts):
                ranked.append((tuple(rank), pattern))
    return min(ranked)[1] if ranked else None


def test_agrees_with_the_definition_on_random_tables() -> None:
    chance = random.Random(7)
    for _ in range(300):
        shapes: dict[str, str] = {}
        for _ in range(chance.randrange(1, 12)):
            kinds = [chance.choice(["a", "b", "[{}]"]) for _ in range(chance.randrange(0, 5))]
            if chance.random() < 0.3:
                kinds.append("[...t]")
            pattern = "/" + "/".join(kind.format(f"p{place}") for place, kind in enumerate(kinds))
            shapes[shape_of(parse_pattern(pattern))] = pattern
        made = table(*shapes.values())
        for _ in range(30):
            path = "/" + "/".join(chance.choice(["a", "b", "c"]) for _ in range(chance.randrange(0, 6)))
            match = made.match(path)
            best = best_by_definition(list(shapes.values()), path)
            assert (match and match.pattern) == best, (path, shapes)


def lines_run(made: Table[str], path: str) -> int:
    """Return how many lines of Python a match runs: work, without a clock."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert made.match(path) is None
    finally:
        sys.settrace(before)
    return count


def nasty(depth: int) -> Table[str]:
    """Return patterns that all begin alike for the path /a/a/a/...: each choice leads on, none to the end."""
    patterns = []
    for turn in range(depth):
        kinds = [f"[p{place}]" if place >= turn else "a" for place in range(depth)]
        patterns += ["/" + "/".join([*kinds, "end"]), "/" + "/".join([*kinds[::-1], "fin"])]
    return table(*patterns)


def test_backtracking_is_bounded_by_the_table() -> None:
    sizes = {}
    for depth in (16, 32, 64):
        made = nasty(depth)
        segments = sum(len(parse_pattern(route.pattern)) for route in made)
        sizes[depth] = lines_run(made, "/a" * depth + "/no") / segments
    assert sizes[32] < 1.3 * sizes[16]
    assert sizes[64] < 1.3 * sizes[32]


def test_all_ways_at_every_segment_cost_no_more_than_the_nodes() -> None:
    costs = []
    for depth in (6, 7, 8):
        ways = itertools.product(["a", "[{}]"], repeat=depth)
        made = table(
            *(
                "/" + "/".join(kind.format(f"p{place}") for place, kind in enumerate(way)) + "/z"
                for way in ways
            )
        )
        costs.append(lines_run(made, "/a" * depth + "/no"))
    assert costs[1] < 2.2 * costs[0]
    assert costs[2] < 2.2 * costs[1]


def test_a_long_path_costs_no_more_python_than_a_short_one() -> None:
    made = table("/a/[x]/[y]/b")
    assert lines_run(made, "/a" * 4000) <= lines_run(made, "/a" * 5)


def test_a_pattern_may_be_as_deep_as_it_likes() -> None:
    depth = 3000
    made = table("/a" * depth + "/[id]")
    assert found(made, "/a" * depth + "/7") == ("/a" * depth + "/[id]", {"id": "7"})
