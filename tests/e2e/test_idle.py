"""Thousands of WebSockets that say nothing: what they cost (check 12)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.robustness.idle import Idle, idle
from tests.conftest import FULL
from tests.e2e.measuring import TOLERANCE, measuring, once_more, scenario
from tests.e2e.wire import measured

COUNT = 5000
KIB = 1024


@pytest.mark.timeout(200)
def test_idle_websockets_cost_little(
    tmp_path_factory: pytest.TempPathFactory, length: Callable[[int], int]
) -> None:
    # All the connections in each run, since memory per connection is measured best so. A tenth of the time
    # has the same number of pings when each connection is pinged ten times as often.
    seconds, ping = length(60), 20 if FULL else 2
    settings = {"timeouts.ping": ping, "timeouts.close": 0.5}
    with measuring(tmp_path_factory.mktemp("idle"), settings) as server:
        before = server.passed("timeouts.pong")

        def measure() -> Idle:
            return scenario(server, lambda target: idle(target, COUNT, seconds), 45 + seconds)

        # Ten times the pings a second may cost ten times as much.
        busy = 0.02 if FULL else 0.2
        result = once_more(measure, lambda result: result.opened_in <= 10 and result.cpu <= busy)
        measured("seconds to open", result.opened_in)
        measured("bytes each", result.bytes_each)
        measured("share of a processor", result.cpu)
        assert result.left == COUNT
        assert result.pings >= 2 * COUNT
        assert result.bytes_each <= 6 * KIB
        assert result.opened_in <= 10 * TOLERANCE
        assert result.cpu <= busy * TOLERANCE
        assert server.passed("timeouts.pong") == before
        # The memory is there for the next ones: the same again costs nothing more.
        rss = server.rss()
        scenario(server, lambda target: idle(target, COUNT, 0.1), 45)
        measured("bytes each, the second time", (server.rss() - rss) / COUNT)
        assert server.rss() - rss <= COUNT * KIB
