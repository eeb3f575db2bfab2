"""A new project: where it is written, and that type checker and linter have nothing to say."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from longwave.cli.new import create_project, project_name
from longwave.config import load_settings
from longwave.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]


def test_the_files_of_a_project(tmp_path: Path) -> None:
    files = create_project(tmp_path / "deep" / "My App")
    assert [str(path) for path in files] == [
        ".gitignore",
        "README.md",
        "index.html",
        "longwave.config.py",
        "pyproject.toml",
        "src/server/routes/api/sse.py",
        "src/server/routes/api/ws/chat.py",
    ]
    project = tmp_path / "deep" / "My App"
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] == "my-app"
    assert (project / "README.md").read_text().startswith("# my-app\n")
    assert not [path for path in files if "__NAME__" in (project / path).read_text()]
    assert load_settings(project, command="dev", environ={}).server.port == 3000


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert create_project(tmp_path)


@pytest.mark.parametrize("name", [".hidden", "notes.txt"])
def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("keep")
    with pytest.raises(ConfigError, match=f"expected a new or empty folder, found {name} in it"):
        create_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("")
    with pytest.raises(ConfigError, match="expected a new name, found a file"):
        create_project(tmp_path / "app")
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        create_project(tmp_path / "app" / "inner")


@pytest.mark.parametrize(
    ("folder", "name"),
    [("chat", "chat"), ("My App!", "my-app"), ("..", "my-app"), ("ünï", "n"), ("a_b", "a-b")],
)
def test_the_name_of_the_distribution(folder: str, name: str) -> None:
    assert project_name(folder) == name


def check(project: Path, *command: str) -> None:
    # As in a project of its own, where longwave is installed and typed.
    environment = {**os.environ, "MYPYPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_has_nothing_to_say(tmp_path: Path) -> None:
    create_project(tmp_path)
    check(tmp_path, "ruff", "check", "--no-cache", ".")
    check(tmp_path, "ruff", "format", "--no-cache", "--check", ".")


def test_mypy_has_nothing_to_say(tmp_path: Path) -> None:
    create_project(tmp_path)
    # Not following into the package: what is wrong there is said by the package's own check.
    check(
        tmp_path, "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / ".mypy_cache")
    )
