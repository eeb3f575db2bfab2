from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.suites.app import LOGGED
from tests.suites.ending import Ending, end_server
from tests.suites.link_suite import LinkSuite
from tests.suites.running import ROOT, RunningServer


@pytest.fixture(scope="class")
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """One process for all tests of a class; no line of ours may be in a traceback that it printed."""
    server = RunningServer(request.cls.name)
    server.wait_ready()
    try:
        yield server
    finally:
        output = server.stop().partition(LOGGED)[0]
    assert f'File "{ROOT}/longwave/' not in output, output
    # What uvicorn says of an application that breaks its protocol.
    assert "completing handshake" not in output, output


@pytest.fixture(scope="class")
def ending(request: pytest.FixtureRequest) -> Ending:
    """What became of a WebSocket and a stream when their server was asked to stop."""
    return asyncio.run(end_server(request.cls.name))


class TestLongwave(LinkSuite):
    name = "longwave"


class TestUvicorn(LinkSuite):
    name = "uvicorn"


class TestHypercorn(LinkSuite):
    name = "hypercorn"
