"""The hint at the fifth event stream of an address."""

from __future__ import annotations

import logging

import pytest

from longwave.inspector.activity import Activity, Closed, Connection, Kind, Opened, Requested
from longwave.inspector.hint import hint_at_many_streams
from tests.inspector.test_activity import Other


def opened(activity: Activity, host: str | None, kind: Kind = "stream") -> Connection:
    address = None if host is None else (host, 1)
    connection = Connection("1", kind, "GET", "/", address, Other())
    activity.tell(Opened(connection))
    return connection


@pytest.fixture
def activity() -> Activity:
    activity = Activity()
    hint_at_many_streams(activity)
    return activity


def test_once_for_each_address(activity: Activity, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "longwave.dev"):
        for _ in range(4):
            opened(activity, "10.0.0.1")
            opened(activity, "10.0.0.2")
        activity.tell(Requested("GET", "/", 200, 0.1, ("10.0.0.1", 1)))
        assert caplog.messages == []
        opened(activity, "10.0.0.1")
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("5 event streams are open from 10.0.0.1: ")
        opened(activity, "10.0.0.1")
        assert len(caplog.messages) == 1
        opened(activity, "10.0.0.2")
        assert len(caplog.messages) == 2


def test_those_that_end_do_not_count(activity: Activity, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "longwave.dev"):
        for _ in range(20):
            activity.tell(Closed(opened(activity, "10.0.0.1"), 1001, "", 0.1))
            opened(activity, "10.0.0.1", "websocket")
            opened(activity, None)
    assert caplog.messages == []
