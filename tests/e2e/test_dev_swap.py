"""`longwave dev` swaps code under open sockets: real processes, real files, bytecode writing on.

All the while clients talk: each reply says which version of each file it was made by, through several imports
of the same file. So a lost connection, a lost message and code of two generations in one reply show.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.process import ServerProcess

SPACING = 0.05
"""Seconds between two edits: faster than anybody saves, slower than a swap."""
ROUTES = "src/server/routes/"
UTIL = "src/server/util/"
CLOSE = {"connection": "close"}

CHAT = """
import asyncio, threading
from longwave import define_websocket_handler
from src.server.util import deep
from src.server.util.middle import views, V as MIDDLE
from src.server.util.star import *
from src.server.util.circle_a import circle

V = VERSION
handler = define_websocket_handler()

@handler.open
def enter(peer):
    peer.context.update(user=deep.User(), mood=deep.Mood.GOOD, error=deep.Refused())
    peer.subscribe("room")

@handler.message
async def message(peer, message):
    from src.server.util import deep as late
    text = message.text()
    if text == "hold":
        await peer.request.app.state["gate"].wait()
    peer.send({
        "text": text, "chat": V, "middle": MIDDLE, "circle": circle(),
        "deep": [deep.V, late.V, STARRED, *views()],
        "held": [peer.context["user"].version(), peer.context["mood"].value, peer.context["error"].version],
    })
"""
FILES: dict[str, str] = {
    ROUTES + "chat.py": CHAT,
    ROUTES + "threads.py": """
from longwave import define_websocket_handler
from src.server.util import deep
V = VERSION
def message(peer, message):
    if message.text() == "hold":
        peer.request.app.state["entered"].set()
        assert peer.request.app.state["leave"].wait(10)
    from src.server.util import deep as late
    peer.send({"chat": V, "deep": [deep.V, late.V]})
handler = define_websocket_handler(message=message, blocking=True)
""",
    ROUTES + "ticks.py": """
import asyncio
from src.server.util import deep
async def get(event):
    yield f"{deep.V} VERSION"
    await asyncio.Event().wait()
""",
    ROUTES + "release.py": """
async def get(event):
    event.app.state["gate"].set()
    event.app.state["leave"].set()
""",
    ROUTES + "probe.py": """
import asyncio, gc, os, sys, types, typing, weakref
async def get(event):
    await asyncio.sleep(0)
    for clean in typing._cleanups:
        clean()
    gc.collect()
    # By references: what is kept from the collector is in no list of objects.
    refs = event.app.state.setdefault("refs", {})
    for name, module in list(sys.modules.items()):
        if name.startswith("lw_"):
            for key, value in list(vars(module).items()):
                if isinstance(value, types.FunctionType) and value.__module__ == name:
                    refs[name, key] = weakref.ref(value)
    left = sorted({name for (name, _), ref in refs.items() if ref() is not None and name not in sys.modules})
    return {
        "pid": os.getpid(), "left": left,
        "modules": len(sys.modules), "fds": len(os.listdir("/proc/self/fd")),
        "peers": event.app.stats()["peers"], "tasks": event.app.stats()["tasks"],
    }
""",
    "src/server/plugins/gate.py": """
import asyncio, threading
from src.server.util.plugged import V
def plugin(app):
    app.state.update(gate=asyncio.Event(), entered=threading.Event(), leave=threading.Event(), plugged=V)
""",
    ROUTES + "plugged.py": "async def get(event):\n    return event.app.state['plugged']\n",
    UTIL + "plugged.py": "V = VERSION\n",
    UTIL + "deep.py": """
import enum
V = VERSION
class User:
    def version(self):
        return V
class Mood(enum.Enum):
    GOOD = V
class Refused(Exception):
    version = V
""",
    UTIL + "middle.py": """
from . import deep
from .deep import V as RELATIVE
V = VERSION
def views():
    import src.server.util.deep
    return [deep.V, RELATIVE, src.server.util.deep.V]
""",
    UTIL + "star.py": """
from src.server.util.deep import *
from src.server.util.deep import V as STARRED
X = VERSION
""",
    UTIL + "circle_a.py": """
from src.server.util import circle_b
V = VERSION
def circle():
    return [V, circle_b.see()]
""",
    UTIL + "circle_b.py": """
from src.server.util import circle_a
X = VERSION
def see():
    return circle_a.V
""",
}


class Project:
    """The files of a project, each with a version."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in FILES:
            self.save(name, 0)

    def save(self, name: str, version: int) -> None:
        self.write(name, FILES[name].replace("VERSION", str(100 + version)))

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not `write_text`: for a moment the file would be empty, and what is read then has an error.
        with path.open("r+" if path.exists() else "w") as file:
            file.write(text)
            file.truncate()


class Talker:
    """A client that talks without a pause, on one connection, and checks each reply."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.count = 0
        self.seen: dict[str, Any] = {}

    async def say(self, text: str = "") -> dict[str, Any]:
        """Send a message and return its reply; raises when the connection is lost."""
        sent = text or str(self.count)
        await self.socket.send(sent)
        reply: dict[str, Any] = json.loads(await self.socket.recv())
        self.check(sent, reply)
        return reply

    def check(self, sent: str, reply: dict[str, Any]) -> None:
        self.count += 1
        assert reply["text"] == sent
        for views in ("deep", "circle"):
            assert len(set(reply[views])) == 1, f"two generations in one reply: {reply}"
        # What the peer holds is of one generation, which is that of its opening for ever.
        assert set(reply["held"]) == {self.seen.get("held", reply["held"])[0]}
        # Never back to older code.
        for name in ("chat", "middle"):
            assert reply[name] >= self.seen.get(name, 0)
        self.seen = reply

    async def until(self, **expected: int) -> None:
        """Talk until the versions are those."""
        async with asyncio.timeout(10):
            while any(_flat(self.seen.get(name)) != 100 + version for name, version in expected.items()):
                await self.say()
                await asyncio.sleep(0.002)


class Output:
    """What the dev server shows from now on."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._start = len(server.output)

    @property
    def new(self) -> str:
        return self._server.output[self._start :]

    def line(self, pattern: str) -> None:
        """Wait until it was shown."""
        deadline = time.monotonic() + 10
        while not re.search(pattern, self.new):
            assert time.monotonic() < deadline, f"{pattern!r} was not shown:\n{self.new}"
            time.sleep(0.01)


def _flat(views: Any) -> Any:
    return views[0] if isinstance(views, list) else views


Served: TypeAlias = tuple[ServerProcess, Project]
Work: TypeAlias = Callable[[Talker, Talker], Awaitable[None]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    project = Project(tmp_path_factory.mktemp("swap"))
    # Empty is unset: bytecode is written.
    with ServerProcess(project.root, command="dev", env={"PYTHONDONTWRITEBYTECODE": ""}) as server:
        yield server, project


def talking(server: ServerProcess, work: Work) -> None:
    """Run some work with two clients; nothing of the code before may be left."""

    async def main() -> None:
        before = probe(server)
        async with talkers(server) as (one, two):
            await one.say()
            await work(one, two)
        after = await settled(server, before)
        assert after["pid"] == before["pid"], "the worker was restarted"
        assert after["left"] == []
        assert (after["fds"], after["tasks"]) == (before["fds"], before["tasks"])

    asyncio.run(main())


@asynccontextmanager
async def talkers(server: ServerProcess) -> AsyncIterator[tuple[Talker, Talker]]:
    address = server.websocket_url + "chat"
    async with connect(address) as one, connect(address) as two:
        yield Talker(one), Talker(two)
        for socket in (one, two):
            assert socket.close_code is None, "the connection was lost"


def probe(server: ServerProcess) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(server.url + "probe", timeout=10).json()
    return found


async def settled(server: ServerProcess, before: dict[str, Any]) -> dict[str, Any]:
    """Probe until the sockets of the test are gone."""
    found = probe(server)
    for _ in range(100):
        if (found["peers"], found["fds"], found["left"]) == (before["peers"], before["fds"], []):
            break
        await asyncio.sleep(0.05)
        found = probe(server)
    return found


async def talk_while(work: Awaitable[None], *clients: Talker) -> None:
    """Let clients talk until some work is done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        for client in clients:
            await client.say()
        await asyncio.sleep(0.002)
    await task


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (ROUTES + "chat.py", "chat"),
        (UTIL + "deep.py", "deep"),
        (UTIL + "star.py", None),
        (UTIL + "middle.py", "middle"),
        (UTIL + "circle_a.py", "circle"),
        (UTIL + "circle_b.py", None),
    ],
    ids=["route", "helper", "star", "relative", "circle", "other half"],
)
def test_two_clients_talk_through_twenty_edits(served: Served, name: str, shown: str | None) -> None:
    server, project = served
    shows = Output(server)
    edits = 20 if shown in ("chat", "deep") else 5

    async def work(one: Talker, two: Talker) -> None:
        async def edit() -> None:
            for version in range(1, edits + 1):
                said = min(one.count, two.count)
                # Of the same size, within the same second.
                project.save(name, version)
                await asyncio.sleep(SPACING)
                while min(one.count, two.count) == said:
                    await asyncio.sleep(0.002)

        await talk_while(edit(), one, two)
        if shown is not None:
            for client in (one, two):
                await client.until(**{shown: edits})
        shows.line(rf"swapped in \d+ ms: {re.escape(name)} \(\d routes?, 2 sockets kept\)")

    talking(server, work)
    assert "error" not in shows.new


def test_a_route_is_renamed_under_its_sockets_and_a_helper_with_its_importers(
    served: Served,
) -> None:
    server, project = served
    star, chat = FILES[UTIL + "star.py"].replace("VERSION", "1"), project.root / ROUTES / "chat.py"
    text = chat.read_text()

    async def edit() -> None:
        (project.root / UTIL / "star.py").unlink()
        project.write(UTIL + "renamed.py", star)
        await asyncio.sleep(SPACING)
        project.write(ROUTES + "chat.py", text.replace("util.star", "util.renamed"))
        await asyncio.sleep(SPACING)
        # The same path from another file.
        chat.rename(project.root / ROUTES / "(group)" / "chat.py")
        await asyncio.sleep(4 * SPACING)

    async def work(one: Talker, two: Talker) -> None:
        (project.root / ROUTES / "(group)").mkdir()
        await talk_while(edit(), one, two)
        shows.line(r"swapped in .*\(group\)/chat\.py.*2 sockets kept")
        # Back again: nothing of it is left for the next test.
        project.write(UTIL + "star.py", star)
        (project.root / ROUTES / "(group)" / "chat.py").unlink()
        chat.write_text(text)
        await talk_while(asyncio.sleep(4 * SPACING), one, two)
        shows.line(r"swapped in .*routes/chat\.py.*2 sockets kept")
        (project.root / UTIL / "renamed.py").unlink()

    shows = Output(server)
    talking(server, work)


def test_sockets_of_a_removed_route_get_1012_and_no_others(served: Served) -> None:
    server, project = served
    echo = "from longwave import define_websocket_handler\nhandler = define_websocket_handler()\n"

    async def work(one: Talker, two: Talker) -> None:
        shows = Output(server)
        project.write(ROUTES + "echo.py", echo)
        shows.line(r"swapped in \d+ ms: \S*echo\.py \(/echo added, 2 sockets kept\)")
        async with connect(server.websocket_url + "echo") as socket:
            (project.root / ROUTES / "echo.py").unlink()
            async with asyncio.timeout(10):
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        shows.line(r"\(/echo removed, 2 sockets kept, 1 socket closed\)")
        await one.say()

    talking(server, work)


def test_a_half_saved_file_keeps_the_old_code_until_it_is_mended(
    served: Served,
) -> None:
    server, project = served
    text = (project.root / ROUTES / "chat.py").read_text()
    half = text[: text.index("handler = ")] + "handler = define_websocket_handler(\n"

    async def work(one: Talker, two: Talker) -> None:
        shows = Output(server)
        project.write(ROUTES + "chat.py", half)
        await talk_while(asyncio.sleep(4 * SPACING), one, two)
        line = half.count("\n")
        shows.line(
            rf"error: src/server/routes/chat\.py, line {line}: SyntaxError.*\n"
            r" +handler = define_websocket_handler\(\n +The code from before goes on"
        )
        project.write(UTIL + "deep.py", "raise LookupError('no words')\n")
        await talk_while(asyncio.sleep(4 * SPACING), one, two)
        project.write(ROUTES + "chat.py", text)
        shows.line(r"error: src/server/util/deep\.py, line 1.*LookupError: no words")
        project.save(UTIL + "deep.py", 30)
        shows.line(r"mended in \d+ ms: .*src/server/util/deep\.py \(.*2 sockets kept\)")
        for client in (one, two):
            await client.until(deep=30)

    talking(server, work)


def test_an_import_of_three_seconds_stops_nobody(served: Served) -> None:
    server, project = served
    text = (project.root / ROUTES / "chat.py").read_text()

    async def work(one: Talker, two: Talker) -> None:
        shows, before = Output(server), one.count
        project.write(ROUTES + "chat.py", f"import time\ntime.sleep(3)\n{text}")

        async def swapped() -> None:
            await asyncio.to_thread(shows.line, r"swapped in [3-9]\d{3} ms: \S*chat\.py")

        await talk_while(swapped(), one, two)
        # A message and its reply take a millisecond or so; if one waited for the import there were no more.
        assert one.count - before > 20
        project.write(ROUTES + "chat.py", text)
        shows.line(r"swapped in \d{1,3} ms: \S*chat\.py")

    talking(server, work)


def test_two_hundred_files_at_once(served: Served) -> None:
    server, project = served

    def save(version: int) -> None:
        for number in range(100):
            project.write(f"{UTIL}many/m{number}.py", f"V = {version}\n")
            module = f"from src.server.util.many.m{number} import V\nasync def get(event): return V\n"
            project.write(f"{ROUTES}many/r{number}.py", module)

    async def work(one: Talker, two: Talker) -> None:
        async with httpx.AsyncClient() as client:

            async def served_version(version: int) -> None:
                async with asyncio.timeout(20):
                    for number in (0, 50, 99):
                        while (await client.get(f"{server.url}many/r{number}")).text != str(version):
                            await asyncio.sleep(0.01)

            for version in (1, 2):
                save(version)
                await talk_while(served_version(version), one, two)
        for path in (project.root / UTIL / "many", project.root / ROUTES / "many"):
            path.rename(project.root / f"gone-{path.parent.name}")
        Output(server).line(r"/many/r0 removed.*2 sockets kept")

    talking(server, work)


def test_hooks_that_run_end_in_their_own_code(served: Served) -> None:
    server, project = served

    async def work(one: Talker, two: Talker) -> None:
        async with connect(server.websocket_url + "threads") as thread:
            await thread.send("hold")
            await one.socket.send("hold")
            await asyncio.sleep(SPACING)
            for version in (41, 42, 43):
                project.save(UTIL + "deep.py", version)
                project.save(ROUTES + "threads.py", version)
                await asyncio.sleep(SPACING)
            await two.until(deep=43)
            async with httpx.AsyncClient() as client:
                assert (await client.get(server.url + "release")).status_code == 204
            one.check("hold", json.loads(await one.socket.recv()))
            assert one.seen["deep"][0] < 141
            old = json.loads(await thread.recv())
            assert len(set(old["deep"])) == 1 and old["deep"][0] < 141
            await one.until(deep=43)
            await thread.send("next")
            assert json.loads(await thread.recv()) == {"chat": 143, "deep": [143, 143]}

    talking(server, work)


def test_streams_of_changed_code_come_back_to_the_new(served: Served) -> None:
    server, project = served

    async def stream(client: httpx.AsyncClient) -> tuple[str, asyncio.Task[str]]:
        context = client.stream("GET", server.url + "ticks", headers={"accept": "text/event-stream"})
        response = await context.__aenter__()
        chunks = response.aiter_text()
        first = await anext(chunks)

        async def rest() -> str:
            text = "".join([chunk async for chunk in chunks])
            await context.__aexit__(None, None, None)
            return text

        return first, asyncio.create_task(rest())

    async def work(one: Talker, two: Talker) -> None:
        async with httpx.AsyncClient(timeout=10) as client:
            first, rest = await stream(client)
            project.save(ROUTES + "chat.py", 50)
            await one.until(chat=50)
            assert not rest.done()
            project.save(UTIL + "deep.py", 51)
            assert await rest == "retry: 100\n\n"
            second, rest = await stream(client)
            assert (first != second, second) == (True, "data: 151 100\n\n")
            project.save(ROUTES + "ticks.py", 52)
            assert await rest == "retry: 100\n\n"
            third, rest = await stream(client)
            assert third == "data: 151 152\n\n"
            rest.cancel()

    talking(server, work)


def test_a_helper_of_a_plugin_restarts_and_a_broken_one_does_not(
    served: Served,
) -> None:
    server, project = served
    first = probe(server)["pid"]

    async def main() -> None:
        shows = Output(server)
        async with talkers(server) as (one, two):
            project.write(UTIL + "plugged.py", "V = = 1\n")
            await talk_while(
                asyncio.to_thread(shows.line, r"error: src/server/util/plugged\.py, line 1.*\n.*\n.*goes on"),
                one,
                two,
            )
        assert probe(server)["pid"] == first
        answers: list[str] = []
        async with connect(server.websocket_url + "chat") as socket, httpx.AsyncClient() as client:
            project.save(UTIL + "plugged.py", 9)
            async with asyncio.timeout(20):
                # Each on a connection of its own, without a pause: none is refused, and each gets its answer.
                while not answers or answers[-1] != "109":
                    answers.append((await client.get(server.url + "plugged", headers=CLOSE)).text)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert set(answers) == {"100", "109"}
        shows.line(r"restarted in \d+ ms: src/server/util/plugged\.py")

    asyncio.run(main())
    assert probe(server)["pid"] != first
