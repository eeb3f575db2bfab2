"""Every limit and time-out, row by row: documented, explained, counted, and passed by a test over sockets."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from pathlib import Path

import pytest
from msgspec.structs import fields

from longwave import create_app
from longwave.cli.main import main
from longwave.limits import COUNTERS, Limits, Timeouts
from longwave.server.worker import Server, ServerOptions
from tests.docs.test_pages import read, table
from tests.server.fake_app import FakeApp

REQUESTS = "tests.e2e.test_limits"
TIMES = "tests.e2e.test_timeouts"
MESSAGES = "tests.e2e.test_message_limits"
SLOW = "tests.e2e.test_slow_clients"

PASSED = {
    "limits.request_line": f"{REQUESTS}:test_requests_at_a_limit_and_past_it",
    "limits.headers": f"{REQUESTS}:test_requests_at_a_limit_and_past_it",
    "limits.header_count": f"{REQUESTS}:test_requests_at_a_limit_and_past_it",
    "limits.body": f"{REQUESTS}:test_requests_at_a_limit_and_past_it",
    "limits.pipeline": f"{REQUESTS}:test_many_pipelined_requests_wait",
    "limits.connections": "tests.e2e.test_load:test_the_cap_holds_in_a_crowd",
    "limits.connections_per_address": f"{REQUESTS}:test_the_cap_per_address",
    "limits.messages_per_turn": f"{MESSAGES}:test_a_client_has_its_share_of_messages",
    "limits.message": f"{MESSAGES}:test_messages_at_a_limit_and_past_it",
    "limits.fragments": f"{MESSAGES}:test_messages_at_a_limit_and_past_it",
    "limits.outgoing": f"{SLOW}:test_a_slow_peer_is_closed",
    "limits.outgoing_total": f"{SLOW}:test_all_outgoing_buffers_together",
    "limits.backplane": "tests.e2e.test_workers:test_a_stalled_worker_holds_up_no_other",
    "limits.unfinished_total": f"{MESSAGES}:test_all_unfinished_messages_together",
    "limits.waiting_messages": "tests.e2e.test_backpressure:test_a_slow_hook_slows_its_client_down",
    "limits.message_rate": f"{MESSAGES}:test_messages_per_second",
    "limits.topics_per_peer": f"{MESSAGES}:test_topics",
    "limits.topic_length": f"{MESSAGES}:test_topics",
    "timeouts.header": f"{TIMES}:test_slow_requests_are_told_so",
    "timeouts.body": f"{TIMES}:test_slow_requests_are_told_so",
    "timeouts.keep_alive": f"{TIMES}:test_an_idle_connection_is_closed",
    "timeouts.response": f"{TIMES}:test_who_takes_no_byte_of_a_response_is_cut",
    "timeouts.turn": f"{MESSAGES}:test_others_get_their_turn",
    "timeouts.upgrade": f"{TIMES}:test_an_upgrade_that_takes_too_long",
    "timeouts.ping": f"{TIMES}:test_who_answers_no_ping_is_cut",
    "timeouts.pong": f"{TIMES}:test_who_answers_no_ping_is_cut",
    "timeouts.close": f"{TIMES}:test_a_close_that_is_not_answered",
    "timeouts.shutdown": "tests.server.test_worker:test_stop_cuts_what_does_not_end",
    "timeouts.heartbeat": f"{TIMES}:test_a_silent_stream_has_a_heartbeat",
}
"""The test that passes each of them over real sockets, and looks at its counter."""


def test_the_names_are_those_of_the_settings() -> None:
    assert (
        *(f"limits.{field.name}" for field in fields(Limits)),
        *(f"timeouts.{field.name}" for field in fields(Timeouts)),
    ) == COUNTERS


@pytest.mark.parametrize("name", COUNTERS)
def test_it_has_a_row(name: str) -> None:
    """Its default is compared in tests/docs/test_pages.py."""
    default, what, under_asgi = table(read("limits.md"))[name]
    assert default and what
    assert under_asgi.split(",")[0].split()[0] in ("yes", "no", "the"), under_asgi


def test_config_explains_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--explain", str(tmp_path)]) == 0
    explained = dict(line.split(" = ", 1) for line in capsys.readouterr().out.splitlines() if " = " in line)
    for section, kind in (("limits", Limits), ("timeouts", Timeouts)):
        for field in fields(kind):
            value, source = explained[f"{section}.{field.name}"].split()
            assert (float(value), source) == (field.default, "default")


def test_all_are_counted() -> None:
    """By the application, with what the server below it counts, whichever that is."""

    async def counters() -> tuple[dict[str, int], dict[str, int]]:
        server = Server(FakeApp(), ServerOptions(port=0))
        await server.start()
        app = create_app(routes={})
        await app.startup()
        try:
            app.asgi  # noqa: B018, it is made when it is first asked for
            under_asgi = app.stats()
            app.server_stats = server.stats
            app.passed("timeouts.close")
            assert app.stats()["timeouts.close"] == 1
            app.server_stats = lambda: {**server.stats(), "timeouts.close": 2}
            assert app.stats()["timeouts.close"] == 3
            return under_asgi, app.stats()
        finally:
            await app.shutdown()
            await server.stop()

    under_asgi, ours = asyncio.run(counters())
    assert set(COUNTERS) <= set(under_asgi)
    assert set(COUNTERS) <= set(ours)
    assert not any(name.startswith("server.") for name in under_asgi)
    assert {"server.connections", "server.requests", "server.messages"} <= set(ours)
    assert not any(name.startswith(("server.limits", "server.timeouts")) for name in ours)


@pytest.mark.parametrize("name", COUNTERS)
def test_it_is_passed_over_sockets(name: str) -> None:
    module_name, _, function = PASSED[name].partition(":")
    module = importlib.import_module(module_name)
    assert callable(getattr(module, function, None)), f"{PASSED[name]} is gone"
    assert f'"{name}"' in inspect.getsource(module), f"{module_name} does not look at its counter"
