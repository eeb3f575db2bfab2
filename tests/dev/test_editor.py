"""How a file is opened in an editor."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwave.dev.editor import editor_command, file_inside, open_editor

FILE = Path("/p/a b.py")


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, None),
        ({"EDITOR": "vim"}, None),
        ({"EDITOR": "code --wait"}, ["code", "--goto", "/p/a b.py:7"]),
        ({"EDITOR": "vim", "VISUAL": "/usr/bin/codium"}, ["/usr/bin/codium", "--goto", "/p/a b.py:7"]),
        ({"VISUAL": "vim", "EDITOR": "zed"}, ["zed", "/p/a b.py:7"]),
        ({"VISUAL": "subl -w", "EDITOR": "code"}, ["subl", "/p/a b.py:7"]),
        ({"VISUAL": "/opt/idea/bin/idea.sh"}, ["/opt/idea/bin/idea.sh", "--line", "7", "/p/a b.py"]),
        ({"LONGWAVE_EDITOR": "cursor", "EDITOR": "zed"}, ["cursor", "--goto", "/p/a b.py:7"]),
        ({"LONGWAVE_EDITOR": "my 'own editor'"}, ["my", "own editor", "/p/a b.py"]),
        ({"LONGWAVE_EDITOR": "x {file} +{line}"}, ["x", "/p/a b.py", "+7"]),
        ({"LONGWAVE_EDITOR": "'", "EDITOR": "'"}, None),
    ],
)
def test_the_command(environment: dict[str, str], command: list[str] | None) -> None:
    assert editor_command(environment, FILE, 7) == command


def test_files_are_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").touch()
    (tmp_path / "other.py").touch()
    (root / "out.py").symlink_to(tmp_path / "other.py")
    (root / "in.py").symlink_to(root / "src" / "a.py")
    assert file_inside(root, "src/a.py") == root / "src" / "a.py"
    assert file_inside(root, str(root / "src" / "a.py")) == root / "src" / "a.py"
    assert file_inside(root, "in.py") == root / "src" / "a.py"
    for name in (
        "out.py",
        "../other.py",
        "src/../../other.py",
        "src",
        "",
        "none",
        "/dev/null",
        "\0",
        "x" * 5000,
    ):
        assert file_inside(root, name) is None, name


def test_what_cannot_be_started() -> None:
    assert open_editor(["/nowhere/editor"]) is False
    assert open_editor(["true"]) is True
