"""Who hears of what happens, and how a connection is closed."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from longwave.contract import Session
from longwave.core.frames import WS
from longwave.inspector.activity import Activity, Connection, Happening, Requested
from tests.app.harness import FakeLink

REQUEST = Requested("GET", "/", 200, 0.1, None)


class Other:
    """The session of another application, that says nothing of itself."""

    def __getattr__(self, name: str) -> Any:
        if name in ("channels", "namespace", "user", "protocol"):
            raise AttributeError(name)
        return lambda *arguments: None


def test_subscribers_come_and_go() -> None:
    activity = Activity()
    heard: list[Happening] = []
    followed = [activity.is_followed]
    end = activity.subscribe(heard.append)
    followed.append(activity.is_followed)
    activity.tell(REQUEST)
    end()
    end()
    activity.tell(REQUEST)
    assert heard == [REQUEST] and [*followed, activity.is_followed] == [False, True, False]


def test_one_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    activity = Activity()
    heard: list[Happening] = []

    def fail(happening: Happening) -> None:
        raise KeyError("x")

    activity.subscribe(fail)
    activity.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "longwave.error"):
        activity.tell(REQUEST)
    assert heard == [REQUEST] and "whoever shows what goes on failed" in caplog.text


def test_a_session_that_tells_nothing_of_itself() -> None:
    session: Session = Other()
    connection = Connection("1", "websocket", "GET", "/x", None, session)
    assert (connection.topics, connection.namespace, connection.user, connection.protocol) == (
        [],
        None,
        None,
        None,
    )
    assert connection.buffered == 0 and connection.age >= 0
    connection.close()
    link = FakeLink(WS)
    connection.attach(link)
    connection.close(4000, "x")
    assert link.closed_with == (4000, "x")
