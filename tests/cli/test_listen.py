"""Binding: taken ports, hosts, Unix and inherited sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from longwave.cli.listen import bind_sockets, close_sockets, local_urls, network_urls
from longwave.config import Settings, load_settings
from longwave.errors import ConfigError


def settings(root: Path, *, environ: dict[str, str] | None = None, **server: Any) -> Settings:
    return load_settings(root, command="dev", overrides={"server": server}, environ=environ or {})


@contextmanager
def bound(chosen: Settings) -> Iterator[list[socket.socket]]:
    sockets = bind_sockets(chosen)
    try:
        yield sockets
    finally:
        close_sockets(chosen, sockets)


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield port_of(sock)


def test_localhost_is_both_addresses_on_one_port(tmp_path: Path) -> None:
    with bound(settings(tmp_path, port=0)) as sockets:
        assert {port_of(sock) for sock in sockets} == {port_of(sockets[0])}
        assert sockets[0].getsockname()[0] == "127.0.0.1"
        for sock in sockets:
            socket.create_connection(sock.getsockname()[:2], timeout=5).close()


def test_a_taken_port_is_passed_over(tmp_path: Path, taken: int) -> None:
    with bound(settings(tmp_path, port=taken, host="127.0.0.1")) as sockets:
        assert taken < port_of(sockets[0]) < taken + 50


def test_a_taken_port_is_an_error_when_it_is_strict(tmp_path: Path, taken: int) -> None:
    with pytest.raises(ConfigError) as caught:
        bind_sockets(settings(tmp_path, port=taken, strict_port=True))
    assert str(caught.value) == (
        f"server.port = {taken} (command line): port {taken} is taken; stop what listens there or choose another port"
    )


def test_a_port_of_which_one_address_is_taken_is_passed_over(tmp_path: Path) -> None:
    with ExitStack() as stack:
        try:
            other = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        except OSError:
            pytest.skip("this machine has no IPv6")
        with bound(settings(tmp_path, port=port_of(other))) as sockets:
            assert port_of(sockets[0]) != port_of(other)


def test_a_host_that_is_none_names_where_it_was_set(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"server.host = no.invalid \(environment variable HOST\): cannot be"
    ):
        bind_sockets(settings(tmp_path, environ={"HOST": "no.invalid"}))
    with pytest.raises(ConfigError, match=r"server.host = 192.0.2.1 \(command line\): is no address of this"):
        bind_sockets(settings(tmp_path, host="192.0.2.1"))


def test_every_interface_has_a_network_address(tmp_path: Path) -> None:
    chosen = settings(tmp_path, host=True, port=0)
    with bound(chosen) as sockets:
        assert [sock.getsockname()[0] for sock in sockets] == ["0.0.0.0"]
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
        with pytest.raises(ConfigError, match="another server listens there"):
            bind_sockets(chosen)
    assert not path.exists()


def test_a_unix_socket_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep")
    with pytest.raises(ConfigError, match="expected a socket or nothing there, found a file"):
        bind_sockets(settings(tmp_path, uds=path))
    assert path.read_text() == "keep"
    with pytest.raises(ConfigError, match="cannot listen there: No such file or directory"):
        bind_sockets(settings(tmp_path, uds=tmp_path / "missing" / "x.sock"))


def test_an_inherited_socket(tmp_path: Path, taken: int) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        bound(settings(tmp_path, fd=sock.fileno())) as sockets,
    ):
        assert [port_of(s) for s in sockets] == [port_of(sock)]
    with socket.socket() as quiet, pytest.raises(ConfigError, match="found one that does not listen"):
        bind_sockets(settings(tmp_path, fd=quiet.fileno()))
    reading, writing = os.pipe()
    try:
        with pytest.raises(
            ConfigError, match=r"server.fd = \d+ \(command line\): expected a listening socket"
        ):
            bind_sockets(settings(tmp_path, fd=reading))
    finally:
        os.close(reading)
        os.close(writing)
