"""Commands that need no server, and every way in which a command line is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from longwave import __version__
from longwave.cli.main import main, overrides_of


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
