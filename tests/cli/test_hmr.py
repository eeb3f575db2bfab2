"""What of HMR stays while workers come and go."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from longwave.cli.hmr import HmrListener
from longwave.config import Settings, load_settings


def settings(root: Path, **server: Any) -> Settings:
    return load_settings(root, command="dev", overrides={"server": server}, environ={})


def test_token_and_socket_stay_while_the_settings_do(tmp_path: Path) -> None:
    told: list[str] = []
    listener = HmrListener(told.append)
    listener.listen(settings(tmp_path, hmr={"port": 0}))
    first, task = listener.sockets, listener.task()
    assert task["fd"] == first[0].fileno()
    listener.listen(settings(tmp_path, hmr={"port": 0, "path": "other"}, open=True))
    assert (listener.sockets, listener.task()) == (first, task)
    listener.listen(settings(tmp_path))
    assert (listener.sockets, first[0].fileno()) == ([], -1)
    assert listener.task() == {"token": task["token"], "fd": None}
    listener.listen(settings(tmp_path, hmr={"port": 0}, host="127.0.0.1"))
    assert listener.sockets[0].fileno() != -1
    listener.close()
    assert (listener.sockets, told) == ([], [])


def test_each_start_has_another_token(tmp_path: Path) -> None:
    tokens = {HmrListener(print).task()["token"] for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) >= 22 for token in tokens)


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listener = HmrListener(told.append)
        listener.listen(settings(tmp_path, hmr={"port": port}))
        found = listener.sockets[0].getsockname()[1]
        listener.close()
    assert told == [f"HMR is at port {found}: {port} is taken"]
