"""Whose word on others counts: trusted proxies, not strangers; and a real nginx (check 22)."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.browser import in_chromium
from tests.e2e.nginx import behind_nginx
from tests.e2e.probe import Probe, probing
from tests.e2e.wire import Wire, clients, eventually, frame, request, run, upgrade

if TYPE_CHECKING:
    from playwright.async_api import Browser

ADDRESS = "127.0.0.2"
"""Where clients of nginx come from: one on 127.0.0.1 would be a proxy itself."""
LIES = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: gopher, http",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=6.6.6.6;proto=http;host=evil.example",
)
TOLD = {
    "X-Forwarded": (
        "X-Forwarded-For: 6.6.6.6, 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: app.example",
    ),
    "Forwarded": ("Forwarded: for=6.6.6.6, for=192.0.2.7;proto=https;host=app.example",),
}


async def whoami(client: Wire, *fields: str) -> dict[str, Any]:
    client.send(request("/whoami", *fields))
    status, _, body = await client.response()
    assert status == 200, body
    result: dict[str, Any] = json.loads(body)
    return result


@pytest.mark.parametrize("form", TOLD)
@pytest.mark.parametrize("trusted", ["127.0.0.0/8", "*", "10.0.0.0/8", ""])
def test_only_trusted_proxies_are_believed(form: str, trusted: str, tmp_path: Path) -> None:
    believed = trusted in ("127.0.0.0/8", "*")

    async def main(server: Probe) -> None:
        async with clients(server.port) as connect:
            seen = await whoami(await connect(), *TOLD[form])
            if believed:
                # With "*" every address of the chain is a proxy's: the nearest one counts.
                assert seen["client"][0] == "192.0.2.7"
                assert seen["url"] == "https://app.example/whoami"
            else:
                assert seen["client"][0] == "127.0.0.1"
                assert seen["url"] == "http://localhost/whoami"
            for origin, allowed in (
                ("https://app.example", believed),
                ("http://app.example", False),
                ("http://localhost", not believed),
            ):
                client = await connect()
                client.send(upgrade("/whoami", *TOLD[form], f"Origin: {origin}"))
                assert (await client.response())[0] == (101 if allowed else 403), origin

    settings = {"security.forwarded_allow_ips": trusted, "timeouts.close": 0.5}
    with probing(tmp_path, "proxied", env=settings) as server:
        run(main(server))


@dataclass
class Site:
    """A server, and the port at which nginx serves it over TLS."""

    server: Probe
    port: int

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Wire]:
        """Connect to nginx for a block."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        streams = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, local_addr=(ADDRESS, 0))
        client = Wire(*streams)
        try:
            yield client
        finally:
            client.writer.transport.abort()
            with suppress(OSError):
                await client.writer.wait_closed()

    def wish(self, head: bytes) -> bytes:
        """Return a request for the name and port of this site."""
        return head.replace(b"Host: localhost\r\n", f"Host: localhost:{self.port}\r\n".encode())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    settings = {"security.forwarded_allow_ips": "127.0.0.1", "timeouts.close": 0.5}
    with ExitStack() as stack:
        server = stack.enter_context(probing(folder / "project", "proxied", env=settings))
        yield Site(server, stack.enter_context(behind_nginx(folder / "nginx", server.port)))


@pytest.mark.nginx
def test_nginx_tells_who_the_client_is(site: Site) -> None:
    async def main() -> None:
        for lies in ((), LIES):
            async with site.client() as client:
                client.send(site.wish(request("/whoami", *lies)))
                status, _, body = await client.response()
                seen = json.loads(body)
                assert (status, seen["client"][0]) == (200, ADDRESS)
                assert seen["url"] == f"https://localhost:{site.port}/whoami"
                client.send(site.wish(upgrade("/whoami", *lies, f"Origin: https://localhost:{site.port}")))
                assert (await client.response())[0] == 101
                opcode, message = await client.frame()
                assert opcode == 1
                assert json.loads(message) == {"client": seen["client"], "url": seen["url"]}

    run(main())


@pytest.mark.nginx
def test_websockets_and_origins_through_nginx(site: Site) -> None:
    async def main() -> None:
        own = f"https://localhost:{site.port}"
        foreign = (own.replace("https", "http"), "https://localhost", "https://evil.example", "null")
        for origin in (*foreign, own):
            async with site.client() as client:
                client.send(site.wish(upgrade("/ws/echo", f"Origin: {origin}")))
                assert (await client.response())[0] == (101 if origin == own else 403), origin
                if origin == own:
                    for size in (0, 200, 100_000):
                        client.send(frame(b"x" * size))
                        assert await client.frame() == (1, b"x" * size)
                    client.send(frame(b"\x03\xe8", 8))
                    assert await client.closing() == (1000, "")
        stream = request("/events/idle", "Accept: text/event-stream", f"Origin: {foreign[0]}", "Cookie: a=b")
        async with site.client() as client:
            client.send(site.wish(stream))
            assert (await client.response())[0] == 403

    run(main())


@pytest.mark.nginx
def test_streams_come_through_nginx_as_they_are_written(site: Site) -> None:
    async def main() -> None:
        before = site.server.noted("stream closed")
        async with site.client() as client:
            client.send(site.wish(request("/events/idle", "Accept: text/event-stream")))
            status, fields, _ = await client.response(head_only=True)
            assert (status, fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
            # It has not ended, and nothing comes after this: it was not held back.
            assert await client.chunk() == b"data: begun\n\n"
        await eventually(lambda: site.server.noted("stream closed") == before + 1)

    run(main())


@pytest.mark.nginx
@pytest.mark.browser
def test_a_page_behind_nginx_survives_a_restart(tmp_path: Path) -> None:
    """Its EventSource meets a server that is not there, and comes back."""

    async def scenario(browser: Browser) -> None:
        context = await browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        await page.goto(f"https://localhost:{port}/hello")
        said = await page.evaluate(
            """() => new Promise((done, fail) => {
              const socket = new WebSocket(`wss://${location.host}/ws/echo`)
              socket.onopen = () => socket.send('through nginx')
              socket.onmessage = event => { done(event.data); socket.close() }
              socket.onerror = fail
            })"""
        )
        assert said == "through nginx"
        await page.evaluate(
            """() => {
              window.heard = []
              window.source = new EventSource('/events/idle', { withCredentials: true })
              source.onmessage = event => heard.push(event.data)
              source.onerror = () => heard.push(source.readyState)
            }"""
        )

        async def hears(pattern: str) -> bool:
            return re.fullmatch(pattern, await page.evaluate("heard.join(' ')")) is not None

        await eventually(lambda: hears("begun"))
        await asyncio.to_thread(server.stop)
        await eventually(lambda: hears("begun 0"))
        away = await page.evaluate("fetch('/hello').then(answer => answer.status)")
        assert away == 503
        # It came, met nobody, and was told when to come again.
        await eventually(lambda: hears("begun 0 0"), 15)
        await asyncio.to_thread(server.start)
        await eventually(lambda: hears("begun 0 0( 0)* begun"), 15)

    with (
        probing(tmp_path / "project", env={"security.forwarded_allow_ips": "127.0.0.1"}) as server,
        behind_nginx(tmp_path / "nginx", server.port) as port,
    ):
        in_chromium(scenario)
