"""Commands that need no server, and every way in which a command line is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from longwave import __version__
from longwave.cli.main import main, overrides_of
from longwave.cli.terminal import Terminal
from longwave.config import load_settings


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "HOST"):
        monkeypatch.delenv(name, raising=False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"longwave {__version__}\n"


def test_help_names_the_commands_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.split("Commands:")[1].split()
    assert {"dev", "start", "routes", "config", "new"} <= set(lines)
    assert main(["start", "--help"]) == 0
    assert "--workers" in capsys.readouterr().out


def test_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.longwave]\nserver.port = 3001\nserver.hmr.path = "x"')
    assert main(["config", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "server.port = 3001" in lines
    assert 'server.hmr.path = "x"' in lines
    assert "limits.message = 1048576" in lines
    assert "server.uds = unset" in lines


def test_config_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.longwave]\nserver.port = 3001")
    monkeypatch.setenv("PORT", "3002")
    monkeypatch.setenv("LONGWAVE_SERVER_SSL_KEYFILE_PASSWORD", "hunter2")
    (tmp_path / "cert.pem").write_text("")
    monkeypatch.setenv("LONGWAVE_SERVER_SSL_CERTFILE", "cert.pem")
    monkeypatch.chdir(tmp_path)
    assert main(["config", "--explain", "--command", "start"]) == 0
    out = capsys.readouterr().out
    lines = [line.split("  ") for line in out.splitlines()]
    texts = [[part.strip() for part in line if part.strip()] for line in lines]
    at = texts.index(["server.port = 3002", "environment variable PORT"])
    assert texts[at + 1 : at + 3] == [
        ["hides 3001", "pyproject.toml [tool.longwave]"],
        ["hides 3000", "default"],
    ]
    assert ["server.strict_port = true", "default"] in texts
    assert "hunter2" not in out


def explained(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    return [[part.strip() for part in line if part.strip()] for line in lines]


def test_every_source_is_explained_the_highest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("longwave.config.py").write_text(
        "from longwave import define_config\nconfig = define_config(server={'port': 3001})\n"
    )
    Path("pyproject.toml").write_text("[tool.longwave]\nserver.port = 3002")
    Path(".env").write_text("LONGWAVE_SERVER_PORT=3003")
    monkeypatch.setenv("PORT", "3004")
    assert main(["config", "--explain", "--port", "3005"]) == 0
    texts = explained(capsys)
    at = texts.index(["server.port = 3005", "command line"])
    assert texts[at + 1 : at + 6] == [
        ["hides 3004", "environment variable PORT"],
        ["hides 3003", ".env (LONGWAVE_SERVER_PORT)"],
        ["hides 3002", "pyproject.toml [tool.longwave]"],
        ["hides 3001", "longwave.config.py"],
        ["hides 3000", "default"],
    ]


@pytest.mark.parametrize(
    ("above", "shown"),
    [
        # On, which it was: the table of the config file stays as it is.
        ("server.hmr = true", {"server.hmr": True, "server.hmr.port": 3002, "server.hmr.path": "vite-hmr"}),
        ('server.hmr.path = "x"', {"server.hmr": True, "server.hmr.port": 3002, "server.hmr.path": "x"}),
        ("server.hmr = false", {"server.hmr": False, "server.hmr.port": 3002}),
    ],
)
def test_a_table_of_the_config_file_below_the_project_file(
    above: str,
    shown: dict[str, object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "longwave.config.py").write_text(
        "from longwave import define_config\n"
        "config = define_config(server={'port': 3000, 'hmr': {'port': 3002, 'path': 'vite-hmr'}})\n"
    )
    (tmp_path / "pyproject.toml").write_text(f"[tool.longwave]\nserver.port = 3001\n{above}")
    settings = load_settings(tmp_path, command="dev", environ={})
    assert {key: settings.provenance[key].value for key in shown} == shown
    # What the banner names: what is hidden, and only where it is another value.
    terminal = Terminal()
    terminal.banner(0, local=[], hidden=settings.hidden())
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0] == (
        "  server.port is 3001 of pyproject.toml [tool.longwave], which hides 3000 of longwave.config.py: "
        "remove it from pyproject.toml to use 3000"
    )
    changed = {"server.hmr": True, "server.hmr.path": "vite-hmr"}
    expected = [key for key in shown if key in changed and shown[key] != changed[key]]
    assert [line.split()[0] for line in lines[1:]] == expected


def test_no_color(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    folder = tmp_path / "src" / "server" / "routes"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("def get(event):\n    return 1\n")
    assert main(["routes", str(tmp_path)]) == 0
    assert "\x1b[" in capsys.readouterr().out
    assert main(["routes", str(tmp_path), "--no-color"]) == 0
    assert capsys.readouterr().out.split() == ["GET", "/a", "http", "src/server/routes/a.py"]
    # Vite and the worker read the same variable.
    assert os.environ["NO_COLOR"] == "1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["dve"],
        ["dev", "--prot", "3000"],
        ["dev", "--port", "many"],
        ["dev", "--port", "65536"],
        ["dev", "--workers", "2"],
        ["start", "--workers", "-1"],
        ["start", "--log-level", "loud"],
        ["new"],
        ["dev", "a", "b"],
    ],
)
def test_a_wrong_command_line_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["dev", "start", "routes", "config"])
def test_a_root_that_is_not_there_is_1(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(tmp_path / "nowhere")]) == 1
    error = capsys.readouterr().err
    assert error == f"error: {tmp_path}/nowhere: expected the folder of a project, found nothing\n"


@pytest.mark.parametrize("command", ["start", "routes", "config"])
def test_a_wrong_setting_is_a_sentence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.longwave]\nserver.prot = 3001")
    assert main([command, str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "did you mean server.port?" in error
    assert "Traceback" not in error


def test_an_error_of_the_config_file_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "longwave.config.py").write_text("import os\nvalue = os.environ['NO_SUCH_NAME']\n")
    assert main(["config", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "longwave.config.py, line 2: KeyError: 'NO_SUCH_NAME'" in error
    assert "value = os.environ['NO_SUCH_NAME']" in error
    assert "Traceback" not in error


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", str(tmp_path / "nowhere"), "--log-level", "debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(tmp_path / "app")
    assert main(["new", name]) == 0
    assert f"longwave dev {name}" in capsys.readouterr().out
    assert main(["new", name]) == 1
    assert "expected a new or empty folder" in capsys.readouterr().err


def test_flags_become_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = {
        "host": "true",
        "open": "/chat",
        "port": 0,
        "strict_port": False,
        "fd": None,
        "log_level": "warn",
    }
    assert overrides_of(flags) == {
        "server": {"host": True, "open": "/chat", "port": 0, "strict_port": False},
        "log": {"level": "warn"},
    }
    assert overrides_of({"uds": Path("x.sock"), "log_level": None}) == {
        "server": {"uds": f"{tmp_path}/x.sock"}
    }


def test_host_and_open_may_stand_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Shown by `start`, which fails after the command line was read.
    (tmp_path / "pyproject.toml").write_text("[tool.longwave]\nserver.port = false")
    assert main(["start", str(tmp_path), "--host", "--open", "--port", "0"]) == 1
    assert "server.port" in capsys.readouterr().err


def test_import_longwave_imports_no_command() -> None:
    heavy = ["click", "rich", "watchfiles", "longwave.cli", "longwave.dev"]
    code = f"import longwave, sys, json; print(json.dumps([n for n in {heavy!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_program_ends_quietly_when_nobody_reads(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m longwave.cli config {tmp_path} | head -1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


STAND_IN = """#!/bin/sh
echo "built as $*"
[ -e fail ] && exit 3
mkdir -p dist && echo '<h1>page</h1>' > dist/index.html
"""


def test_build(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(tmp_path)]) == 1
    assert "there is nothing to build" in capfd.readouterr().err
    web = tmp_path / "web"
    vite = web / "node_modules" / ".bin" / "vite"
    vite.parent.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.longwave.frontend]\nvite = { root = "web", dist = "out" }'
    )
    assert main(["build", str(tmp_path)]) == 1
    assert f"run `npm install` in {web}" in capfd.readouterr().err
    vite.write_text(STAND_IN)
    vite.chmod(0o755)
    # The result is not where it is looked for.
    assert main(["build", str(tmp_path)]) == 1
    assert "frontend.vite.dist" in capfd.readouterr().err
    (tmp_path / "pyproject.toml").write_text('[tool.longwave.frontend]\nvite = { root = "web" }')
    assert main(["build", str(tmp_path), "--mode", "staging"]) == 0
    assert "built as build --manifest --mode staging --logLevel info" in capfd.readouterr().out
    (web / "fail").touch()
    assert main(["build", str(tmp_path)]) == 1
    assert "(exit code 3)" in capfd.readouterr().err


def test_start_and_dev_want_the_front_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.longwave.frontend]\nvite = { root = "web" }')
    assert main(["start", str(tmp_path), "--port", "0"]) == 1
    assert "run `longwave build`" in capsys.readouterr().err
    assert main(["dev", str(tmp_path), "--port", "0"]) == 1
    assert f"found nothing at {tmp_path / 'web'}" in capsys.readouterr().err
