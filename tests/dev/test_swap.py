"""What a swap exchanges, in process: routes, middleware, sockets, streams, state; what a failure leaves."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from longwave.dev import swap
from longwave.dev.feed import Failed
from longwave.testing.response import RefusedError
from tests.dev.project import ROUTES, Running, running, write

CHAT = ROUTES + "chat.py"
WORDS = "src/server/util/words.py"
MIDDLE = "src/server/util/middle.py"

SAYS = """
from longwave import define_websocket_handler
handler = define_websocket_handler(message=lambda peer, message: peer.send("TEXT"))
"""
ROOM = """
from longwave import define_websocket_handler
handler = define_websocket_handler()

@handler.open
def enter(peer):
    peer.context["name"] = "Ann"
    peer.subscribe("room")

@handler.message
def relay(peer, message):
    peer.publish("room", f"TEXT {peer.context['name']}: {message.text()}", include_self=True)

@handler.close
def leave(peer):
    pass
"""


def says(text: str) -> str:
    return SAYS.replace("TEXT", text)


def run(root: Path, files: dict[str, str | None], test: Callable[[Running], Awaitable[None]]) -> None:
    async def main() -> None:
        async with running(root, files) as project:
            await test(project)

    asyncio.run(main())


async def asked(socket: Any, text: str = "x") -> Any:
    await socket.send(text)
    return await socket.receive()


# What goes on.


def test_new_hooks_serve_the_next_message_of_open_sockets(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as one, project.client.websocket("/chat") as two:
            old = project.watch(CHAT)
            for turn in range(20):
                assert await asked(one, "hello") == f"{turn} Ann: hello"
                assert await two.receive() == f"{turn} Ann: hello"
                news = await project.edit({CHAT: ROOM.replace("TEXT", str(turn + 1))})
                assert (news.files, news.routes, news.modules) == ((CHAT,), ("/chat",), 1)
                assert (news.kept, news.closed, news.ended) == (2, 0, 0)
            assert await asked(two, "still") == "20 Ann: still"
            assert (one.close_code, two.close_code) == (None, None)
            assert project.app.stats()["peers"] == 2
            await project.collected(*old)

    run(tmp_path, {CHAT: ROOM.replace("TEXT", "0")}, test)


def test_a_helper_two_imports_away_exchanges_exactly_its_importers(tmp_path: Path) -> None:
    helped = "from src.server.util.middle import shout\n" + says("TEXT").replace('"TEXT"', "shout()")

    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as one, project.client.websocket("/b") as two:
            assert (await asked(one), await asked(two)) == ("one!", "one!")
            other = project.module(ROUTES + "other.py")
            news = await project.edit({WORDS: "WORD = 'two'\n"})
            assert (news.routes, news.modules, news.kept) == (("/b", "/chat"), 4, 2)
            assert (await asked(one), await asked(two)) == ("two!", "two!")
            assert project.module(ROUTES + "other.py") is other

    files: dict[str, str | None] = {
        CHAT: helped,
        ROUTES + "b.py": helped,
        ROUTES + "other.py": says("other"),
        MIDDLE: "from src.server.util.words import WORD\ndef shout(): return WORD + '!'\n",
        WORDS: "WORD = 'one'\n",
    }
    run(tmp_path, files, test)


def test_a_hook_that_runs_ends_in_its_own_code_and_the_next_is_the_new(tmp_path: Path) -> None:
    slow = """
from longwave import define_websocket_handler
import asyncio
handler = define_websocket_handler()
@handler.message
async def message(peer, message):
    gate = peer.context.setdefault("gate", asyncio.Event())
    if message.text() == "wait":
        await gate.wait()
    peer.send(f"TEXT {message.text()}")
"""

    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            old = project.watch(CHAT)
            for text in ("wait", "behind"):
                await socket.send(text)
            await project.edit({CHAT: slow.replace("TEXT", "new")})
            (peer,) = next(iter(project.app.runtime.namespaces.values()))
            peer.context["gate"].set()
            assert [await socket.receive() for _ in range(2)] == ["old wait", "new behind"]
            await project.collected(*old)

    run(tmp_path, {CHAT: slow.replace("TEXT", "old")}, test)


def test_a_blocking_hook_that_runs_ends_in_its_own_code(tmp_path: Path) -> None:
    blocking = """
from longwave import define_websocket_handler
import threading
def message(peer, message):
    if message.text() == "wait":
        peer.context["entered"].set()
        assert peer.context["gate"].wait(10)
    from src.server.util.words import WORD
    peer.send(f"TEXT {WORD}")
def open(peer):
    peer.context.update(gate=threading.Event(), entered=threading.Event())
handler = define_websocket_handler(open=open, message=message, blocking=True)
"""

    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            assert await asked(socket, "first") == "old 1"
            old = project.watch(CHAT)
            (peer,) = next(iter(project.app.runtime.namespaces.values()))
            await socket.send("wait")
            assert await asyncio.to_thread(peer.context["entered"].wait, 10)
            await project.edit({CHAT: blocking.replace("TEXT", "new"), WORDS: "WORD = 2\n"})
            peer.context["gate"].set()
            # It imports late, after the swap, and gets what belongs to it.
            assert await socket.receive() == "old 1"
            assert await asked(socket) == "new 2"
            await project.collected(*old)

    run(tmp_path, {CHAT: blocking.replace("TEXT", "old"), WORDS: "WORD = 1\n"}, test)


def test_an_import_that_takes_long_stops_nobody(tmp_path: Path) -> None:
    late = says("TEXT").replace('"TEXT"', "__import__('src.server.util.middle', fromlist=['GO']).WORD")

    async def test(project: Running) -> None:
        middle = project.module(ROUTES + "hold.py").middle
        async with project.client.websocket("/chat") as socket:
            assert await asked(socket) == "one"
            slow = "from src.server.util.middle import GO, ENTERED\nENTERED.set()\nassert GO.wait(10)\n"
            project.change({ROUTES + "new.py": slow + says("new")})
            assert await asyncio.to_thread(middle.ENTERED.wait, 10)
            # A late import of what is loaded waits for nobody either.
            for _ in range(20):
                assert await asked(socket) == "one"
            assert (await project.client.get("/hold")).json() == "hold"
            middle.GO.set()
            assert (await project.next()).added == ("/new",)  # type: ignore[union-attr]

    files: dict[str, str | None] = {
        CHAT: late,
        ROUTES + "hold.py": "from src.server.util import middle\ndef get(event): return '\"hold\"'\n",
        MIDDLE: "import threading\nGO, ENTERED, WORD = threading.Event(), threading.Event(), 'one'\n",
    }
    run(tmp_path, files, test)


def test_a_change_while_another_is_loaded_comes_after_it_or_in_its_place(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        hold = project.module(MIDDLE)
        slow = "from src.server.util.middle import GO, ENTERED\nENTERED.set()\nassert GO.wait(10)\n"
        project.change({CHAT: slow + says("two")})
        assert await asyncio.to_thread(hold.ENTERED.wait, 10)
        project.change({ROUTES + "b.py": says("b")})
        project.change({ROUTES + "other.py": says("other")})
        hold.GO.set()
        assert [(await project.next()).files for _ in range(2)] == [
            (CHAT,),
            (ROUTES + "b.py", ROUTES + "other.py"),
        ]
        hold.ENTERED.clear()
        hold.GO.clear()
        project.change({CHAT: slow + says("three")})
        assert await asyncio.to_thread(hold.ENTERED.wait, 10)
        # What was read is not what is there any more: it is never served.
        project.change({CHAT: says("four")})
        hold.GO.set()
        news = await project.next()
        assert (news.files, project.news.empty()) == ((CHAT,), True)
        async with project.client.websocket("/chat") as socket:
            assert await asked(socket) == "four"

    files: dict[str, str | None] = {
        CHAT: "import src.server.util.middle\n" + says("one"),
        MIDDLE: "import threading\nGO, ENTERED = threading.Event(), threading.Event()\n",
    }
    run(tmp_path, files, test)


def test_a_module_that_never_ends_is_a_reason_to_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "STUCK", 0.0)

    async def test(project: Running) -> None:
        hold = project.module(MIDDLE)
        project.change({CHAT: "from src.server.util.middle import GO\nGO.wait(10)\n" + says("two")})
        news = await project.restarts({CHAT: says("three")})
        assert news.why == f"{CHAT} is still loading"
        hold.GO.set()
        assert (await project.next()).files == (CHAT,)

    files: dict[str, str | None] = {
        CHAT: "import src.server.util.middle\n" + says("one"),
        MIDDLE: "import threading\nGO = threading.Event()\n",
    }
    run(tmp_path, files, test)


# The table.


def test_new_renamed_and_removed_files_change_the_table(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as chat, project.client.websocket("/stays") as stays:
            news = await project.edit({ROUTES + "new.py": "def get(event): return 'new'\n"})
            assert (news.added, news.removed, news.kept) == (("/new",), (), 2)
            assert (await project.client.get("/new")).text == "new"
            news = await project.edit({CHAT: None, ROUTES + "talk.py": says("talk")})
            assert (news.added, news.removed) == (("/talk",), ("/chat",))
            assert (news.kept, news.closed) == (1, 1)
            assert await chat.wait_closed() == 1012
            async with project.client.websocket("/talk") as talk:
                assert await asked(talk) == "talk"
            with pytest.raises(RefusedError):
                async with project.client.websocket("/chat"):
                    pass
            assert await asked(stays) == "stays"
            news = await project.edit({ROUTES + "new.py": None})
            assert news.removed == ("/new",)
            assert (await project.client.get("/new")).status == 404

    run(tmp_path, {CHAT: says("chat"), ROUTES + "stays.py": says("stays")}, test)


def test_a_file_that_moves_to_the_same_path_keeps_its_sockets(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as chat:
            news = await project.edit({CHAT: None, ROUTES + "chat/index.py": says("moved")})
            assert (news.added, news.removed, news.routes, news.kept) == ((), (), ("/chat",), 1)
            assert await asked(chat) == "moved"

    run(tmp_path, {CHAT: says("chat")}, test)


def test_a_route_that_is_no_websocket_any_more_closes_its_sockets(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as chat:
            news = await project.edit({CHAT: "def get(event): return 'plain'\n"})
            assert news.closed == 1
            assert await chat.wait_closed() == 1012
            assert (await project.client.get("/chat")).text == "plain"

    run(tmp_path, {CHAT: says("chat")}, test)


def test_a_folder_that_is_moved_away_is_told_of_alone(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        routes = project.root / ROUTES
        (routes / "api").rename(routes / "v2")
        project.swapper.change([routes / "api", routes / "v2", routes / "v2/a.py"])
        news = await project.next()
        assert (news.added, news.removed) == (("/v2/a",), ("/api/a",))  # type: ignore[union-attr]

    run(tmp_path, {ROUTES + "api/a.py": says("a"), CHAT: says("chat")}, test)


def test_a_folder_of_helpers_that_is_moved_away_is_missed(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        (project.root / "src/server/util").rename(project.root / "src/server/tools")
        project.swapper.change([project.root / "src/server/util"])
        news = await project.next()
        assert isinstance(news, Failed)
        assert news.failure.file == CHAT
        await project.edit({CHAT: says("none needed")})

    run(tmp_path, {CHAT: "import src.server.util.words\n" + says("chat"), WORDS: ""}, test)


def test_the_close_hook_of_a_removed_route_runs_once_in_its_own_code(tmp_path: Path) -> None:
    noted: list[str] = []

    async def test(project: Running) -> None:
        project.app.state["noted"] = noted
        async with project.client.websocket("/chat") as chat:
            old = project.watch(CHAT)
            await project.edit({CHAT: None})
            await project.edit({ROUTES + "other.py": says("other")})
            assert await chat.wait_closed() == 1012
        assert noted == ["closed 1012"]
        del chat
        await project.collected(*old)

    closes = """
from longwave import define_websocket_handler
def close(peer, details):
    peer.request.app.state["noted"].append(f"closed {details.code}")
handler = define_websocket_handler(close=close)
"""
    run(tmp_path, {CHAT: closes}, test)


# Streams.

TICKS = """
from longwave import create_event_stream
def get(event):
    stream = create_event_stream(event)
    stream.spawn(stream.push("TEXT"))
    return stream
"""


def test_streams_of_a_changed_route_end_and_come_back(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        async with project.client.events("/ticks") as changed, project.client.events("/other") as other:
            assert (await changed.receive()).data == "one"
            assert (await other.receive()).data == "other"
            old = project.watch(ROUTES + "ticks.py")
            news = await project.edit({ROUTES + "ticks.py": TICKS.replace("TEXT", "two")})
            assert news.ended == 1
            assert [event async for event in changed] == []
            assert changed.retry == 100
            assert not other.ended
            async with project.client.events("/ticks") as again:
                assert (await again.receive()).data == "two"
            del changed
            await project.collected(*old)
        assert project.app.stats()["streams"] == 0

    files: dict[str, str | None] = {
        ROUTES + "ticks.py": TICKS.replace("TEXT", "one"),
        ROUTES + "other.py": TICKS.replace("TEXT", "other"),
    }
    run(tmp_path, files, test)


def test_generators_are_closed_and_removed_streams_end(tmp_path: Path) -> None:
    generator = """
import asyncio
async def get(event):
    try:
        yield "TEXT"
        await asyncio.Event().wait()
    finally:
        event.app.state["closed"] = "TEXT"
"""

    async def test(project: Running) -> None:
        async with project.client.events("/tokens") as tokens:
            assert (await tokens.receive()).data == "one"
            await project.edit({ROUTES + "tokens.py": generator.replace("TEXT", "two")})
            assert [event async for event in tokens] == []
            assert tokens.retry == 100
            assert project.app.state["closed"] == "one"
        async with project.client.events("/tokens") as tokens:
            assert (await tokens.receive()).data == "two"
            news = await project.edit({ROUTES + "tokens.py": None})
            assert (news.ended, news.removed) == (1, ("/tokens",))

    run(tmp_path, {ROUTES + "tokens.py": generator.replace("TEXT", "one")}, test)


def test_a_stream_that_begins_in_replaced_code_ends_at_once(tmp_path: Path) -> None:
    waits = """
from longwave import create_event_stream
async def get(event):
    event.app.state["entered"].set()
    await event.app.state["gate"].wait()
    stream = create_event_stream(event)
    await stream.push("TEXT")
    return stream
"""

    async def test(project: Running) -> None:
        entered, gate = asyncio.Event(), asyncio.Event()
        project.app.state.update(entered=entered, gate=gate)
        asking = asyncio.create_task(project.client.get("/slow"))
        await entered.wait()
        old = project.watch(ROUTES + "slow.py")
        await project.edit({ROUTES + "slow.py": waits.replace("TEXT", "new")})
        gate.set()
        assert (await asking).text == "data: old\n\nretry: 100\n\n"
        del asking
        await project.collected(*old)

    run(tmp_path, {ROUTES + "slow.py": waits.replace("TEXT", "old")}, test)


# Middleware.

LAYER = "src/server/middleware/01.name.py"
NAMES = "async def handler(event, next):\n    event.context['name'] = 'TEXT'\n    return await next()\n"


def test_middleware_is_swapped_and_what_has_begun_ends_in_its_own_generation(tmp_path: Path) -> None:
    waits = """
async def get(event):
    return event.context["name"] + " TEXT"
"""
    layer = """
async def handler(event, next):
    event.context["name"] = "TEXT"
    if event.query.get("wait"):
        event.app.state["entered"].set()
        await event.app.state["gate"].wait()
    return await next()
"""

    async def test(project: Running) -> None:
        entered, gate = asyncio.Event(), asyncio.Event()
        project.app.state.update(entered=entered, gate=gate)
        asking = asyncio.create_task(project.client.get("/name?wait=1"))
        await entered.wait()
        news = await project.edit(
            {LAYER: layer.replace("TEXT", "new"), ROUTES + "name.py": waits.replace("TEXT", "new")}
        )
        assert news.is_middleware
        assert (await project.client.get("/name")).text == "new new"
        gate.set()
        assert (await asking).text == "old old"
        news = await project.edit({LAYER: None, "src/server/middleware/02.x.py": NAMES})
        assert news.is_middleware
        assert (await project.client.get("/name")).text == "TEXT new"

    run(
        tmp_path,
        {LAYER: layer.replace("TEXT", "old"), ROUTES + "name.py": waits.replace("TEXT", "old")},
        test,
    )


# State.

COUNTER = """
from longwave import define_websocket_handler
count = 0
def message(peer, message):
    global count
    count += 1
    peer.send(f"TEXT {count}")
handler = define_websocket_handler(message=message)
def on_reload(old_module):
    global count
    count = old_module.count
"""


def test_on_reload_takes_state_over_before_the_next_message(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            assert await asked(socket) == "one 1"
            old = project.watch(CHAT)
            await project.edit({CHAT: COUNTER.replace("TEXT", "two")})
            assert await asked(socket) == "two 2"
            await project.edit({CHAT: COUNTER.replace("TEXT", "three")})
            assert await asked(socket) == "three 3"
            await project.collected(*old)

    run(tmp_path, {CHAT: COUNTER.replace("TEXT", "one")}, test)


def test_on_reload_runs_for_what_is_imported_first_and_not_for_a_star_import(tmp_path: Path) -> None:
    words = "order = []\ndef on_reload(old_module):\n    order.append(('words', old_module.X))\nX = TEXT\n"
    chat = "from src.server.util.words import *\n" + says("x")
    middle = (
        "from src.server.util import words\n"
        "def on_reload(old_module):\n    words.order.append(('middle', old_module.words.X))\n"
    )

    async def test(project: Running) -> None:
        await project.edit({WORDS: words.replace("TEXT", "2")})
        assert project.module(WORDS).order == [("words", 1), ("middle", 1)]

    files: dict[str, str | None] = {
        CHAT: chat,
        ROUTES + "b.py": "import src.server.util.middle\n" + says("y"),
        MIDDLE: middle,
        WORDS: words.replace("TEXT", "1"),
    }
    run(tmp_path, files, test)


def test_on_reload_of_a_module_that_is_imported_late_by_changed_code(tmp_path: Path) -> None:
    late = """
from longwave import define_websocket_handler
def message(peer, message):
    from src.server.util import words
    peer.send(f"TEXT {words.count}")
handler = define_websocket_handler(message=message)
"""
    state = "count = 0\ndef on_reload(old_module):\n    global count\n    count = old_module.count\n"

    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            assert await asked(socket) == "one 0"
            project.module(WORDS).count = 7
            await project.edit({CHAT: late.replace("TEXT", "two"), WORDS: state + "# changed\n"})
            assert await asked(socket) == "two 7"

    run(tmp_path, {CHAT: late.replace("TEXT", "one"), WORDS: state}, test)


@pytest.mark.parametrize(
    ("hook", "says_what"),
    [
        ("def on_reload(old_module):\n    raise LookupError('no state')\n", "LookupError: no state"),
        ("async def on_reload(old_module): ...\n", "on_reload is to be a plain function"),
    ],
)
def test_an_on_reload_that_fails_keeps_the_old_code(tmp_path: Path, hook: str, says_what: str) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            news = await project.fails({CHAT: hook + says("two")})
            assert says_what in news.failure.text
            assert await asked(socket) == "one"
            assert (await project.edit({CHAT: says("three")})).mended
            assert await asked(socket) == "three"

    run(tmp_path, {CHAT: says("one")}, test)


# What is held, and what is collected.


def test_objects_that_a_peer_holds_stay_of_the_old_code_until_they_go(tmp_path: Path) -> None:
    words = """
import enum
class Mood(enum.Enum):
    GOOD = "TEXT"
class User:
    def greet(self):
        return f"TEXT {Mood.GOOD.value}"
class Refused(Exception):
    text = "TEXT"
"""
    chat = """
from longwave import define_websocket_handler
from src.server.util.middle import User, Mood, Refused
handler = define_websocket_handler()
@handler.open
def enter(peer):
    peer.context.update(user=User(), mood=Mood.GOOD, error=Refused("no"))
@handler.message
def message(peer, message):
    if message.text() == "again":
        enter(peer)
    same = isinstance(peer.context["user"], User), peer.context["mood"] is Mood.GOOD
    try:
        raise peer.context["error"]
    except Exception as error:
        caught = isinstance(error, Refused)
    peer.send(f"{peer.context['user'].greet()} {User().greet()} {*same, caught}")
"""

    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            assert await asked(socket) == "one one one one (True, True, True)"
            old = project.watch(WORDS, MIDDLE, CHAT)
            (peer,) = next(iter(project.app.runtime.namespaces.values()))
            kinds = [weakref.ref(type(value)) for value in peer.context.values()]
            await project.edit({WORDS: words.replace("TEXT", "two")})
            # Nothing is mixed: the old objects know their own module only.
            assert await asked(socket) == "one one two two (False, False, False)"
            assert await asked(socket, "again") == "two two two two (True, True, True)"
            await project.collected(*old, *kinds)

    files: dict[str, str | None] = {
        CHAT: chat,
        MIDDLE: "from src.server.util.words import *\n",
        WORDS: words.replace("TEXT", "one"),
    }
    run(tmp_path, files, test)


def test_a_hundred_swaps_leave_nothing(tmp_path: Path) -> None:
    chat = """
import logging, typing, msgspec, dataclasses
from longwave import define_websocket_handler
log = logging.getLogger(__name__)
class Said(msgspec.Struct):
    text: str
    more: "typing.Optional[Said]" = None
@dataclasses.dataclass
class Held:
    said: typing.Optional[Said] = None
handler = define_websocket_handler()
async def post(event):
    return (await event.json(Said)).text
@handler.message
def message(peer, said: Said):
    log.debug("said")
    peer.context["held"] = Held(said)
    peer.send(f"TEXT {said.text}")
"""

    async def test(project: Running) -> None:
        refs: list[weakref.ref[Any]] = []
        counts = []
        async with project.client.websocket("/chat") as socket:
            for turn in range(100):
                refs += project.watch(CHAT, MIDDLE)
                await project.edit({MIDDLE: f"X = {turn}\n"} if turn % 2 else {CHAT: chat + f"# {turn}\n"})
                assert await asked(socket, '{"text": "hello"}') == "TEXT hello"
                assert (await project.client.post("/chat", json={"text": "hello"})).text == "hello"
                if turn in (19, 99):
                    project.swapper.collect()
                    counts.append((len(logging.root.manager.loggerDict), threading.active_count()))
        assert counts[0] == counts[1]
        await project.edit({CHAT: chat + "# last\n", MIDDLE: "X = 'last'\n"})
        await project.collected(*refs)

    chat = "from src.server.util.middle import X\n" + chat
    run(tmp_path, {CHAT: chat, MIDDLE: "X = -1\n"}, test)


# What fails.


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ("def message(:\n", (CHAT, 1, "def message(:")),
        ("import os\n1 / 0\n", (CHAT, 2, "1 / 0")),
        ("from src.server.util.words import NOTHING\n", (CHAT, 1, None)),
        ("from src.server.util.wards import WORD\n", (CHAT, 1, None)),
        ("", (None, None, None)),
        ("raise SystemExit(3)\n", (CHAT, 1, "raise SystemExit(3)")),
    ],
)
def test_code_that_cannot_be_loaded_keeps_the_old(
    tmp_path: Path, broken: str, place: tuple[str | None, int | None, str | None]
) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            before = project.watch(CHAT, WORDS)
            news = await project.fails({CHAT: broken, WORDS: "WORD = 'two'\n"})
            failure = news.failure
            assert (failure.file, failure.line) == place[:2]
            assert place[2] in (None, failure.code)
            standing = project.feed.failure
            assert standing == failure
            assert await asked(socket) == "one"
            assert [ref() for ref in before] == [ref() for ref in project.watch(CHAT, WORDS)]
            # The helper that changed with it is made up for.
            mended = await project.edit({CHAT: "from src.server.util.words import WORD\n" + says("three")})
            assert mended.mended
            assert project.module(WORDS).WORD == "two"
            assert project.feed.failure is None
            assert await asked(socket) == "three"
            await project.collected(*before)

    files: dict[str, str | None] = {
        CHAT: "import src.server.util.words\n" + says("one"),
        WORDS: "WORD = 'one'\n",
    }
    run(tmp_path, files, test)


def test_a_file_that_is_being_written_is_nothing_to_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "PATIENCE", 60)

    async def test(project: Running) -> None:
        for text in ("x = = 1\n", "import nothing_of_that_name\n"):
            # That it cannot be loaded is told only after the patience.
            await project.quiet({CHAT: text})
        assert not (await project.edit({CHAT: says("two")})).mended
        assert project.news.empty()

    run(tmp_path, {CHAT: says("one")}, test)


def test_a_file_that_was_emptied_gets_time_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(project: Running) -> None:
        with monkeypatch.context() as patch:
            # While it is waited for.
            patch.setattr(time, "sleep", lambda _: write(project.root, {WORDS: "WORD = 'two'\n"}))
            await project.edit({WORDS: ""})
        assert project.module(WORDS).WORD == "two"
        await project.edit({WORDS: "# nothing\n"})
        await project.edit({WORDS: ""})
        assert not hasattr(project.module(WORDS), "WORD")

    files: dict[str, str | None] = {CHAT: "import src.server.util.words\n" + says("one"), WORDS: "WORD = 1\n"}
    run(tmp_path, files, test)


def test_a_failure_that_is_taken_back_is_mended(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        await project.fails({CHAT: "x = = 1\n"})
        assert (await project.edit({CHAT: says("one")})).mended
        assert not (await project.edit({CHAT: says("two")})).mended

    run(tmp_path, {CHAT: says("one")}, test)


def test_a_helper_that_is_renamed_fails_until_its_importers_follow(tmp_path: Path) -> None:
    chat = "from src.server.util.words import WORD\n" + says("TEXT").replace('"TEXT"', "WORD")

    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            news = await project.fails({WORDS: None, "src/server/util/wards.py": "WORD = 'two'\n"})
            assert (news.failure.file, news.failure.line) == (CHAT, 1)
            assert await asked(socket) == "one"
            await project.edit({CHAT: chat.replace("util.words", "util.wards")})
            assert await asked(socket) == "two"

    run(tmp_path, {CHAT: chat, WORDS: "WORD = 'one'\n"}, test)


def test_two_files_for_one_route_keep_the_old_table(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        news = await project.fails({ROUTES + "chat/index.py": says("two")})
        assert "both answer" in news.failure.text
        async with project.client.websocket("/chat") as socket:
            assert await asked(socket) == "one"

    run(tmp_path, {CHAT: says("one")}, test)


def test_a_route_that_was_never_loaded_is_a_problem_and_no_obstacle(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            news = await project.edit({CHAT: says("two"), ROUTES + "new.py": "1 / 0\n"})
            assert [problem.file for problem in news.problems] == [ROUTES + "bad.py", ROUTES + "new.py"]
            assert await asked(socket) == "two"
            answer = await project.client.get("/new")
            assert (answer.status, "ZeroDivisionError" in answer.text) == (500, True)
            news = await project.edit({ROUTES + "bad.py": "def get(event): return 'good'\n"})
            assert [problem.file for problem in news.problems] == [ROUTES + "new.py"]
            assert (await project.client.get("/bad")).text == "good"
            assert await asked(socket) == "two"

    run(tmp_path, {CHAT: says("one"), ROUTES + "bad.py": "x = = 1\n"}, test)


def test_files_that_nothing_is_made_of_are_no_news(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        chat = project.module(CHAT)
        await project.quiet({"tests/test_chat.py": "x = = 1\n", "script.py": "", ROUTES + "_notes.py": ""})
        assert project.module(CHAT) is chat

    run(tmp_path, {CHAT: says("one")}, test)


# What needs a new process.

PLUGIN = "src/server/plugins/metrics.py"


def test_what_reaches_a_plugin_restarts(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        before = project.watch(CHAT, WORDS, PLUGIN)
        assert "runs once" in (await project.restarts({WORDS: "WORD = 'two'\n"})).why
        assert "runs once" in (await project.restarts({PLUGIN: "def plugin(app): pass\n"})).why
        assert "came or went" in (await project.restarts({"src/server/plugins/b.py": ""})).why
        assert "came or went" in (await project.restarts({"src/server/plugins/b.py": None, PLUGIN: None})).why
        # Nothing was exchanged meanwhile.
        assert [ref() for ref in before] == [ref() for ref in project.watch(CHAT, WORDS, PLUGIN)]

    files: dict[str, str | None] = {
        CHAT: "import src.server.util.words\n" + says("one"),
        WORDS: "WORD = 'one'\n",
        PLUGIN: "def plugin(app):\n    import src.server.util.words\n",
    }
    run(tmp_path, files, test)


def test_what_python_itself_has_imported_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "lw_test_imported_by_python"

    async def test(project: Running) -> None:
        assert name in (await project.restarts({f"{name}.py": "X = 2\n"})).why

    files: dict[str, str | None] = {
        f"{name}.py": "X = 1\n",
        CHAT: f"import importlib\nimportlib.import_module('{name}')\n" + says("one"),
    }
    try:
        run(tmp_path, files, test)
    finally:
        import sys

        sys.modules.pop(name, None)


def test_a_mounted_application_that_changes_restarts(tmp_path: Path) -> None:
    mount = (
        "from longwave import mount_asgi\n"
        "async def app(scope, receive, send): ...\n"
        "handler = mount_asgi(app)\n"
    )

    async def test(project: Running) -> None:
        assert "mounted" in (await project.restarts({ROUTES + "sub/[...path].py": mount + "# 2\n"})).why
        # That stands until there is a new process.
        assert "mounted" in (await project.restarts({CHAT: says("two")})).why

    run(tmp_path, {ROUTES + "sub/[...path].py": mount, CHAT: says("one")}, test)


# Hooks of plugins, and handlers as namespaces.


def test_hooks_of_plugins_run_before_new_routes_too(tmp_path: Path) -> None:
    plugin = """
from longwave import define_websocket_handler
def plugin(app):
    app.use_hooks(define_websocket_handler(message=lambda peer, message: peer.send("plugin")))
"""

    async def test(project: Running) -> None:
        async with project.client.websocket("/chat") as socket:
            assert [await asked(socket), await socket.receive()] == ["plugin", "one"]
            await project.edit({CHAT: says("two")})
            assert [await asked(socket), await socket.receive()] == ["plugin", "two"]

    run(tmp_path, {PLUGIN: plugin, CHAT: says("one")}, test)


def test_old_code_can_still_name_its_handler(tmp_path: Path) -> None:
    async def test(project: Running) -> None:
        old = project.module(CHAT).handler
        await project.edit({CHAT: says("two")})
        await project.edit({CHAT: says("three")})
        assert project.app.namespace_of(old) == "/chat"
        assert project.app.namespace_of(project.module(CHAT).handler) == "/chat"
        await project.edit({CHAT: None})
        with pytest.raises(LookupError):
            project.app.namespace_of(old)

    run(tmp_path, {CHAT: says("one")}, test)


def test_an_upgrade_that_was_begun_at_a_route_that_goes(tmp_path: Path) -> None:
    waits = """
from longwave import define_websocket_handler
async def upgrade(event):
    event.app.state["entered"].set()
    await event.app.state["gate"].wait()
def open(peer):
    raise AssertionError("never opened")
handler = define_websocket_handler(upgrade=upgrade, open=open, close=open)
"""

    async def test(project: Running) -> None:
        entered, gate = asyncio.Event(), asyncio.Event()
        project.app.state.update(entered=entered, gate=gate)

        async def connect() -> int:
            async with project.client.websocket("/chat") as socket:
                return await socket.wait_closed()

        connecting = asyncio.create_task(connect())
        await entered.wait()
        await project.edit({CHAT: None, ROUTES + "b.py": says("b")})
        gate.set()
        assert await connecting == 1012
        assert project.app.stats()["errors"] == 0
        assert project.app.stats()["peers"] == 0

    run(tmp_path, {CHAT: waits}, test)
