"""The names that the development server answers to."""

from __future__ import annotations

import pytest

from longwave.app.app import App
from longwave.dev.hosts import HostCheck, split_host
from tests.app.harness import full, make_app, run_app


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("localhost", ("localhost", "")),
        ("localhost:3000", ("localhost", "3000")),
        ("[::1]", ("[::1]", "")),
        ("[::1]:3000", ("[::1]", "3000")),
        ("", ("", "")),
    ],
)
def test_a_host_is_a_name_and_a_port(host: str, parts: tuple[str, str]) -> None:
    assert split_host(host) == parts


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("a.b.localhost", True),
        ("127.0.0.1", True),
        ("192.0.2.7", True),
        ("[::1]", True),
        ("[2001:db8::1]", True),
        ("own.example.com", True),
        ("OWN.example.com", True),
        ("example.org", True),
        ("a.b.example.org", True),
        ("evil.com", False),
        ("", False),
        ("localhost.", False),
        ("localhost.evil.com", False),
        ("evil-localhost", False),
        ("notlocalhost", False),
        ("127.0.0.1.evil.com", False),
        ("127.1", False),
        ("2130706433", False),
        ("[127.0.0.1]", False),
        ("::1", False),
        ("[::1", False),
        ("[evil.com]", False),
        ("a.own.example.com", False),
        ("example.com", False),
        ("evilexample.org", False),
    ],
)
def test_which_names_are_ours(name: str, allowed: bool) -> None:
    assert HostCheck(["own.example.com", ".Example.org"]).allows(name) is allowed


def test_a_foreign_name_is_refused_before_all_else() -> None:
    async def check(app: App) -> None:
        app.add_claim(HostCheck([]))
        for path in ("/", "/nowhere", "/_longwave/health"):
            reply = await full(app, path)
            assert reply.status == 403
            assert b"server.allowed_hosts" in reply.body and b"'example.com'" in reply.body
            assert b"LONGWAVE_SERVER_ALLOWED_HOSTS" in reply.body
        assert (await full(app, "/", headers=[(b"host", b"localhost")])).status == 403

    run_app(make_app({"/": lambda event: "home"}), check)


@pytest.mark.parametrize("allowed", [["example.com"], [".example.com"], True])
def test_more_names_and_every_name(allowed: list[str] | bool) -> None:
    async def check(app: App) -> None:
        app.add_claim(HostCheck(True if allowed is True else list(allowed or [])))
        assert (await full(app)).body == b"home"
        assert (await full(app, "/_longwave/health")).body == b'{"status":"ok"}'

    run_app(make_app({"/": lambda event: "home"}), check)


def test_what_a_trusted_proxy_says_is_what_counts() -> None:
    async def check(app: App) -> None:
        app.add_claim(HostCheck(["example.com"]))
        said = [(b"x-forwarded-host", b"evil.com")]
        assert (await full(app, headers=said)).status == 403

    run_app(make_app({"/": lambda event: "home"}, trusted_proxies=["192.0.2.1"]), check)


def test_one_that_is_not_trusted_is_not_asked() -> None:
    async def check(app: App) -> None:
        app.add_claim(HostCheck(["example.com"]))
        assert (await full(app, headers=[(b"x-forwarded-host", b"evil.com")])).status == 200

    run_app(make_app({"/": lambda event: "home"}), check)
