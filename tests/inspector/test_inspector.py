"""What a page is sent, and that nothing runs while nobody looks."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from longwave.app.hooks import define_websocket_handler
from longwave.app.route import route_of_value
from longwave.inspector.looker import FULL, MOST
from longwave.limits import Limits
from tests.app.harness import turn
from tests.inspector.harness import Look, Watched

CHAT = define_websocket_handler(
    open=lambda peer: peer.subscribe("room"), message=lambda peer, message: peer.publish("room", message)
)


def sent(look: Look) -> int:
    return len(look.link.written)


def test_a_page_is_greeted_and_then_told_each_second() -> None:
    async def check(watched: Watched) -> None:
        await watched.open()
        look = await watched.look()
        (hello,) = look.heard()
        assert hello["type"] == "hello" and hello["version"] and hello["mode"] == "development"
        assert hello["node"] == watched.app.node and hello["features"] == ["websocket"]
        assert hello["routes"] == [{"method": "GET", "pattern": "/ws", "kind": "websocket", "source": "/ws"}]
        await watched.clock.advance(0.1)
        assert len(look.heard("state")) == 1
        await watched.clock.advance(3.05)
        states = look.heard("state")
        assert len(states) == 4
        state = states[-1]
        assert state["counters"]["peers"] == 1 and state["limits"]["limits.message"] == 1024 * 1024
        assert state["limits"]["timeouts.close"] == watched.app.timeouts.close
        assert state["connections"] == {"total": 1, "matching": 0, "rows": []}
        assert state["topics"] == {"total": 1, "rows": []}
        assert (state["dropped"], state["loop_lag_ms"]) == (0, 0.0)
        look.leave()

    Watched({"/ws": CHAT}).run(check)


def test_nothing_runs_while_nobody_looks() -> None:
    async def check(watched: Watched) -> None:
        hub = watched.app.runtime.hub
        assert (watched.clock.waiting, watched.activity.is_followed) == (0, False)
        one, two = await watched.look(), await watched.look()
        two.say(do="view", tail={})
        assert (watched.clock.waiting, watched.activity.is_followed, "_append" in vars(hub)) == (
            1,
            True,
            True,
        )
        two.leave()
        assert (watched.clock.waiting, "_append" in vars(hub)) == (1, False)
        one.leave()
        assert (watched.clock.waiting, watched.activity.is_followed) == (0, False)
        count = sent(one)
        await watched.clock.advance(5.05)
        await watched.open()
        assert sent(one) == count

    Watched({"/ws": CHAT}).run(check)


def test_a_view_is_answered_by_a_state_of_it_at_once() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        await watched.clock.advance(0.1)
        session, _ = await watched.open()
        await watched.open("/ws?second")
        session.received("hello", True)
        look.say(do="view", connections={"sort": "received", "limit": 1}, topics={})
        await watched.clock.advance(0.1)
        assert len(look.heard("state")) == 2
        state = look.last("state")
        connections = state["connections"]
        assert (connections["total"], connections["matching"], len(connections["rows"])) == (2, 2, 1)
        (row,) = connections["rows"]
        assert (row["received"], row["received_bytes"], row["topics"], row["path"]) == (1, 5, ["room"], "/ws")
        assert row["address"] == "127.0.0.1:1234" and row["route"] == "/ws"
        (topic,) = state["topics"]["rows"]
        assert (topic["topic"], topic["namespace"], topic["subscribers"]) == ("room", "/ws", 2)
        look.say(do="view")
        await watched.clock.advance(0.1)
        assert look.last("state")["connections"] == {"total": 2, "matching": 0, "rows": []}
        look.leave()

    Watched({"/ws": CHAT}).run(check)


def test_rates_of_topics() -> None:
    async def check(watched: Watched) -> None:
        session, _ = await watched.open()
        await turn(2)
        look = await watched.look()
        look.say(do="view", topics={})
        for _ in range(3):
            session.received("x", True)
        watched.app.publish("room", "y")
        watched.app.publish("nobody", "y")
        await watched.clock.advance(1.15)
        (topic,) = look.last("state")["topics"]["rows"]
        assert (topic["publications"], topic["rate"]) == (4, 4.0)
        await watched.clock.advance(1.05)
        (topic,) = look.last("state")["topics"]["rows"]
        assert (topic["publications"], topic["rate"]) == (4, 0.0)
        look.leave()

    Watched({"/ws": CHAT}).run(check)


def test_the_tail_is_live_and_that_of_one_topic_or_all() -> None:
    async def check(watched: Watched) -> None:
        session, link = await watched.open()
        await turn(2)
        one, every = await watched.look(), await watched.look()
        one.say(do="view", tail={"topic": "room"})
        every.say(do="view", tail={})
        session.received("hello", True)
        watched.app.publish("other", b"\x00", namespace="/x")
        await turn()
        (found,) = one.heard("publication")
        assert (found["topic"], found["namespace"], found["text"]) == ("room", "/ws", "hello")
        assert (found["size"], found["subscribers"]) == (5, 1)
        assert [each["topic"] for each in every.heard("publication")] == ["room", "other"]
        assert every.last("publication")["base64"] == "AA=="
        one.say(do="view", tail=None)
        watched.app.publish("room", "again")
        await turn()
        assert len(one.heard("publication")) == 1
        assert link.messages == ["again"]
        one.leave()
        every.leave()

    Watched({"/ws": CHAT}).run(check)


def test_a_flood_is_cut_and_counted() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        look.say(do="view", tail={})
        for number in range(MOST + 50):
            watched.app.publish("room", str(number))
        assert len(look.heard("publication")) == MOST
        await watched.clock.advance(0.1)
        assert look.last("state")["dropped"] == 50
        watched.app.publish("room", "goes on")
        assert look.last("publication")["text"] == "goes on"
        for _ in range(MOST + 7):
            await watched.full("/nothing")
        assert len(look.heard("request")) == MOST
        await watched.clock.advance(1.05)
        assert look.last("state")["dropped"] == 7
        look.leave()

    Watched({}).run(check)


def test_a_page_that_does_not_read_is_sent_nothing_more() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        look.say(do="view", tail={})
        await watched.clock.advance(0.1)
        count = sent(look)
        look.link.buffered = FULL + 1
        watched.app.publish("room", "x")
        await watched.full("/nothing")
        await watched.clock.advance(3.05)
        assert sent(look) == count
        look.link.buffered = 0
        await watched.clock.advance(1.05)
        assert look.last("state")["dropped"] == 2
        look.leave()

    Watched({}).run(check)


def test_what_happens_is_told() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        session, _ = await watched.open("/ws?x=1")
        await watched.full("/nothing")
        session.closed(1001, "bye")
        told = [message for message in look.heard() if message["type"] not in ("hello", "state")]
        assert [message["type"] for message in told] == ["opened", "request", "closed"]
        assert told[0]["path"] == "/ws" and told[0]["id"] == told[2]["id"]
        assert (told[1]["status"], told[2]["code"], told[2]["reason"]) == (404, 1001, "bye")
        look.leave()

    Watched({"/ws": CHAT}).run(check)


def test_publish_and_close_by_hand() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        session, link = await watched.open()
        look.say(do="publish", topic="room", namespace="/ws", data={"a": [1]}, to=1)
        look.say(do="publish", topic="room", namespace="/elsewhere", data="x", to=2)
        look.say(do="publish", topic="room", data="all", to=3)
        await turn()
        assert link.messages == ['{"a":[1]}', "all"]
        look.say(do="close", id=watched.connection.id, code=4000, to=4)
        assert link.closed_with == (4000, "")
        look.say(do="close", id=watched.connection.id, to=5)
        assert [(each["to"], each["ok"]) for each in look.heard("answer")] == [
            (number, True) for number in range(1, 6)
        ]
        session.closed(4000, "")
        look.say(do="close", id="no such thing", to=6)
        assert look.last("answer") == {
            "type": "answer",
            "to": 6,
            "ok": False,
            "error": "there is no such connection: it has ended",
        }
        look.leave()

    Watched({"/ws": CHAT}).run(check)


@pytest.mark.parametrize(
    "message",
    [
        {"do": "publish", "topic": "", "data": 1},
        {"do": "publish", "topic": "x" * 100_000, "data": 1},
        {"do": "publish", "topic": "t", "data": None},
        {"do": "close", "id": "{id}", "code": 1005},
        {"do": "close", "id": "{id}", "code": 2**80},
        {"do": "shut down"},
        {"do": "view", "connections": {"limit": 10**9}},
    ],
    ids=str,
)
def test_a_wrong_message_is_answered_and_harms_nothing(message: dict[str, Any]) -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        _, link = await watched.open()
        if "id" in message:
            message["id"] = watched.connection.id
        look.say(**message, to=9)
        answered = look.last("answer")
        assert (answered["to"], answered["ok"]) == (9, False) and 0 < len(answered["error"]) <= 301
        assert link.closed_with is None and look.link.closed_with is None
        await watched.clock.advance(0.1)
        assert look.heard("state")
        look.leave()

    Watched({"/ws": CHAT}).run(check)


def test_numbers_that_cannot_be_sent_back() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        look.session.received(f'{{"do":"publish","topic":"t","data":{"9" * 400},"to":{"9" * 30}}}', True)
        look.session.received('{"do":"publish","topic":"t","data":' + "[" * 5000 + "]" * 5000 + "}", True)
        assert look.link.closed_with in (None, (1007, "expected a JSON object"))
        assert all(answer["to"] is None for answer in look.heard("answer"))
        look.leave()

    Watched({}).run(check)


def test_errors_of_before_and_now() -> None:
    def broken(event: Any) -> None:
        raise KeyError("x")

    async def check(watched: Watched) -> None:
        logging.getLogger("longwave.error").warning("from another thread")
        await watched.full("/broken")
        await turn()
        look = await watched.look()
        before = look.heard("error")
        assert [(each["level"], each["where"]) for each in before] == [
            ("warning", ""),
            ("error", "GET /broken failed"),
        ]
        assert before[1]["code"] == 'raise KeyError("x")' and before[0]["id"] < before[1]["id"]
        for _ in range(150):
            await watched.full("/broken")
        await turn()
        assert len(look.heard("error")) == 152
        later = await watched.look()
        assert len(later.heard("error")) == 100
        look.leave()
        later.leave()

    watched = Watched({"/broken": broken})
    watched.run(check)
    assert all(type(each).__name__ != "ErrorRecords" for each in logging.getLogger("longwave.error").handlers)


def test_large_errors_of_before_do_not_fill_the_page() -> None:
    def broken(event: Any) -> None:
        raise KeyError("x" * 20_000)

    async def check(watched: Watched) -> None:
        for _ in range(100):
            await watched.full("/broken")
        await turn()
        look = await watched.look()
        ids = [error["id"] for error in look.heard("error")]
        assert 20 < len(ids) < 50 and ids == list(range(101 - len(ids), 101))
        assert sum(map(len, look.link.written)) < FULL + 2000
        look.leave()
        watched.app.limits = Limits(outgoing=80_000)
        less = await watched.look()
        assert 0 < sum(map(len, less.link.written)) < 22_000 and less.heard("error")[-1]["id"] == 100
        less.leave()

    Watched({"/broken": broken}).run(check)


def test_an_error_of_another_thread() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        await asyncio.to_thread(logging.getLogger("longwave.error").error, "from a thread")
        await turn(3)
        assert look.last("error")["text"] == "from a thread"
        look.leave()

    Watched({}).run(check)


def test_reloads_of_before_and_now() -> None:
    async def check(watched: Watched) -> None:
        watched.inspector.reloaded({"type": "Swapped", "files": ["a.py"], "seconds": 0.1})
        look = await watched.look()
        (before,) = look.heard("reload")
        assert (before["kind"], before["files"], "routes_now" in before) == ("Swapped", ["a.py"], False)
        watched.app.set_routes([route_of_value(lambda event: "x", "/new", "GET", "new.py")])
        watched.inspector.reloaded({"type": "Failed", "files": ["b.py"], "failure": {"text": "x"}})
        now = look.last("reload")
        assert now["kind"] == "Failed" and now["failure"] == {"text": "x"} and now["id"] == before["id"] + 1
        assert [route["pattern"] for route in now["routes_now"]] == ["/new"]
        look.leave()

    Watched({}).run(check)


def test_a_late_loop_is_seen() -> None:
    async def check(watched: Watched) -> None:
        look = await watched.look()
        await watched.clock.advance(0.1)
        watched.clock._now += 0.25
        await watched.clock.advance(0)
        await watched.clock.advance(1.05)
        assert look.last("state")["loop_lag_ms"] == 150.0
        await watched.clock.advance(1.05)
        assert look.last("state")["loop_lag_ms"] == 0.0
        look.leave()

    Watched({}).run(check)


def test_the_end_of_the_app_closes_pages() -> None:
    looks: list[Look] = []

    async def check(watched: Watched) -> None:
        looks.append(await watched.look())

    watched = Watched({})
    watched.run(check)
    assert looks[0].link.closed_with == (1001, "")
    assert watched.clock.waiting == 0
    looks[0].say(do="view")
    looks[0].leave()

    async def again(watched: Watched) -> None:
        look = await watched.look()
        assert json.loads(look.link.messages[0])["type"] == "hello"
        look.leave()

    watched.run(again)
