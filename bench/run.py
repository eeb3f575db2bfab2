"""Runs rows: servers on one core, clients on another, round by round, with the order rotated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from bench.kit import ROOT, Kit
from bench.measure import Failed, rate
from bench.process import Cores, Tree, free_port, running
from bench.results import Outcome
from bench.rows import Row
from bench.servers import SERVERS, Server

__all__ = ["estimate", "run_row"]

WARM = 1.0
"""Seconds of work for each server before the first round: some compile what they run often."""
START = 1.3
"""Seconds that a start and a warm-up take beside that, for the estimate."""


def estimate(rows: Iterable[Row], servers: Sequence[str], rounds: int | None, seconds: float) -> float:
    """Return how many seconds the rows will take, about."""
    total = 0.0
    for row in rows:
        count = sum(not servers or name in servers for name in row.servers)
        times = rounds or row.rounds
        total += count * (times * (row.cost - 1 + seconds) + START * (times if row.fresh else 1) + WARM)
    return total


def run_row(
    kit: Kit,
    row: Row,
    names: Sequence[str],
    rounds: int,
    seconds: float,
    where: Cores,
    tell: Callable[[str], None],
) -> dict[str, Outcome]:
    """Measure the servers of a row, all within each round; returns what came of each."""
    outcomes = {name: Outcome(error=kit.missing.get(SERVERS[name].needs, "")) for name in names}
    with ExitStack() as stack:
        trees = {} if row.fresh else _start_all(stack, kit, row, outcomes, where)
        for number in range(rounds):
            order = [name for name in names if (row.fresh and not outcomes[name].error) or name in trees]
            turn = number % len(order) if order else 0
            for name in order[turn:] + order[:turn]:
                outcome = outcomes[name]
                try:
                    if row.fresh:
                        with _server(kit, SERVERS[name], row, where) as tree:
                            outcome.samples[number] = row.measure(kit, tree, row.arguments, seconds)
                    else:
                        outcome.samples[number] = row.measure(kit, trees[name], row.arguments, seconds)
                except (Failed, RuntimeError) as error:
                    outcome.error = str(error)
                    trees.pop(name, None)
                    tell(f"  {row.name}, {name}, round {number + 1}: {error}")
    return outcomes


def _start_all(
    stack: ExitStack, kit: Kit, row: Row, outcomes: Mapping[str, Outcome], where: Cores
) -> dict[str, Tree]:
    trees = {}
    for name, outcome in outcomes.items():
        if outcome.error:
            continue
        try:
            trees[name] = stack.enter_context(_server(kit, SERVERS[name], row, where))
            rate(kit, trees[name], row.arguments, WARM)
        except (Failed, RuntimeError) as error:
            outcome.error = str(error)
            trees.pop(name, None)
    return trees


@contextmanager
def _server(kit: Kit, server: Server, row: Row, where: Cores) -> Iterator[Tree]:
    port = free_port()
    command = server.command(kit, port, row.wants)
    with running(command, port, where, ROOT, {"NODE_ENV": "production"}) as tree:
        yield tree
