"""Blocks that are no Python: shell lines name commands and options that exist, data can be read."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from longwave.cli.main import cli
from longwave.config import load_settings
from tests.docs.samples import LANGUAGES, PAGES, ROOT, Block, blocks_of
from tests.tools import node

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
OURS = (ROOT / "CONTRIBUTING.md", ROOT / "longwave" / "cli" / "templates" / "chat" / "README.md")


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every `longwave ...` line of shell blocks and units, and those in backticks."""
    for block in (*of("sh"), *of("ini")):
        for line in block.code.splitlines():
            for part in re.split(r"&&|;", line.split(" #")[0].removeprefix("ExecStart=")):
                words = shlex.split(part)
                if words and Path(words[0]).name == "longwave":
                    yield str(block), words[1:]
    for page in PAGES:
        for line in re.findall(r"`longwave ([a-z-][^`]*)`", page.read_text()):
            words = [word for word in shlex.split(line) if not re.fullmatch(r"\[?[A-Z]+\]?|\.\.\.", word)]
            yield str(page.relative_to(ROOT)), words


@pytest.mark.parametrize(
    ("place", "words"), [pytest.param(*entry, id=f"{entry[0]} {entry[1]}") for entry in commands()]
)
def test_command_exists(place: str, words: list[str]) -> None:
    try:
        with cli.make_context("longwave", list(words)) as context:
            name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            if name == "new" and not rest:
                rest = ["my-app"]
            command.make_context(name, rest, parent=context)
    except click.exceptions.Exit:
        pass  # --help and --version


def test_the_commands_were_found() -> None:
    assert len(list(commands())) > 20


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_toml(block: Block, tmp_path: Path) -> None:
    document = tomllib.loads(block.code)
    if "longwave" in document.get("tool", {}):
        (tmp_path / "pyproject.toml").write_text(block.code)
        settings = load_settings(tmp_path, command="start", environ={})
        assert any(origin.source == settings.project_source for origin in settings.provenance.values())


def test_json() -> None:
    for block in of("json"):
        json.loads(block.code)


@pytest.mark.node
@pytest.mark.parametrize("block", of("js"), ids=str)
def test_javascript(block: Block, tmp_path: Path) -> None:
    (tmp_path / "sample.js").write_text(block.code)
    program = node()
    assert program is not None
    done = subprocess.run([program, "--check", "sample.js"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_languages_are_known(page: Path) -> None:
    assert [str(block) for block in blocks_of(page) if block.language not in LANGUAGES] == []


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = "".join(page.read_text() for page in (*PAGES, *OURS))
    targets = set(re.findall(r"(?:^ {4}|`)make ([a-z][a-z0-9-]*)", text, re.MULTILINE))
    assert {"run", "test"} <= targets
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
