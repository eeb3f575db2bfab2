"""Binding: taken ports, hosts, Unix and inherited sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from longwave.cli.listen import (
    bind_hmr_socket,
    bind_slots,
    bind_socket,
    close_socket,
    local_urls,
    network_urls,
)
from longwave.config import Settings, load_settings
from longwave.errors import ConfigError


def settings(root: Path, *, environ: dict[str, str] | None = None, **server: Any) -> Settings:
    return load_settings(root, command="dev", overrides={"server": server}, environ=environ or {})


@contextmanager
def bound(chosen: Settings) -> Iterator[socket.socket]:
    sock = bind_socket(chosen)
    try:
        yield sock
    finally:
        close_socket(chosen, sock)


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield port_of(sock)


def test_localhost_is_loopback(tmp_path: Path) -> None:
    with bound(settings(tmp_path, port=0)) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
        # It listens already: who comes before there is a worker waits.
        socket.create_connection(sock.getsockname(), timeout=5).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_taken_port_is_passed_over(tmp_path: Path, taken: int, host: str) -> None:
    with bound(settings(tmp_path, port=taken, host=host)) as sock:
        assert taken < port_of(sock) < taken + 50


def test_a_taken_port_is_an_error_when_it_is_strict(tmp_path: Path, taken: int) -> None:
    with pytest.raises(ConfigError) as caught:
        bind_socket(settings(tmp_path, port=taken, strict_port=True))
    assert str(caught.value) == (
        f"port {taken} is taken; stop the program that has it, or set another --port "
        f"(server.port = {taken} is from command line)"
    )


def test_a_port_of_which_the_other_half_is_taken_is_passed_over(tmp_path: Path) -> None:
    with ExitStack() as stack:
        try:
            other = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        except OSError:
            pytest.skip("this machine has no IPv6")
        with bound(settings(tmp_path, port=port_of(other))) as sock:
            assert port_of(sock) != port_of(other)


def test_a_host_that_is_none_names_where_it_was_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server.host = no.invalid is from environment variable HOST"):
        bind_socket(settings(tmp_path, environ={"HOST": "no.invalid"}))
    with pytest.raises(ConfigError, match=r"192.0.2.1.*not one of this machine"):
        bind_socket(settings(tmp_path, host="192.0.2.1"))


def test_every_interface_has_a_network_address(tmp_path: Path) -> None:
    chosen = settings(tmp_path, host=True, port=0)
    with bound(chosen) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"
    assert local_urls(chosen, 3000) == ["http://localhost:3000/"]
    assert all(url.endswith(":3000/") for url in network_urls(chosen, 3000))
    assert network_urls(settings(tmp_path), 3000) == []


def test_addresses_as_a_browser_takes_them(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("")
    assert local_urls(settings(tmp_path, host="::2"), 80) == ["http://[::2]/"]
    assert local_urls(settings(tmp_path, ssl_certfile="cert.pem"), 443) == ["https://localhost/"]
    assert local_urls(settings(tmp_path, host="10.1.2.3"), 81) == ["http://10.1.2.3:81/"]


def test_a_unix_socket_takes_the_place_of_a_stale_one_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "run.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    chosen = settings(tmp_path, uds=path)
    with bound(chosen):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        with pytest.raises(ConfigError, match="another server listens"):
            bind_socket(chosen)
    assert not path.exists()


@pytest.mark.parametrize("hmr", [True, False, {"path": "x"}, {"port": 3000}])
def test_hmr_shares_the_socket_of_the_server(tmp_path: Path, hmr: Any) -> None:
    assert bind_hmr_socket(settings(tmp_path, port=3000, hmr=hmr)) is None


@pytest.mark.parametrize("server", [{}, {"uds": "run.sock"}])
def test_hmr_listens_at_a_port_of_its_own(tmp_path: Path, taken: int, server: dict[str, Any]) -> None:
    sock = bind_hmr_socket(settings(tmp_path, hmr={"port": taken, "host": "hmr.invalid"}, **server))
    assert sock is not None
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"
        assert taken < port_of(sock) < taken + 50


def test_a_taken_port_of_hmr_is_an_error_when_it_is_strict(tmp_path: Path, taken: int) -> None:
    with pytest.raises(ConfigError) as caught:
        bind_hmr_socket(settings(tmp_path, hmr={"port": taken}, strict_port=True))
    assert str(caught.value) == (
        f"port {taken} is taken; stop the program that has it, or set another server.hmr.port "
        f"(server.hmr.port = {taken} is from command line)"
    )


def test_an_inherited_socket(tmp_path: Path, taken: int) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as given,
        bound(settings(tmp_path, fd=given.fileno())) as sock,
    ):
        assert port_of(sock) == port_of(given)
        assert sock.fileno() != given.fileno()
    with socket.socket() as quiet, pytest.raises(ConfigError, match="found one that does not listen"):
        bind_socket(settings(tmp_path, fd=quiet.fileno()))
    with pytest.raises(ConfigError, match=r"server\.fd = 9999: expected a listening socket, found Bad file"):
        bind_socket(settings(tmp_path, fd=9999))


@pytest.mark.parametrize("strict", [True, False])
def test_each_worker_has_a_queue_of_its_own_at_one_address(tmp_path: Path, strict: bool) -> None:
    slots = bind_slots(settings(tmp_path, port=0, host="127.0.0.1", strict_port=strict), 3)
    try:
        assert len({sock.getsockname() for (sock,) in slots}) == 1
        assert len({sock for (sock,) in slots}) == (3 if sys.platform == "linux" else 1)
        # Somebody else's server does not become one of them.
        with pytest.raises(ConfigError, match="is taken"):
            bind_slots(settings(tmp_path, port=port_of(slots[0][0]), host="127.0.0.1", strict_port=True), 2)
    finally:
        for (sock,) in slots:
            sock.close()


def test_workers_without_sockets_of_their_own_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(**server: Any) -> socket.socket:
        slots = bind_slots(settings(tmp_path, **server), 3)
        assert slots[0] is slots[1] is slots[2]
        ((sock,), *_) = slots
        return sock

    share(uds=str(tmp_path / "s")).close()
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        share(fd=inherited.fileno()).close()
    monkeypatch.setattr(sys, "platform", "darwin")
    share(port=0).close()
