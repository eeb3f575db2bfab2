"""A folder of modules and a loader for it, as the tests of this folder use them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from longwave.routing.modules import Generation, Loader

__all__ = ["CHAT", "WORDS", "Project"]

WORDS = "src/server/util/words.py"
CHAT = "src/server/routes/chat.py"


class Project:
    """A folder of modules and a loader for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loader = Loader(root)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def load(self, name: str) -> Any:
        return self.loader.load(self.root / name)

    def edit(self, name: str, text: str) -> Generation:
        return self.loader.begin([self.write(name, text)])

    def change(self, name: str, text: str) -> None:
        self.edit(name, text).commit()

    def names(self, *paths: str) -> set[str]:
        found = self.loader.dependents([self.root / path for path in paths])
        return {path.relative_to(self.root).as_posix() for path in found}

    def registered(self) -> set[str]:
        prefix = self.loader._prefix
        return {name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix)}
