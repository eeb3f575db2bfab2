"""Opens a file of the project in the developer's editor, at a line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["editor_command", "file_inside", "open_editor"]


def file_inside(root: Path, name: str) -> Path | None:
    """Return the regular file of that name; None where it is not in the root.

    Links are followed first.
    """
    try:
        root, path = root.resolve(), (root / name).resolve(strict=True)
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def editor_command(environment: Mapping[str, str], path: Path, line: int) -> list[str] | None:
    """Return what opens a file at a line, or None where no editor is known.

    `LONGWAVE_EDITOR` is any command: `{file}` and `{line}` in it are filled in; without them they are added
    as a known editor wants them, or the file alone. `VISUAL` and `EDITOR` count where they are an editor with
    a window: in a terminal there is our own output.
    """
    own = _words(environment.get("LONGWAVE_EDITOR", ""))
    if own:
        if any("{file}" in word for word in own):
            return [word.replace("{file}", str(path)).replace("{line}", str(line)) for word in own]
        return [*own, *_place(own, path, line)]
    for name in ("VISUAL", "EDITOR"):
        words = _words(environment.get(name, ""))
        if words and _name(words) in KNOWN:
            # What waits for the file to be closed is for commands that wait.
            words = [word for word in words if word not in ("--wait", "-w")]
            return [*words, *_place(words, path, line)]
    return None


def open_editor(command: Sequence[str]) -> bool:
    """Start an editor and leave it alone; returns whether it could be started.

    No shell is involved.
    """
    program = shutil.which(command[0])
    if program is None:
        return False
    try:
        editor = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # It stays when the server is stopped.
            start_new_session=True,
        )
    except OSError:
        return False
    threading.Thread(target=editor.wait, name="longwave-editor", daemon=True).start()
    return True


JETBRAINS: Final = ("charm", "clion", "goland", "idea", "phpstorm", "pycharm", "rustrover", "webstorm")
COLONS: Final = ("subl", "sublime_text", "zed", "zeditor")
CODE: Final = ("code", "code-insiders", "codium", "cursor", "vscodium", "windsurf")
KNOWN: Final = frozenset((*JETBRAINS, *COLONS, *CODE))


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _name(words: Sequence[str]) -> str:
    return os.path.basename(words[0]).removesuffix(".sh")


def _place(words: Sequence[str], path: Path, line: int) -> list[str]:
    name = _name(words)
    if name in CODE:
        return ["--goto", f"{path}:{line}"]
    if name in COLONS:
        return [f"{path}:{line}"]
    if name in JETBRAINS:
        return ["--line", str(line), str(path)]
    return [str(path)]
