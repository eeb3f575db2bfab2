"""What `longwave dev` says of swaps, and which files it takes for settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from longwave.cli import dev as cli_dev
from longwave.cli.dev import DevServer, outcome_of
from longwave.dev.failures import Failure
from longwave.dev.feed import Swapped
from longwave.dev.supervisor import Supervisor

CONFIG = (
    "from longwave import define_config\nimport NAME\nconfig = define_config(server={'port': NAME.PORT})\n"
)


@pytest.mark.parametrize(
    ("news", "words"),
    [
        (Swapped((), 0, 3), ["3 modules"]),
        (Swapped((), 0, 1, ("/a",), kept=2), ["1 route", "2 sockets kept"]),
        (
            Swapped((), 0, 1, is_middleware=True, closed=1, ended=2),
            ["middleware", "1 socket closed", "2 streams ended"],
        ),
        (Swapped((), 0, 1, ("/a", "/b"), ("/c",), ("/d",)), ["2 routes", "/c added", "/d removed"]),
    ],
)
def test_what_came_of_a_swap(news: Swapped, words: list[str]) -> None:
    assert outcome_of(news) == words


def test_each_problem_is_shown_once_as_long_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = DevServer(tmp_path, None, None, {})
    first, second = Failure("no first", "a.py", 1), Failure("no second", "b.py", 1)
    for problems in ((first,), (first, second), (second,), (first, second)):
        dev.swapped(Swapped((), 0, problems=problems))
    shown = [line[12:] for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert shown == ["error: no first", "error: no second", "error: no first"]


def test_a_failure_and_what_becomes_of_what_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = DevServer(tmp_path, None, None, {})
    dev.failed(Failure("no", "a.py", 3, "x = ("), ["a.py"], True)
    dev.failed(Failure("no", "a.py", 3), ["a.py", "b.py"], False)
    dev.died(-9)
    output = capsys.readouterr()
    assert output.out == "  changed: b.py\n"
    assert [line[12:] for line in output.err.splitlines()] == [
        "error: no",
        "a.py, line 3",
        "  x = (",
        "The code from before goes on until a file changes.",
        "error: no",
        "a.py, line 3",
        "Nothing is served until a file changes.",
        "error: the worker ended by signal 9.",
        "Nothing is served until a file changes.",
    ]


def test_what_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[tuple[str, Any]] = []
    monkeypatch.setattr(cli_dev, "open_browser", lambda url, where: opened.append((url, where)))
    dev = DevServer(tmp_path, None, None, {"server": {"host": "127.0.0.1", "port": 0}})
    actions = dev.actions(cast(Supervisor, Typed()))
    # Nothing is served yet.
    actions["u"]()
    actions["o"]()
    dev.listen(dev.load())
    try:
        actions["u"]()
        actions["o"]()
        actions["h"]()
    finally:
        dev.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("  Local     http://localhost:")
    assert lines[1] == "  Inspector " + lines[0].split()[-1] + "_longwave/"
    assert [line.split("  ")[1] for line in lines[2:]] == [f"{letter} + enter" for letter in "ruocq"]
    assert set(actions) == set("ruocqh")
    assert opened == [(lines[0].split()[-1], True)]
    assert (actions["r"](), actions["q"]()) == ("restart", "stop")


class Typed:
    """A supervisor that says what it was told."""

    def restart(self) -> str:
        return "restart"

    def stop(self) -> str:
        return "stop"


def test_what_the_config_file_imports_is_a_setting_and_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "lw_test_ports"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    helper = tmp_path / f"{name}.py"
    helper.write_text("PORT = 4001\n")
    (tmp_path / "longwave.config.py").write_text(CONFIG.replace("NAME", name))
    dev = DevServer(tmp_path, None, None, {})
    try:
        assert dev.load().server.port == 4001
        # Of the same size, within the same second.
        helper.write_text("PORT = 4002\n")
        assert dev.load().server.port == 4002
        assert not (tmp_path / "__pycache__").exists()
        assert sys.dont_write_bytecode is False
        root = tmp_path.resolve()
        settings = [f"{name}.py", "longwave.config.py", ".env", ".env.local", "pyproject.toml"]
        assert all(dev.is_setting(root / setting) for setting in settings)
        others = ["other.py", "src/server/routes/a.py", "src/longwave.config.py", "src/server/util"]
        assert not any(dev.is_setting(root / other) for other in others)
    finally:
        sys.modules.pop(name, None)
