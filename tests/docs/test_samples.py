"""Every sample of the documentation does what its page says."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from longwave import create_app
from tests.docs import checks_guides, checks_reference, checks_start  # noqa: F401
from tests.docs.registry import CHECKS
from tests.docs.samples import PAGES, ROOT, Block, Check, Sample, Section, sections_of

SECTIONS = [section for page in PAGES for section in sections_of(page)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.id)
def test_section(section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sample = Sample(tmp_path)
    try:
        for step in section.steps:
            if isinstance(step, Block):
                sample.take(step)
            else:
                done = CHECKS[step.page, step.name](sample)
                if inspect.isawaitable(done):
                    asyncio.run(_within(done))
        # What no check looked at has to be a project that can be served, at least.
        create_app(tmp_path)
    finally:
        sample.close()


def test_every_check_is_used_and_there() -> None:
    used = {
        (step.page, step.name) for section in SECTIONS for step in section.steps if isinstance(step, Check)
    }
    assert used == set(CHECKS)


def test_every_project_is_checked() -> None:
    """A route file of which nothing is asked would only be imported."""
    unchecked = []
    for section in SECTIONS:
        last = max((i for i, step in enumerate(section.steps) if isinstance(step, Check)), default=-1)
        unchecked += [
            str(step)
            for step in section.steps[last + 1 :]
            if isinstance(step, Block) and step.title is not None and step.title.startswith("src/")
        ]
    assert unchecked == []


def test_the_three_files_are_word_for_word() -> None:
    example = ROOT / "examples" / "chat"
    shown = {
        step.title: step.code
        for section in sections_of(ROOT / "README.md")
        if any(isinstance(step, Check) and step.name == "three-files" for step in section.steps)
        for step in section.steps
        if isinstance(step, Block)
    }
    names = ["longwave.config.py", "src/server/routes/api/ws/chat.py", "src/server/routes/api/sse.py"]
    assert list(shown) == names
    assert shown == {name: (example / name).read_text() for name in names}


async def _within(work: object) -> None:
    assert inspect.isawaitable(work)
    async with asyncio.timeout(30):
        await work
