"""Code samples of the documentation: how they are written in Markdown, and how they are run.

A page is a program, read from the top. In it

- a fenced block with a title (```` ```python title="src/server/routes/sse.py" ````) is a file of a project;
- a Python block without one is run at its place; the blocks of a page share their names, as in a notebook;
- `<!-- new -->` throws files and names away and begins anew;
- `<!-- check: name -->` runs the check of that name from `checks*.py` over what is there so far.

Files of other languages may have titles too. `test_blocks.py` checks shell, TOML, JSON and JavaScript blocks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from longwave import create_app
from longwave.testing import TestClient

__all__ = ["LANGUAGES", "PAGES", "ROOT", "Block", "Check", "Sample", "Section", "blocks_of", "sections_of"]

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the repository."""

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""Every page whose samples are run."""

LANGUAGES = {"python", "sh", "toml", "json", "js", "html", "ts", "nginx", "ini", "http", "text"}
"""What a fenced block may be; `ts` is the original's code, which is shown and not run."""

FENCE = re.compile(r"(?P<marks>`{3,})(?P<info>[^`]*)")
TITLE = re.compile(r'title="(?P<title>[^"]+)"')
COMMENT = re.compile(r"<!-- (?P<what>new|check: (?P<check>[\w-]+)) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its first line of code."""

    page: Path
    line: int
    language: str
    title: str | None
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Check:
    """A place at which a check is run."""

    page: Path
    line: int
    name: str


@dataclass(slots=True)
class Section:
    """What belongs together: a page, or a part of it from one `<!-- new -->` to the next."""

    page: Path
    line: int
    steps: list[Block | Check] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The place of the section, for the name of its test."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


class Sample:
    """What the samples of a section have made so far: a project, and a module."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.module = ModuleType(f"longwave_docs_{abs(hash(root)):x}")
        sys.modules[self.module.__name__] = self.module

    @property
    def names(self) -> dict[str, Any]:
        """The names of the Python blocks that have no title."""
        return vars(self.module)

    def client(self, settings: Mapping[str, Any] | None = None, **options: Any) -> TestClient:
        """Return a client of the project, which has to load."""
        return TestClient(create_app(self.root, **(settings or {})), **options)

    def take(self, block: Block) -> None:
        """Write a file, or run a Python block; an error points to the line of the page."""
        if block.title is not None:
            path = self.root / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec", dont_inherit=True)
            exec(code, self.names)

    def close(self) -> None:
        """Forget the module."""
        sys.modules.pop(self.module.__name__, None)


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [step for step in _steps(page) if isinstance(step, Block)]


def sections_of(page: Path) -> list[Section]:
    """Return the sections of a page that have something to run."""
    sections = [Section(page, 1)]
    for step in _steps(page):
        if isinstance(step, int):
            sections.append(Section(page, step))
        else:
            sections[-1].steps.append(step)
    return [section for section in sections if any(map(_is_code, section.steps))]


def _is_code(step: Block | Check) -> bool:
    return isinstance(step, Check) or step.language == "python" or step.title is not None


def _steps(page: Path) -> Iterator[Block | Check | int]:
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if comment := COMMENT.fullmatch(line.strip()):
            yield Check(page, number, comment["check"]) if comment["check"] else number
        elif fence := FENCE.fullmatch(line.strip()):
            indent = line[: len(line) - len(line.lstrip())]
            start = number
            while lines[number].strip() != fence["marks"]:
                number += 1
            code = "".join(f"{each.removeprefix(indent)}\n" for each in lines[start:number])
            number += 1
            language, _, rest = fence["info"].strip().partition(" ")
            title = TITLE.search(rest)
            yield Block(page, start + 1, language, title["title"] if title else None, code)
