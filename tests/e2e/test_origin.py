"""Pages of other origins: no WebSocket, and no event stream in the name of their user (check 22)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from longwave.config import load_settings
from longwave.errors import ConfigError
from tests.e2e.probe import Probe, probing
from tests.e2e.wire import Wire, clients, run

PORT = 8443
HOST = f"app.example:{PORT}"
OWN = f"http://{HOST}"

FOREIGN = {
    "another host": "http://evil.example",
    "another port": "http://app.example:8444",
    "no port": "http://app.example",
    "another scheme than http": f"ftp://{HOST}",
    "a name that ends like ours": f"http://evil-{HOST}",
    "a name that begins like ours": f"http://app.example.evil.example:{PORT}",
    "evil-localhost": f"http://evil-localhost:{PORT}",
    "localhost, which is for dev": f"http://localhost:{PORT}",
    "null": "null",
    "empty": "",
    "a path": f"{OWN}/",
    "a user": f"http://app.example@evil.example:{PORT}",
    "two in one": f"{OWN} http://evil.example",
    "listed, but another port": "https://shop.example.org:444",
    "listed, but another scheme": "http://shop.example.org",
    "the name itself of a listed wildcard": "https://partner.example",
    "a name that ends like a wildcard": "https://evilpartner.example",
}
ALLOWED = {
    "our own": OWN,
    "in capitals": OWN.upper(),
    "https, which a proxy may have ended": f"https://{HOST}",
    "listed": "https://shop.example.org",
    "below a wildcard": "https://a.b.partner.example",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server that believes a proxy on this machine, and lists two more origins."""
    settings = {
        "security.origins": "https://shop.example.org, *.partner.example",
        "security.forwarded_allow_ips": "127.0.0.1",
        "timeouts.close": 0.5,
    }
    with probing(tmp_path_factory.mktemp("origin"), env=settings) as probe:
        yield probe


def origin(value: str) -> str:
    return f"Origin: {value}"


def wish(path: str, *fields: str, host: str = HOST) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


def upgrading(*fields: str) -> bytes:
    return wish(
        "/ws/echo",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *fields,
    )


def streaming(*fields: str) -> bytes:
    return wish("/events/idle", "Accept: text/event-stream", *fields)


async def status_and_cut(client: Wire, data: bytes) -> int:
    """Send a request whose answer may have no end."""
    client.send(data)
    status, _, _ = await client.response(head_only=True)
    return status


def answer_to(server: Probe, data: bytes) -> int:
    found: list[int] = []

    async def main() -> None:
        async with clients(server.port) as connect:
            found.append(await status_and_cut(await connect(), data))

    run(main(), 10)
    return found[0]


CREDENTIALS = {"cookie": "Cookie: session=1", "authorization": "Authorization: Bearer t0ken"}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_pages_get_nothing(server: Probe, name: str) -> None:
    value = FOREIGN[name]

    async def main() -> None:
        async with clients(server.port) as connect:
            for data in (
                upgrading(origin(value)),
                upgrading(origin(value), CREDENTIALS["cookie"]),
                *(streaming(origin(value), field) for field in CREDENTIALS.values()),
            ):
                client = await connect()
                client.send(data)
                status, _, body = await client.response()
                assert status == 403
                told = json.loads(body)["message"]
                assert "security.origins" in told and repr(value) in told and repr(HOST) in told

    with server.unharmed():
        run(main(), 20)


@pytest.mark.parametrize("name", ALLOWED)
def test_pages_that_may(server: Probe, name: str) -> None:
    field = origin(ALLOWED[name])
    with server.unharmed():
        assert answer_to(server, upgrading(field, CREDENTIALS["cookie"])) == 101
        assert answer_to(server, streaming(field, CREDENTIALS["cookie"])) == 200


def test_a_doubled_origin(server: Probe) -> None:
    twice = [origin(OWN), origin(OWN)]

    with server.unharmed():
        assert answer_to(server, upgrading(*twice)) == 403
        assert answer_to(server, streaming(*twice, CREDENTIALS["cookie"])) == 403


def test_clients_that_are_no_browsers(server: Probe) -> None:
    with server.unharmed():
        assert answer_to(server, upgrading()) == 101
        assert answer_to(server, upgrading(CREDENTIALS["authorization"])) == 101
        assert answer_to(server, streaming(CREDENTIALS["authorization"])) == 200


def test_clients_without_an_origin_as_configured(tmp_path: Path) -> None:
    """A stream of the same origin is asked for without one, also by a browser."""
    with probing(tmp_path, env={"security.require_origin": "true"}) as server:
        assert answer_to(server, upgrading()) == 403
        assert answer_to(server, upgrading(CREDENTIALS["cookie"])) == 403
        assert answer_to(server, upgrading(origin(OWN))) == 101
        assert answer_to(server, upgrading(origin("http://evil.example"))) == 403
        assert answer_to(server, streaming(CREDENTIALS["cookie"])) == 200
        assert answer_to(server, wish("/hello")) == 200


def test_streams_without_credentials_are_like_any_request(server: Probe) -> None:
    """The browser itself keeps the answer from the page, and nothing in it is the user's."""
    foreign = origin("http://evil.example")
    with server.unharmed():
        assert answer_to(server, streaming(foreign)) == 200
        # What is no stream is left to the browser, and to a middleware.
        assert answer_to(server, wish("/hello", foreign, CREDENTIALS["cookie"])) == 200
        assert answer_to(server, wish("/hello", "Accept: text/html", foreign, CREDENTIALS["cookie"])) == 200


@pytest.mark.parametrize("accept", ["text/event-stream;q=0.9, */*", "TEXT/Event-Stream"])
def test_streams_are_known_by_what_they_accept(server: Probe, accept: str) -> None:
    fields = (f"Accept: {accept}", origin("http://evil.example"), CREDENTIALS["cookie"])
    several = ("Accept: text/html", *fields)
    with server.unharmed():
        assert answer_to(server, wish("/events/idle", *fields)) == 403
        assert answer_to(server, wish("/events/idle", *several)) == 403


def test_the_scheme_counts_where_it_is_known(server: Probe) -> None:
    """A proxy that is trusted has ended TLS, and told what it was asked for."""
    told = ("X-Forwarded-Proto: https", f"X-Forwarded-Host: {HOST}")
    with server.unharmed():
        assert answer_to(server, upgrading(*told, origin(f"https://{HOST}"))) == 101
        assert answer_to(server, upgrading(*told, origin(OWN))) == 403
        assert answer_to(server, streaming(*told, origin(OWN), CREDENTIALS["cookie"])) == 403
        told = ("X-Forwarded-Proto: http", f"X-Forwarded-Host: {HOST}")
        assert answer_to(server, upgrading(*told, origin(OWN))) == 101
        assert answer_to(server, upgrading(*told, origin(f"https://{HOST}"))) == 403


@pytest.mark.parametrize(
    "entry",
    [
        r"https://.*\.example\.com",
        "^https://example.com$",
        "https://(shop|app).example.com",
        "https://*example.com",
        "example.*",
        "a.*.example.com",
        "https://",
        "https://example.com/",
        "https://example.com/path",
        "https://user@example.com",
        '["https://example.com"]',
        "https://example.com:port",
        "https://example.com https://example.org",
    ],
)
def test_what_is_no_origin_is_no_setting(entry: str, tmp_path: Path) -> None:
    """Least of all a regular expression: it would be taken for a name that nobody has, or for too many."""
    with pytest.raises(ConfigError, match="expected a list of origins"):
        load_settings(tmp_path, command="start", environ={"LONGWAVE_SECURITY_ORIGINS": entry})


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "null",
        "example.com",
        "*.example.com",
        "example.com:8443",
        "http://[::1]:3000",
        "app://chat.local",
    ],
)
def test_what_is_one(entry: str, tmp_path: Path) -> None:
    settings = load_settings(tmp_path, command="start", environ={"LONGWAVE_SECURITY_ORIGINS": entry})
    assert settings.security.origins == (entry,)
