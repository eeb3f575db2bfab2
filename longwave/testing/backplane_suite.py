"""What every backplane driver has to do, as tests: derive a class in a test file, with a fixture `rig`.

@pytest.fixture(params=[MyRig])
def rig(request): return request.param()

class TestMine(BackplaneSuite): ...
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec

import pytest
from msgspec.structs import astuple

from longwave.hub.drivers import Envelope
from longwave.testing.backplanes import BackplaneNode, BackplaneRig, opened, quiet, until

__all__ = ["PAYLOADS", "TOPICS", "BackplaneSuite", "asynchronous"]

P = ParamSpec("P")
LIMIT: Final = 60.0
"""Seconds that a test may take at most."""
MIB: Final = 1024 * 1024

PAYLOADS: Final[dict[str, str | bytes]] = {
    "text": "hello",
    "unicode": "Grüße \u2028 \x00 \U0001f600 \ufeff",
    "empty text": "",
    "empty binary": b"",
    "every byte": bytes(range(256)),
    "not UTF-8": b"\xff\xfe\x80",
    "line ends": b"\r\n\r\n$3\r\n+OK\n",
    "JSON": '{"node": "b", "topic": "other"}',
    "a MiB": bytes(range(256)) * (MIB // 256),
    "a MiB of text": "ü" * (MIB // 2),
}
"""Payloads that have to arrive as they are."""
TOPICS: Final = (
    "a", "A", "a ", " a", "aa", "a.b", "a.*", "a.>", "*", ">", "?", "[a]", "a:b", "a/b", "/a", "a\nb",
    "a\x00b", "a'b", 'a"b', "a\\b", "{a}", "%61", "é", "e\u0301", "\U0001f600", "$a", "_a", "-",
    "t" * 256, "ü" * 256,
)  # fmt: skip
"""Topics that must not be taken for one another, nor for a pattern."""


def asynchronous(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a coroutine as a test.

    Within a time limit, and nothing may fail in the callbacks of the loop.
    """

    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        failures: list[dict[str, Any]] = []

        async def limited() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
            async with asyncio.timeout(LIMIT):
                await test(*arguments, **named)

        asyncio.run(limited())
        assert not failures, f"in callbacks of the loop: {failures}"

    return run


class BackplaneSuite:
    """The tests that need nothing but a medium that works."""

    rounds: int = 200
    """How often what may be a race is tried."""

    @asynchronous
    async def test_a_publication_reaches_every_other_node_once(self, rig: BackplaneRig) -> None:
        """And its own node once: locally."""
        async with opened(rig, "a", "b", "c") as nodes:
            listeners = [await node.listen("room") for node in nodes]
            for node in nodes:
                node.publish("room", f"from {node.name}")
            wanted = {b"from a", b"from b", b"from c"}
            for listener in listeners:
                await listener.wait(3)
            await quiet(rig)
            for listener in listeners:
                assert len(listener.got) == 3 and set(listener.payloads) == wanted
            assert not any(node.errors for node in nodes)

    @asynchronous
    async def test_the_order_of_a_publisher_is_kept(self, rig: BackplaneRig) -> None:
        """Two nodes publish to one topic at full speed.

        Each sees the other's in order, and its own once.
        """
        async with opened(rig, "a", "b") as nodes:
            listeners = [await node.listen("room") for node in nodes]
            for number in range(500):
                for node in nodes:
                    node.publish("room", f"{node.name} {number}")
                if number % 50 == 0:
                    await asyncio.sleep(0)
            for listener in listeners:
                await listener.wait(1000)
            await quiet(rig)
            for listener in listeners:
                for node in nodes:
                    own = [data for data in listener.payloads if data.startswith(node.name.encode())]
                    assert own == [f"{node.name} {number}".encode() for number in range(500)]

    @pytest.mark.parametrize("name", PAYLOADS)
    @asynchronous
    async def test_a_payload_arrives_as_it_is(self, rig: BackplaneRig, name: str) -> None:
        """Text as text, binary as binary, of any content and size."""
        data = PAYLOADS[name]
        async with opened(rig, "a", "b") as (one, two):
            there = await two.listen("room")
            one.publish("room", data)
            await there.wait()
            ((payload, is_text),) = there.got
            assert payload == (data.encode() if isinstance(data, str) else data)
            assert is_text == isinstance(data, str)

    @asynchronous
    async def test_an_envelope_arrives_with_all_its_fields(self, rig: BackplaneRig) -> None:
        """Those of topics with history too."""
        sent = [
            Envelope("a", "room", b"1", True),
            Envelope("a", "room", b"2", False, ""),
            Envelope("a", "room", b"3", True, "/chat/ü", "peer", "epoch:12", True),
            Envelope("a", "room", b"4", True, "n", None, None, False),
        ]
        async with opened(rig, "a", "b") as (one, two):
            await two.listen("room")
            for envelope in sent:
                one.driver.publish(envelope)
            await until(lambda: len(two.envelopes) >= len(sent), "every envelope")
            assert [astuple(envelope) for envelope in two.envelopes] == [astuple(each) for each in sent]

    @asynchronous
    async def test_namespaces_are_kept_apart(self, rig: BackplaneRig) -> None:
        """A topic is watched once for all its namespaces."""
        async with opened(rig, "a", "b") as (one, two):
            chat, every = await two.listen("room", "/chat"), await two.listen("room", None)
            for namespace in ("/chat", "/news", None):
                one.publish("room", str(namespace), namespace)
            await every.wait(3)
            assert every.payloads == [b"/chat", b"/news", b"None"]
            assert chat.payloads == [b"/chat", b"None"]

    @asynchronous
    async def test_topics_are_not_taken_for_one_another(self, rig: BackplaneRig) -> None:
        """Whatever their characters mean to the medium."""
        async with opened(rig, "a", "b") as (one, two):
            listeners = [await two.listen(topic) for topic in TOPICS]
            for topic in TOPICS:
                one.publish(topic, topic)
            for listener in listeners:
                await listener.wait()
            await quiet(rig)
            assert [listener.payloads for listener in listeners] == [[topic.encode()] for topic in TOPICS]

    @asynchronous
    async def test_many_topics(self, rig: BackplaneRig) -> None:
        """A thousand of them, each to its listener alone."""
        async with opened(rig, "a", "b") as (one, two):
            waiting = [two.listen_soon(f"topic {number}") for number in range(1000)]
            await asyncio.gather(*(done for _, done in waiting if done is not None))
            for number in range(1000):
                one.publish(f"topic {number}", str(number))
            listeners = [listener for listener, _ in waiting]
            for listener in listeners:
                await listener.wait()
            await quiet(rig)
            assert [listener.payloads for listener in listeners] == [
                [str(number).encode()] for number in range(1000)
            ]

    @asynchronous
    async def test_what_nobody_listens_to_is_not_carried(self, rig: BackplaneRig) -> None:
        """Neither before the first subscriber nor after the last.

        `unwatch` of the unknown does nothing.
        """
        async with opened(rig, "a", "b") as (one, two):
            other = await two.listen("other")
            two.driver.unwatch("never watched")
            one.publish("room", "too early")
            await quiet(rig)
            first, second = await two.listen("room"), await two.listen("room")
            two.hub.unsubscribe(first, "room")
            one.publish("room", "for one")
            await second.wait()
            two.hub.unsubscribe(second, "room")
            await quiet(rig)
            count = len(two.envelopes)
            one.publish("room", "too late")
            await quiet(rig)
            assert (first.payloads, second.payloads, len(two.envelopes)) == ([], [b"for one"], count)
            again = await two.listen("room")
            one.publish("room", "again")
            one.publish("other", "as ever")
            await again.wait()
            await other.wait()
            assert (again.payloads, other.payloads) == ([b"again"], [b"as ever"])

    @asynchronous
    async def test_watching_is_idempotent(self, rig: BackplaneRig) -> None:
        """However often a topic is watched, it comes once, and one `unwatch` ends it."""
        async with opened(rig, "a", "b") as (one, two):
            await asyncio.gather(*(two.driver.watch("room") for _ in range(5)))
            one.publish("room", "x")
            await until(lambda: two.envelopes, "an envelope")
            await quiet(rig)
            assert len(two.envelopes) == 1
            two.driver.unwatch("room")
            await quiet(rig)
            one.publish("room", "y")
            await quiet(rig)
            assert len(two.envelopes) == 1

    @asynchronous
    async def test_nothing_is_lost_right_after_a_subscription(self, rig: BackplaneRig) -> None:
        """Whoever has awaited its subscription gets what any node publishes from then on."""
        async with opened(rig, "a", "b", "c") as (one, two, three):
            for number in range(self.rounds):
                listener = await two.listen(f"topic {number % 7}")
                one.publish(f"topic {number % 7}", "a")
                three.publish(f"topic {number % 7}", "c")
                await listener.wait(2)
                assert set(listener.payloads) == {b"a", b"c"}
                two.hub.unsubscribe(listener, f"topic {number % 7}")

    @asynchronous
    async def test_a_topic_that_comes_and_goes_in_one_turn(self, rig: BackplaneRig) -> None:
        """The last word counts, and nobody has to await a subscription."""
        async with opened(rig, "a", "b") as (one, two):
            for _ in range(5):
                left, _ = two.listen_soon("room")
                two.hub.unsubscribe(left, "room")
                stayed, _ = two.listen_soon("room")
            await quiet(rig)
            there = await two.listen("room")
            one.publish("room", "x")
            await there.wait()
            await stayed.wait()
            await quiet(rig)
            assert (len(two.envelopes), left.payloads, there.payloads) == (1, [], [b"x"])

    @asynchronous
    async def test_a_node_that_comes_later(self, rig: BackplaneRig) -> None:
        """It hears the others and is heard; one that leaves hinders nobody."""
        async with opened(rig, "a", "b") as (one, two):
            here = await one.listen("room")
            late = BackplaneNode("late")
            await late.start(rig)
            there = await late.listen("room")
            late.publish("room", "I am here")
            two.publish("room", "welcome")
            await here.wait(2)
            await there.wait(2)
            await late.driver.close()
            for number in range(20):
                two.publish("room", str(number))
            await here.wait(22)
            await quiet(rig)
            assert len(here.got) == 22 and len(there.got) == 2
            assert not two.errors

    @asynchronous
    async def test_starting_twice_is_an_error(self, rig: BackplaneRig) -> None:
        """And leaves the first start as it was."""
        async with opened(rig, "a", "b") as (one, two):
            there = await two.listen("room")
            with pytest.raises(Exception, match="start"):
                await two.driver.start(two.received)
            one.publish("room", "x")
            await there.wait()
            await quiet(rig)
            assert there.payloads == [b"x"]

    @asynchronous
    async def test_publishing_before_the_start_and_after_the_end_is_told(self, rig: BackplaneRig) -> None:
        """The driver raises; the hub tells `on_error`, and the publisher goes on."""
        async with opened(rig, "a", "b") as (one, two):
            unstarted = await rig.driver("c", two.failed)
            with pytest.raises(Exception, match="start"):
                unstarted.publish(Envelope("c", "room", b"", True))
            here = await one.listen("room")
            await one.driver.close()
            await one.driver.close()
            one.publish("room", "x")
            await quiet(rig)
            assert here.payloads == [b"x"]
            assert [stage for _, stage in one.errors] == ["publish"]

    @asynchronous
    async def test_closing_while_publications_are_on_their_way(self, rig: BackplaneRig) -> None:
        """The others get a beginning of them, in order; nothing comes to who has closed."""
        async with opened(rig, "a", "b", "c") as (one, two, three):
            there, elsewhere = await two.listen("room"), await three.listen("room")
            for number in range(200):
                one.publish("room", str(number))
            closing = asyncio.create_task(three.driver.close())
            await one.driver.close()
            await closing
            after = len(elsewhere.got)
            await quiet(rig)
            for listener in (there, elsewhere):
                assert listener.payloads == [str(number).encode() for number in range(len(listener.got))]
            assert len(elsewhere.got) == after
