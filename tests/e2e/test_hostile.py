"""Clients that are slow, dead or greedy: each is let go of in time, and costs no more than its bound.

Checks 15, 16 and 18.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from bench.robustness.memory import Hostile, Unfinished, fragments, unfinished
from bench.robustness.slow import Kept, dead_peers, slow_requests
from tests.conftest import FULL
from tests.e2e.measuring import TOLERANCE, measuring, once_more, scenario
from tests.e2e.probe import MIB, Probe
from tests.e2e.wire import measured

KIB = 1024
TIMES = {"header": 10.0, "body": 20.0, "ping": 20.0, "pong": 10.0, "close": 5.0}
"""The time-outs as they come; a tenth of them where the run is short."""
if not FULL:
    TIMES = {name: seconds / 10 for name, seconds in TIMES.items()}
LATE = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    settings = {f"timeouts.{name}": seconds for name, seconds in TIMES.items()}
    with measuring(tmp_path_factory.mktemp("hostile"), settings) as probe:
        yield probe


@pytest.mark.timeout(120)
def test_slow_requests_are_ended_in_time(server: Probe, length: Callable[[int], int]) -> None:
    count = length(500)
    limits = {
        "slow header": TIMES["header"],
        "slow body": TIMES["body"],
        "silent TCP": TIMES["header"],
        "unfinished handshake": TIMES["header"],
    }
    pace = 1.0 if FULL else 0.1
    patience = max(limits.values()) + 2 * LATE

    # Not before its time: a client may be as slow as that.
    earliest = {name: limit - 0.6 * TIMES["header"] / 10 for name, limit in limits.items()}

    def passed() -> Counter[str]:
        return Counter({name: server.passed(f"timeouts.{name}") for name in ("header", "body")})

    def measure() -> tuple[dict[str, Kept], Counter[str]]:
        before = passed()
        kinds = scenario(server, lambda target: slow_requests(target, count, patience, pace), 50)
        return kinds, passed() - before

    # On a busy machine it may be us who are late, even with what is to be sent at once.
    kinds, counted = once_more(
        measure,
        lambda result: all(
            earliest[name] <= kept.first and kept.last <= limits[name] + LATE
            for name, kept in result[0].items()
        ),
    )
    for name, kept in kinds.items():
        measured(f"seconds for the last of {name}", kept.last)
        assert kept.answers == {408: count}, name
        assert kept.first >= earliest[name], name
        assert kept.last <= limits[name] + LATE * TOLERANCE, name
    assert counted == {"header": 3 * count, "body": count}


@pytest.mark.timeout(120)
def test_dead_peers_are_let_go_of_in_time(server: Probe, length: Callable[[int], int]) -> None:
    count = length(500)
    silence = TIMES["ping"] + TIMES["pong"]
    limits = {"no pong": silence, "blackholed": silence, "close not answered": TIMES["close"]}

    def measure() -> dict[str, Kept]:
        return scenario(server, lambda target: dead_peers(target, count, silence + 2 * LATE), 60)

    def heard() -> Counter[str]:
        return Counter(server.ask("GET", "/bench/closed"))

    before, cut = heard(), server.passed("timeouts.pong")
    kinds = once_more(
        measure, lambda kinds: all(kept.last <= limits[name] + LATE for name, kept in kinds.items())
    )
    for name, kept in kinds.items():
        measured(f"seconds for the last of {name}", kept.last)
        assert len(kept.seconds) == count, name
        assert kept.first >= 0.75 * limits[name], name
        assert kept.last <= limits[name] + LATE * TOLERANCE, name
    assert kinds["close not answered"].answers == {4000: count}
    # The close hooks were told once each, and what was.
    rounds = (server.passed("timeouts.pong") - cut) // (2 * count)
    assert rounds in (1, 2, 3)
    assert heard() - before == {"1006": 2 * count * rounds, "4000": count * rounds}


def test_a_million_fragments(server: Probe, length: Callable[[int], int]) -> None:
    def measure() -> Hostile:
        before = server.passed("limits.fragments")
        result = scenario(server, lambda target: fragments(target, length(1_000_000)), 30)
        assert server.passed("limits.fragments") == before + 1
        return result

    result = once_more(measure, lambda result: result.seconds <= 1)
    measured("bytes grown", result.grown)
    assert result.code == 1008
    assert result.grown <= 2 * MIB
    assert result.seconds <= 1 * TOLERANCE


@pytest.mark.timeout(120)
def test_unfinished_messages_of_many(tmp_path_factory: pytest.TempPathFactory) -> None:
    """At full size in each run: it takes three seconds."""
    connections, held = 1000, int(0.9 * MIB)
    bound = 256 * MIB

    with measuring(tmp_path_factory.mktemp("unfinished")) as server:
        left = 0
        for again in (1, 2):
            result: Unfinished = scenario(server, lambda target: unfinished(target, connections, held), 50)
            measured("MiB grown", result.grown / MIB)
            measured("MiB left", result.left / MIB)
            kept = result.codes[None]
            # As many as fit are left alone; the others were closed.
            assert result.codes == {1009: connections - kept, None: kept}
            # The bound is for the memory that they take, which is more than their bytes.
            assert 0.8 * bound < kept * held <= bound
            # What the allocator has not given back since the last time is used again.
            assert left + result.grown <= 1.1 * bound
            assert server.passed("limits.unfinished_total") == again * (connections - kept)
            left += result.left
