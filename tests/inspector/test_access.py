"""Who may see the inspector, and its page, files and form."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import monotonic, time

import pytest

from longwave.contract import FullReply, UpgradeReply
from longwave.inspector import access as module
from longwave.inspector.access import LocalAccess, TokenAccess
from longwave.types import Fields
from tests.app.harness import FakeBody, header
from tests.inspector.harness import ADDRESS, Watched, look

TOKEN = "correct horse battery"
WRONG = "wrong horse battery!!"
PAGE = "/_longwave/"
SOCKET = "/_longwave/inspector"
OFFER = (b"sec-websocket-protocol", b"longwave-inspector")
OWN: Fields = [(b"origin", b"http://example.com")]
FOREIGN: Fields = [(b"origin", b"http://evil.example")]


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAY", 0)


def guarded() -> Watched:
    return Watched({}, TokenAccess(TOKEN))


def bearer(token: str) -> Fields:
    return [(b"authorization", f"Bearer {token}".encode())]


async def sign_in(watched: Watched, token: str, *, scheme: str = "http", headers: Fields = OWN) -> FullReply:
    data = f"token={token}".replace(" ", "+").encode()
    fields = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"%d" % len(data)),
        *headers,
    ]
    return await watched.full(PAGE, method="POST", headers=fields, body=FakeBody(data), scheme=scheme)


async def cookie(watched: Watched) -> Fields:
    said = header(await sign_in(watched, TOKEN), "set-cookie")
    assert said is not None
    return [(b"cookie", said.partition(";")[0].encode())]


def token_of(reply: FullReply) -> str:
    found = re.search(rb'<meta name="longwave-token" content="([^"]*)">', reply.body)
    assert found is not None, reply.body[:500]
    return found[1].decode()


async def status(watched: Watched, token: str, headers: Fields) -> int:
    reply = await watched.ask(f"{SOCKET}?token={token}", upgrade=True, headers=[OFFER, *headers])
    return 101 if isinstance(reply, UpgradeReply) else reply.status


def test_the_page_is_for_itself_alone() -> None:
    async def check(watched: Watched) -> None:
        page = await watched.full(PAGE)
        assert page.status == 200 and header(page, "content-type") == "text/html; charset=utf-8"
        policy = header(page, "content-security-policy") or ""
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert header(page, "x-content-type-options") == "nosniff"
        assert header(page, "cache-control") == "no-store"
        assert header(page, "cross-origin-resource-policy") == "same-origin"
        assert b"unsafe" not in page.body and b"<script>" not in page.body and b" style=" not in page.body
        assert len(token_of(page)) >= 32
        named = re.findall(rb'(?:src|href)="(inspector/[^"]+)"', page.body)
        assert named
        for name in named:
            reply = await watched.full(PAGE + name.decode())
            assert reply.status == 200 and header(reply, "x-content-type-options") == "nosniff"
        script = await watched.full(f"{SOCKET}/page.js")
        assert header(script, "content-type") == "text/javascript; charset=utf-8"
        imported = re.findall(rb'from "\./(page_[a-z]+\.js)"', script.body)
        assert imported
        for name in imported:
            assert (await watched.full(f"{SOCKET}/{name.decode()}")).status == 200

    Watched({}).run(check)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/_longwave", 307),
        ("HEAD", PAGE, 200),
        ("GET", "/_longwave/nothing", 404),
        ("GET", SOCKET, 404),
        ("GET", f"{SOCKET}/page.html", 404),
        ("GET", f"{SOCKET}/pages.py", 404),
        ("GET", f"{SOCKET}/..%2faccess.py", 404),
        ("GET", f"{SOCKET}/../access.py", 404),
        ("GET", f"{SOCKET}/", 404),
        ("POST", f"{SOCKET}/page.js", 405),
        ("POST", PAGE, 405),
        ("PUT", PAGE, 405),
    ],
)
def test_what_else_is_asked_for(method: str, path: str, expected: int) -> None:
    async def check(watched: Watched) -> None:
        assert (await watched.full(path, method=method)).status == expected

    Watched({}).run(check)


def test_in_development_the_token_of_the_page_opens_the_socket() -> None:
    async def check(watched: Watched) -> None:
        token = token_of(await watched.full(PAGE))
        assert await status(watched, token, OWN) == 101
        assert await status(watched, token, []) == 101
        assert await status(watched, token, FOREIGN) == 403
        assert await status(watched, token, [(b"origin", b"null")]) == 403
        assert await status(watched, "", OWN) == 403
        assert await status(watched, "", []) == 403
        assert await status(watched, token[:-1], OWN) == 403
        assert await status(watched, "%FF%ED%A0%80", OWN) == 403
        assert LocalAccess()._token != LocalAccess()._token

    Watched({}).run(check)


def test_in_development_others_need_a_token_of_the_settings() -> None:
    far = ("192.0.2.1", 1234)

    async def check(watched: Watched) -> None:
        token = token_of(await watched.full(PAGE))
        for client in (far, None):
            for method, path in (("GET", PAGE), ("POST", PAGE)):
                refusal = await watched.full(path, method=method, client=client)
                assert refusal.status == 403 and b"set inspector.token" in refusal.body
            socket = f"{SOCKET}?token={token}"
            assert (
                await watched.full(socket, upgrade=True, headers=[OFFER, *OWN], client=client)
            ).status == 403

    Watched({}).run(check)

    async def check_token(watched: Watched) -> None:
        assert (await watched.full(PAGE)).status == 200
        assert (await watched.full(PAGE, client=far)).status == 401
        bearer = [(b"authorization", b"Bearer " + TOKEN.encode())]
        assert (await watched.full(PAGE, client=far, headers=bearer)).status == 200

    Watched({}, access=LocalAccess(TokenAccess(TOKEN))).run(check_token)


@pytest.mark.parametrize(
    "offered", [[], [b"graphql-ws"], [b"longwave-inspector, other"], [b"longwave-hmr"]], ids=str
)
def test_another_subprotocol_is_not_ours(offered: list[bytes]) -> None:
    async def check(watched: Watched) -> None:
        token = token_of(await watched.full(PAGE))
        headers = [(b"sec-websocket-protocol", name) for name in offered]
        reply = await watched.ask(f"{SOCKET}?token={token}", upgrade=True, headers=headers)
        assert isinstance(reply, FullReply) and reply.status == 404

    Watched({}).run(check)


def test_in_production_a_form_asks_for_the_token() -> None:
    async def check(watched: Watched) -> None:
        form = await watched.full(PAGE)
        assert form.status == 401 and (header(form, "www-authenticate") or "").startswith("Bearer ")
        assert b'<form method="post">' in form.body and b"longwave-token" not in form.body
        assert header(form, "cache-control") == "no-store"
        answer = await sign_in(watched, TOKEN)
        assert (answer.status, header(answer, "location")) == (303, PAGE)
        said = header(answer, "set-cookie") or ""
        assert "; HttpOnly" in said and "; SameSite=Strict" in said and "; Path=/_longwave/" in said
        assert "Secure" not in said and TOKEN not in said
        assert "; Secure" in (
            header(await sign_in(watched, TOKEN, scheme="https", headers=[]), "set-cookie") or ""
        )
        held = await cookie(watched)
        page = await watched.full(PAGE, headers=held)
        assert page.status == 200 and TOKEN.encode() not in page.body
        token = token_of(page)
        assert await status(watched, token, [*held, *OWN]) == 101
        assert await status(watched, token, [*held, *FOREIGN]) == 403
        assert await status(watched, "", [*held, *OWN]) == 403
        assert await status(watched, token, OWN) == 401
        assert await status(watched, TOKEN, OWN) == 401

    guarded().run(check)


def test_every_process_of_the_token_knows_a_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    held: Fields = []

    async def first(watched: Watched) -> None:
        held.extend(await cookie(watched))

    async def second(watched: Watched) -> None:
        assert (await watched.full(PAGE, headers=held)).status == 200
        now = time()
        monkeypatch.setattr("longwave.inspector.access.time", lambda: now + module.LASTS + 1)
        assert (await watched.full(PAGE, headers=held)).status == 401

    async def other(watched: Watched) -> None:
        assert (await watched.full(PAGE, headers=held)).status == 401

    guarded().run(first)
    Watched({}, TokenAccess(WRONG)).run(other)
    guarded().run(second)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: str(int(text.partition(".")[0]) + 9999) + "." + text.partition(".")[2],
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text.partition(".")[0] + ".",
        lambda text: "." + text.partition(".")[2],
        lambda text: "9" * 5000 + "." + text.partition(".")[2],
        lambda text: "٣." + text.partition(".")[2],
        lambda text: "",
    ],
)
def test_a_cookie_that_was_changed_is_none(change: Callable[[str], str]) -> None:
    async def check(watched: Watched) -> None:
        ((name, value),) = await cookie(watched)
        key, _, text = value.decode().partition("=")
        changed = [(name, f"{key}={change(text)}".encode())]
        assert (await watched.full(PAGE, headers=changed)).status == 401

    guarded().run(check)


def test_authorization_in_place_of_the_form() -> None:
    async def check(watched: Watched) -> None:
        assert (await watched.full(PAGE, headers=bearer(TOKEN))).status == 200
        assert (await watched.full(PAGE, headers=bearer(WRONG))).status == 401
        assert (await watched.full(PAGE, headers=[(b"authorization", b"Basic eDp5")])).status == 401
        assert await status(watched, "", bearer(TOKEN)) == 101
        assert await status(watched, "", bearer(WRONG)) == 401
        assert await status(watched, "", [*bearer(TOKEN), *FOREIGN]) == 403
        looking = await look(watched, "", headers=bearer(TOKEN))
        assert looking.heard("hello")
        looking.leave()

    guarded().run(check)


def test_wrong_tokens_are_logged_and_limited_by_address(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(watched: Watched) -> None:
        with caplog.at_level(logging.WARNING, "longwave.error"):
            wrong = await sign_in(watched, WRONG)
        assert wrong.status == 401 and b'role="alert"' in wrong.body and WRONG.encode() not in wrong.body
        assert f"with a wrong token, from {ADDRESS[0]}" in caplog.text and WRONG not in caplog.text
        for _ in range(module.ATTEMPTS - 1):
            await watched.full(PAGE, headers=bearer(WRONG))
        refused = await sign_in(watched, TOKEN)
        assert refused.status == 429 and int(header(refused, "retry-after") or 0) > 0
        assert (await watched.full(PAGE, headers=bearer(TOKEN))).status == 429
        elsewhere = await watched.full(PAGE, headers=bearer(TOKEN), client=("192.0.2.9", 1))
        assert elsewhere.status == 200
        failures = watched.access._failures  # type: ignore[attr-defined]
        later = monotonic() + module.SPAN
        monkeypatch.setattr("longwave.inspector.access.monotonic", lambda: later)
        assert (await sign_in(watched, TOKEN)).status == 303
        for number in range(2 * module.MOST_ADDRESSES):
            failures.add((str(number), 1))
        assert len(failures._spans) == module.MOST_ADDRESSES
        failures.add(None)

    guarded().run(check)


@pytest.mark.parametrize("headers", [FOREIGN, [(b"origin", b"null")]], ids=str)
def test_a_foreign_page_cannot_sign_in(headers: Fields) -> None:
    async def check(watched: Watched) -> None:
        assert (await sign_in(watched, TOKEN, headers=headers)).status == 403

    guarded().run(check)


@pytest.mark.parametrize("size", [None, b"4097", b"x", b"-1"])
def test_a_form_of_no_known_size_is_not_read(size: bytes | None) -> None:
    async def check(watched: Watched) -> None:
        headers = [] if size is None else [(b"content-length", size)]
        reply = await watched.full(PAGE, method="POST", headers=headers, body=FakeBody(b"x"))
        assert reply.status == 413

    guarded().run(check)


@pytest.mark.parametrize("data", [b"", b"other=1", b"token=", b"token=%ED%A0%80", b"token=a&token=b"])
def test_forms_without_the_token(data: bytes) -> None:
    async def check(watched: Watched) -> None:
        fields = [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"content-length", b"%d" % len(data)),
        ]
        assert (await watched.full(PAGE, method="POST", headers=fields, body=FakeBody(data))).status == 401

    guarded().run(check)


def test_a_form_of_another_type_is_refused() -> None:
    async def check(watched: Watched) -> None:
        fields = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        assert (await watched.full(PAGE, method="POST", headers=fields, body=FakeBody(b"{}"))).status == 415

    guarded().run(check)
