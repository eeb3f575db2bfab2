"""What is measured: the rows, who takes part in each, and what was wanted of it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench import measure
from bench.kit import Kit
from bench.measure import Sample
from bench.process import Tree
from bench.servers import OURS

__all__ = ["QUICK", "QUICK_SERVERS", "ROWS", "Bound", "Row", "Target"]

Measure: TypeAlias = Callable[[Kit, Tree, Sequence[str], float], Sample]


@dataclass(frozen=True, slots=True)
class Target:
    """How many times better than a server to be: what to reach, and what to aim for then."""

    against: str
    reach: float | None
    aim: float | None = None
    figure: str = "rate"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure of ours may be at most."""

    figure: str
    reach: float
    aim: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work; `wants` is what a server that serves one thing only is told to serve."""

    name: str
    title: str
    group: str
    servers: tuple[str, ...]
    arguments: tuple[str, ...]
    wants: str = ""
    targets: tuple[Target, ...] = ()
    bounds: tuple[Bound, ...] = ()
    measure: Measure = measure.rate
    rounds: int = 11
    fresh: bool = False
    """Whether each round has a server of its own."""
    subject: str = OURS
    """Whom the others are compared with."""
    cost: float = 1.6
    """Seconds that one measurement of one second takes in all."""
    at: int = 0
    """Where a row is a point of a series: its place."""


FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
MANY = 19_000 if FILES == resource.RLIM_INFINITY else min(19_000, FILES - 200)
"""As many connections as the limit of open files has room for."""
SCALE = (100, 1_000, 10_000)
BESIDE = (
    ("idle", "idle connections", "/ws/echo"),
    ("topics", "other topics", "/ws/topic/%d"),
    ("spaces", "other namespaces", "/ws/space/%d"),
)
HOLD = Bound("bytes", 6 * 1024, 3 * 1024)

ECHO = ("echo", "--path", "/ws/echo", "--clients", "64")
CHAT = ("chat", "--path", "/ws/chat", "--clients", "32")
MIXED = ("mixed", "--path", "/ws/room", "--sse-path", "/sse", "--clients", "100")
JSON = ("http", "--path", "/json", "--clients", "64")
IDLE = ("--clients", "3000")


def _room(count: int, *more: str, path: str = "/ws/room") -> tuple[str, ...]:
    return ("fanout", "--path", path, "--clients", str(count), *more)


def _streams(count: int) -> tuple[str, ...]:
    return ("sse", "--sse-path", "/sse", "--clients", str(count), "--size", "64")


CROSSWS = ("crossws-node", "crossws-bun")
H3 = ("h3-node", "h3-bun")
PYTHON = ("uvloop", "starlette", "granian", "picows")
ALL = (OURS, "limit", *PYTHON, *CROSSWS)
SSE = ("sse-starlette", "fastapi", *H3, "bun")
ASGI = ("uvicorn-longwave", "starlette", "granian-longwave", "granian-starlette")
FEW = (OURS, "limit", "starlette", "crossws-bun")

ECHO_TARGETS = (
    Target("starlette", 3),
    Target("crossws-node", 1.5),
    Target("crossws-bun", 0.7, 1.0),
    Target("picows", 0.8),
)
FANOUT_TARGETS = (
    Target("starlette", 2),
    Target("starlette", 5, figure="user"),
    Target("crossws-bun", 0.85, 1.0),
    Target("limit", None, 0.95),
)
CHAT_TARGETS = (Target("crossws-node", 4), Target("starlette", 6), Target("crossws-bun", 0.75, 1.3))
STREAM_TARGETS = (
    Target("sse-starlette", 6),
    Target("fastapi", 20),
    Target("h3-bun", 1.1),
    Target("bun", None, 0.95),
)
HTTP_TARGETS = (Target("fastapi", 1.5), Target("starlette", 1.0), Target("h3-node", None, 1.0))


def _main() -> Iterator[Row]:
    without_granian = (OURS, "limit", "starlette", "picows", *CROSSWS)
    piped = (Target("crossws-bun", 0.9, 1.2),)
    many_in_flight = (Target("starlette", 8), Target("crossws-bun", 0.75, 1.0))
    both = (Target("starlette", 2), Target("h3-bun", 1.1))
    yield Row("echo-32", "echo, 64 clients, 32 B", "main", ALL, ECHO, "echo", ECHO_TARGETS)
    large, deep = (*ECHO, "--size", "4096"), (*ECHO, "--depth", "8")
    yield Row("echo-4k", "echo, 64 clients, 4 KB", "main", without_granian, large, "echo", ECHO_TARGETS)
    yield Row("echo-8", "echo, 64 clients, eight pipelined", "main", without_granian, deep, "echo", piped)
    title = "fan-out, 200 subscribers, one in flight"
    yield Row("fanout-200", title, "main", ALL, _room(200), "room", FANOUT_TARGETS)
    title = "fan-out, 1 000 subscribers, one in flight"
    yield Row("fanout-1000", title, "main", FEW, _room(1000), "room", FANOUT_TARGETS)
    title = "fan-out, 200 subscribers, eight in flight"
    yield Row("fanout-200-8", title, "main", ALL, _room(200, "--depth", "8"), "room", many_in_flight)
    title = "the chat, 32 clients in one room, JSON"
    yield Row("chat", title, "main", (OURS, "limit", "starlette", *CROSSWS), CHAT, "chat", CHAT_TARGETS)
    for count in (200, 1000):
        title = f"event streams, {count}, 64 B"
        servers = (OURS, "limit", "uvloop", *SSE)
        yield Row(f"sse-{count}", title, "main", servers, _streams(count), "sse", STREAM_TARGETS)
    title = "100 WebSockets and 100 event streams on one topic"
    yield Row("mixed", title, "main", (OURS, "starlette", *H3), MIXED, "mixed", both)
    several = (OURS, "limit", "starlette", "fastapi", *H3)
    yield Row("http", "HTTP, JSON, 64 keep-alive clients", "main", several, JSON, "http", HTTP_TARGETS)


def _asgi() -> Iterator[Row]:
    subject = ASGI[0]
    level = (Target("starlette", 1.0),)
    loop = (Target("starlette", 0.6, 1.0),)
    yield Row("asgi-echo", "echo, 64 clients, 32 B", "asgi", ASGI, ECHO, "echo", level, subject=subject)
    title = "fan-out, 200 subscribers, one in flight"
    yield Row("asgi-fanout", title, "asgi", ASGI, _room(200), "room", loop, subject=subject)


def _series() -> Iterator[Row]:
    for count in SCALE:
        cost = 2 + count / 3000
        title = f"{count} subscribers, one in flight"
        yield Row(f"scale-{count}", title, "scale", FEW, _room(count), "room", rounds=5, cost=cost, at=count)
    for name, what, path in BESIDE:
        for count in SCALE:
            more = _room(100, "--beside", str(count), "--beside-path", path)
            yield Row(
                f"{name}-{count}",
                f"100 subscribers beside {count} {what}",
                f"beside {what}",
                (OURS, "crossws-bun"),
                more,
                "paths",
                rounds=3,
                cost=2 + count / 3000,
                at=count,
            )
    servers = (OURS, "starlette", *CROSSWS)
    title = "one subscriber in 1 000 topics, each published to in turn"
    many = _room(1, path="/ws/many")
    yield Row("many-topics", title, "topics", servers, many, "many", rounds=5)
    title = "one subscriber in one topic, for comparison"
    yield Row("one-topic", title, "topics", servers, _room(1), "room", rounds=5)


def _rest() -> Iterator[Row]:
    title = "100 subscribers, 1 KB, at a fixed pace"
    yield Row(
        "latency",
        title,
        "latency",
        (OURS, "limit", "starlette", "picows", *CROSSWS),
        _room(100, "--size", "1024"),
        "room",
        measure=measure.latency,
        rounds=3,
        cost=9.5,
    )
    yield Row(
        "slow",
        "100 subscribers, 8 KB, at a fixed pace",
        "slow",
        (OURS, "starlette", "picows", *CROSSWS),
        _room(100, "--size", "8192"),
        "room",
        measure=measure.slow,
        rounds=3,
        cost=11,
    )
    held: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, str]] = {
        "memory-websocket": ((*ALL[:1], *ALL[2:]), ("--path", "/ws/echo", *IDLE), "echo", "WebSockets"),
        "memory-stream": ((OURS, "uvloop", *SSE), ("--streams", *IDLE), "sse", "event streams"),
    }
    for name, (servers, arguments, wants, what) in held.items():
        yield Row(
            name,
            f"3 000 idle {what}",
            "memory",
            servers,
            arguments,
            wants,
            bounds=(HOLD,),
            measure=measure.memory,
            rounds=3,
            fresh=True,
            cost=3,
        )
    yield Row(
        "reach",
        f"{MANY} WebSockets in one worker, all reached by each publish",
        "reach",
        (OURS, "starlette", "crossws-bun"),
        _room(MANY, "--probe", "/ws/echo"),
        "paths",
        bounds=(Bound("stall p99", 250_000),),
        measure=measure.reach,
        rounds=3,
        fresh=True,
        cost=18,
    )


ROWS = (*_main(), *_asgi(), *_series(), *_rest())
"""All rows, in their order."""

QUICK = ("echo-32", "fanout-200", "fanout-200-8", "chat", "sse-200", "http")
QUICK_SERVERS = (OURS, "limit", "starlette", "sse-starlette", "crossws-bun", "h3-bun")
"""Who takes part where it has to be quick."""
