"""The HMR WebSocket: who is let in, what pages are told, and that nothing they say counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longwave.app.app import App
from longwave.app.hooks import define_websocket_handler
from longwave.app.peer import Peer
from longwave.app.service import ServiceSocket
from longwave.config.settings import HmrSettings
from longwave.contract import FullReply, Request, UpgradeReply
from longwave.core.frames import WS
from longwave.dev.failures import Failure
from longwave.dev.feed import Failed, Feed, News, Page, Restart, Swapped
from longwave.dev.hmr import PATH, PING, PROTOCOL, Hmr, HmrApplication, client_options, hmr_path
from longwave.dev.hosts import HostCheck
from longwave.types import Fields
from tests.app.harness import FakeLink, ask, make_app, run_app

TOKEN = "secret"
OWN = (b"origin", b"http://example.com")
FAILURE = Failure("SyntaxError: no", "a.py", 3, "x =")


def offer(*protocols: str) -> tuple[bytes, bytes]:
    return b"sec-websocket-protocol", ", ".join(protocols).encode()


class Served:
    """An app with HMR; `told` is what its feed told."""

    def __init__(self, root: Path, path: str = PATH, routes: dict[str, Any] | None = None, **options: Any):
        self.feed = Feed()
        self.told: list[News] = []
        self.feed.subscribe(self.told.append)
        self.hmr = Hmr(self.feed, root, path, TOKEN)
        self.app = make_app(routes or {}, dev=True, **options)
        self.app.add_claim(self.hmr.claim)

    async def ask(self, target: str, *fields: tuple[bytes, bytes]) -> Any:
        return await ask(self.app, target, upgrade=True, headers=list(fields))

    async def page(self) -> FakeLink:
        """Let a page in."""
        return opened(await self.ask(PATH, offer(PROTOCOL)))


def opened(reply: Any) -> FakeLink:
    assert isinstance(reply, UpgradeReply), reply
    link = FakeLink(WS)
    reply.session.opened(link)
    return link


def payloads(link: FakeLink) -> list[Any]:
    return [json.loads(text) for text in link.messages]


def run(served: Served, scenario: Callable[[], Any]) -> None:
    run_app(served.app, lambda app: scenario())


@pytest.mark.parametrize(
    ("query", "fields", "status"),
    [
        (f"?token={TOKEN}", [OWN], 101),
        (f"?x=1&token={TOKEN}", [(b"origin", b"http://localhost:5173")], 101),
        ("", [], 101),
        ("", [OWN], 403),
        ("?token=", [OWN], 403),
        ("?token=secre", [OWN], 403),
        ("?token=secrets", [OWN], 403),
        ("?token=%FF", [OWN], 403),
        ("?token=s%C3%A9cret", [OWN], 403),
        ("?token=wrong&x=secret", [OWN], 403),
        (f"?token={TOKEN}", [(b"origin", b"http://evil.com")], 403),
        (f"?token={TOKEN}", [(b"origin", b"http://example.com:81")], 403),
        (f"?token={TOKEN}", [(b"origin", b"null")], 403),
        (f"?token={TOKEN}", [OWN, OWN], 403),
        (f"?token={TOKEN}", [OWN, (b"origin", b"http://evil.com")], 403),
    ],
)
def test_a_page_needs_the_token_and_its_own_origin(
    tmp_path: Path, query: str, fields: Fields, status: int
) -> None:
    served = Served(tmp_path)

    async def scenario() -> None:
        reply = await served.ask(PATH + query, offer(PROTOCOL), *fields)
        if status == 101:
            assert reply.protocol == PROTOCOL
            assert payloads(opened(reply)) == [{"type": "connected"}]
        else:
            assert reply.status == status

    run(served, scenario)


def test_the_token_counts_where_every_origin_may_connect(tmp_path: Path) -> None:
    served = Served(tmp_path, origins=["*"])

    async def scenario() -> None:
        evil = (b"origin", b"http://evil.com")
        reply = await served.ask(PATH, offer(PROTOCOL), evil)
        assert (reply.status, b"reload the page" in reply.body) == (403, True)
        assert isinstance(await served.ask(f"{PATH}?token={TOKEN}", offer(PROTOCOL), evil), UpgradeReply)

    run(served, scenario)


@pytest.mark.parametrize("path", ["/", "/_longwave/hmr/", "/_longwave", "/_longwave/hmrs", "/_Longwave/hmr"])
def test_another_path_is_not_ours(tmp_path: Path, path: str) -> None:
    served = Served(tmp_path)

    async def scenario() -> None:
        assert (await served.ask(path, offer(PROTOCOL))).status == 404

    run(served, scenario)


@pytest.mark.parametrize(
    "protocols",
    [
        [],
        ["vite-hmr"],
        ["vite-ping"],
        ["chat"],
        ["chat", PROTOCOL],
        [PROTOCOL, "chat"],
        [PROTOCOL, PING],
        ["longwave-hmr2"],
        ["Longwave-HMR"],
    ],
)
@pytest.mark.parametrize("websocket", [True, False])
def test_a_route_at_the_same_path_has_its_own_upgrades(
    tmp_path: Path, protocols: list[str], websocket: bool
) -> None:
    handler = define_websocket_handler(protocols=("chat", "vite-hmr"))
    served = Served(tmp_path, "/chat", {"/chat": handler}, websocket=websocket)

    async def scenario() -> None:
        fields = [offer(*protocols)] if protocols else []
        reply = await served.ask("/chat", *fields)
        if websocket:
            assert isinstance(reply.session, Peer)
        else:
            assert reply.status == 426
        # Ours is there too, whatever the settings say of the project's own.
        reply = await served.ask("/chat", offer(PROTOCOL))
        assert isinstance(reply.session, ServiceSocket) and reply.protocol == PROTOCOL

    run(served, scenario)


def test_what_is_no_list_of_subprotocols_is_not_ours(tmp_path: Path) -> None:
    served = Served(tmp_path, "/chat", {"/chat": define_websocket_handler()})

    async def scenario() -> None:
        assert (await served.ask("/chat", offer(PROTOCOL, PROTOCOL))).status == 400
        assert (await served.ask("/chat", (b"sec-websocket-protocol", b"longwave-hmr "))).protocol == PROTOCOL

    run(served, scenario)


def test_plain_http_at_its_path_is_not_ours(tmp_path: Path) -> None:
    served = Served(tmp_path, "/chat", {"/chat": lambda event: "page"})

    async def scenario() -> None:
        reply = await ask(served.app, "/chat", headers=[offer(PROTOCOL)])
        assert isinstance(reply, FullReply) and reply.body == b"page"

    run(served, scenario)


@pytest.mark.parametrize(
    ("fields", "status"), [([], 101), ([OWN], 101), ([(b"origin", b"http://evil.com")], 403)]
)
def test_a_ping_needs_no_token_and_is_closed_at_once(tmp_path: Path, fields: Fields, status: int) -> None:
    served = Served(tmp_path)

    async def scenario() -> None:
        reply = await served.ask(PATH, offer(PING), *fields)
        if status != 101:
            assert reply.status == status
            return
        assert reply.protocol == PING
        link = opened(reply)
        assert (link.messages, link.closed_with) == ([], (1000, ""))
        served.feed.tell(Failed((), FAILURE))
        assert link.messages == []

    run(served, scenario)


@pytest.mark.parametrize(
    "said",
    [
        '{"type":"ping"}',
        '{"type":"custom","event":"vite:invoke","data":{"id":"send","name":"fetchModule","data":["/etc/passwd"]}}',
        '{"type":"custom","event":"longwave:swapped","data":{}}',
        '{"type":"full-reload"}',
        '{"type":"error","err":{"message":"x"}}',
        '{"file":"/etc/passwd","path":"../.env","command":"id","__import__":"os"}',
    ],
)
def test_what_a_page_says_does_nothing(tmp_path: Path, said: str) -> None:
    served = Served(tmp_path)

    async def scenario() -> None:
        reply = await served.ask(PATH, offer(PROTOCOL))
        link, other = opened(reply), await served.page()
        reply.session.received(said, True)
        assert link.messages == other.messages == ['{"type":"connected"}']
        assert (link.closed_with, served.told) == (None, [])

    run(served, scenario)


def test_pages_hear_the_news_until_they_go(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def scenario() -> None:
        reply = await served.ask(PATH, offer(PROTOCOL))
        one, two = opened(reply), await served.page()
        served.feed.tell(Swapped(("a.py",), 0.01))
        reply.session.closed(1001, "")
        served.feed.tell(Restart(("b.py",), "it is a plugin"))
        kinds = [payload.get("event", payload["type"]) for payload in payloads(two)]
        assert kinds == ["connected", "longwave:swapped", "longwave:restart"]
        assert [payload["type"] for payload in payloads(one)] == ["connected", "custom"]

    run(served, scenario)


def test_what_is_wrong_is_told_to_who_comes_late_until_it_is_mended(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def scenario() -> None:
        first = await served.page()
        served.feed.tell(Failed(("a.py",), FAILURE))
        for link in (first, await served.page()):
            connected, error = payloads(link)
            assert (connected["type"], error["type"]) == ("connected", "error")
            assert (error["err"]["message"], error["err"]["loc"]["line"]) == ("SyntaxError: no", 3)
        served.feed.tell(Swapped(("a.py",), 0.01, mended=True))
        assert [payload["type"] for payload in payloads(first)][2:] == ["custom"]
        assert payloads(await served.page()) == [{"type": "connected"}]

    run(served, scenario)


@pytest.mark.parametrize(
    "news",
    [Swapped((), 0, problems=(FAILURE,)), Failed((), FAILURE, is_next=True)],
    ids=["route", "next worker"],
)
def test_what_a_swap_does_not_mend_is_told_again(tmp_path: Path, news: News) -> None:
    served = Served(tmp_path)

    async def scenario() -> None:
        served.feed.tell(news)
        link = await served.page()
        assert [payload["type"] for payload in payloads(link)] == ["connected", "error"]
        problems = news.problems if isinstance(news, Swapped) else ()
        served.feed.tell(Swapped((), 0, problems=problems))
        assert [payload["type"] for payload in payloads(link)][2:] == ["custom", "error"]

    run(served, scenario)


def test_files_of_pages_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    style, page = tmp_path / "public" / "a.css", tmp_path / "index.html"
    style.write_text("a {}")
    page.write_text("<p>")
    served = Served(tmp_path)

    async def scenario() -> None:
        link = await served.page()
        served.hmr.changed([style])
        served.hmr.changed([page])
        assert [payload["type"] for payload in payloads(link)] == ["connected", "update", "full-reload"]
        assert served.told == [Page(("public/a.css",), False, 1), Page(("index.html",), True, 1)]

    run(served, scenario)


def test_a_file_that_is_gone_or_empty_has_a_moment(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    style, emptied = tmp_path / "public" / "a.css", tmp_path / "public" / "b.css"
    emptied.write_text("")
    served = Served(tmp_path)

    async def scenario() -> None:
        link = await served.page()
        told = asyncio.Event()
        served.feed.subscribe(lambda news: told.set())
        served.hmr.changed([style, emptied])
        assert len(link.messages) == 1
        style.write_text("a {}")
        async with asyncio.timeout(10):
            await told.wait()
        (update,) = payloads(link)[1:]
        assert [each["path"] for each in update["updates"]] == ["/a.css", "/b.css"]

    run(served, scenario)


class Port:
    """HMR at a port of its own, of pages at port 3000."""

    def __init__(self, root: Path) -> None:
        self.app = make_app({"/": lambda event: "home"}, dev=True, trusted_proxies=["192.0.2.1"])
        hmr = Hmr(Feed(), root, "/vite-hmr", TOKEN, page_port=3000)
        self.served = HmrApplication(self.app, "/vite-hmr", (HostCheck([]), hmr.claim))

    def ask(self, target: str, *fields: tuple[bytes, bytes], host: str, upgrade: bool = True) -> Any:
        headers = [(b"host", host.encode()), *fields]
        return self.served.handle(
            Request("GET", target.encode(), headers, client=("192.0.2.1", 1), is_upgrade=upgrade)
        )


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("192.0.2.7:3002", "http://192.0.2.7:3000", 101),
        ("localhost:3002", "http://localhost:3000", 101),
        ("192.0.2.7:3002", "http://192.0.2.7:3002", 403),
        ("192.0.2.7:3002", "http://192.0.2.8:3000", 403),
        ("localhost:3002", "http://evil.com:3000", 403),
        ("evil.com:3002", "http://evil.com:3000", 403),
    ],
)
def test_at_a_port_of_its_own_pages_are_those_of_the_other(
    tmp_path: Path, host: str, origin: str, status: int
) -> None:
    port = Port(tmp_path)
    fields = offer(PROTOCOL), (b"origin", origin.encode())
    reply = port.ask(f"/vite-hmr?token={TOKEN}", *fields, host=host)
    assert (101 if isinstance(reply, UpgradeReply) else reply.status) == status
    assert port.ask("/vite-hmr", *fields, host=host).status == 403


@pytest.mark.parametrize(
    ("target", "protocol", "upgrade", "status"),
    [
        ("/", PROTOCOL, True, 404),
        ("/", PROTOCOL, False, 404),
        ("/vite-hmr", "vite-hmr", True, 404),
        ("/vite-hmr", PROTOCOL, False, 426),
        ("/_longwave/health", PROTOCOL, False, 404),
        ("/index.html", PROTOCOL, False, 404),
        ("/%00", PROTOCOL, False, 400),
    ],
)
def test_at_a_port_of_its_own_there_is_nothing_else(
    tmp_path: Path, target: str, protocol: str, upgrade: bool, status: int
) -> None:
    reply = Port(tmp_path).ask(target, offer(protocol), host="localhost:3002", upgrade=upgrade)
    assert reply.status == status


def test_trusted_proxies_count_at_a_port_of_its_own(tmp_path: Path) -> None:
    forwarded = (b"x-forwarded-host", b"evil.com")
    reply = Port(tmp_path).ask("/vite-hmr", offer(PROTOCOL), forwarded, host="localhost:3002")
    assert reply.status == 403


def test_what_the_script_of_a_page_is_given() -> None:
    plain = client_options(HmrSettings(), TOKEN, page_port=3000)
    assert (plain.path, plain.token, plain.port, plain.direct) == (PATH, TOKEN, None, 3000)
    assert (plain.host, plain.protocol, plain.timeout, plain.overlay) == (None, None, 30.0, True)
    own = client_options(HmrSettings(port=3002, path="vite-hmr"), TOKEN, own_port=3003, page_port=3000)
    assert (own.path, own.port, own.direct) == ("/vite-hmr", 3003, 3003)
    settings = HmrSettings(
        port=3002, client_port=443, host="hmr.example.com", protocol="wss", timeout=5.0, overlay=False
    )
    public = client_options(settings, TOKEN, own_port=3002, page_port=3000)
    assert (public.host, public.port, public.protocol) == ("hmr.example.com", 443, "wss")
    assert (public.timeout, public.overlay) == (5.0, False)


@pytest.mark.parametrize(
    ("path", "url"), [(None, PATH), ("vite-hmr", "/vite-hmr"), ("/a/b", "/a/b"), ("/", "/")]
)
def test_the_path(path: str | None, url: str) -> None:
    assert hmr_path(HmrSettings(path=path)) == url


def test_the_app_stays_what_it_is(tmp_path: Path) -> None:
    """Pages that listen are no peers: neither counted nor reached by what is published."""
    served = Served(tmp_path, routes={"/chat": define_websocket_handler()})

    async def scenario() -> None:
        link = await served.page()
        app: App = served.app
        app.publish("room", "hello")
        app.set_routes([])
        assert (app.stats()["peers"], link.messages, link.closed_with) == (0, ['{"type":"connected"}'], None)

    run(served, scenario)
