"""Modules in generations: what is seen while one is built, and what is left of those that are over."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from longwave.routing.modules import ModuleFailure
from tests.routing.project import CHAT, WORDS, Project


def test_a_generation_that_is_discarded_leaves_all_as_it_was(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "from src.server.util.words import X\n")
    old, modules = project.load(CHAT), project.registered()
    generation = project.edit(WORDS, "X = 2\n")
    assert (generation.load(project.root / CHAT).X, project.load(CHAT).X) == (2, 1)
    generation.load(project.write("src/more.py", ""))
    generation.discard()
    assert project.load(CHAT) is old
    assert project.registered() == modules
    assert project.root / "src/more.py" not in project.loader.module_paths()
    generation.discard()
    with pytest.raises(RuntimeError, match="is over"):
        generation.load(project.root / CHAT)
    with pytest.raises(RuntimeError, match="is not open"):
        generation.commit()


def test_a_failing_load_leaves_an_open_generation_open(project: Project) -> None:
    project.write(CHAT, "X = 1\n")
    project.load(CHAT)
    generation = project.edit(CHAT, "X = 2\n")
    with pytest.raises(ModuleFailure):
        generation.load(project.write("src/bad.py", "import src.server.routes.chat\n1 / 0\n"))
    generation.commit()
    assert project.load(CHAT).X == 2
    assert project.loader.module_paths() == {project.root / CHAT}


def test_what_the_old_generation_loads_meanwhile_is_kept(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "def get():\n    from src.server.util import words\n    return words\n")
    project.write("src/other.py", "")
    chat = project.load(CHAT)
    project.load("src/other.py")
    generation = project.edit("src/other.py", "Y = 1\n")
    late = chat.get()
    generation.commit()
    assert chat.get() is late is project.load(WORDS)


def test_a_late_import_of_something_old_meanwhile_is_made_up_for(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "def get():\n    global X\n    from src.server.util.words import X\n    return X\n")
    chat = project.load(CHAT)
    project.load(WORDS)
    generation = project.edit(WORDS, "X = 2\n")
    assert chat.get() == 1
    generation.commit()
    assert chat.get() == 2
    project.loader.begin([]).commit()
    assert project.load(CHAT) is not chat


def test_begin_discards_what_was_left_open(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.load(WORDS)
    first = project.edit(WORDS, "X = 2\n")
    second = project.edit("src/other.py", "")
    with pytest.raises(RuntimeError):
        first.commit()
    second.commit()
    assert project.load(WORDS).X == 2


def test_shared_code_called_while_a_generation_is_built_sees_that_generation(project: Project) -> None:
    project.write("src/words.py", "X = 1\n")
    project.write("src/tool.py", "def late():\n    from .words import X\n    return X\n")
    project.write("src/a.py", "from .tool import late\nX = late()\n")
    project.load("src/words.py")
    assert project.load("src/a.py").X == 1
    tool = project.load("src/tool.py")
    project.write("src/b.py", "from .tool import late\nX = late()\n")
    generation = project.edit("src/words.py", "X = 2\n")
    assert generation.load(project.root / "src/b.py").X == 2
    assert tool.late() == 1
    generation.commit()


def test_what_shared_code_imported_while_a_generation_was_built_is_not_for_others(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write("src/shared.py", "def get():\n    from src.server.util.words import X\n    return X\n")
    project.write(CHAT, "import src.shared\n")
    project.load(WORDS)
    project.load(CHAT)
    shared = project.load("src/shared.py")
    chat = project.write(CHAT, "import src.shared\nSEEN = src.shared.get()\n")
    generation = project.loader.begin([chat, project.write(WORDS, "X = 2\n")])
    assert generation.load(chat).SEEN == 2
    assert shared.get() == 1
    generation.commit()
    assert project.load("src/shared.py").get() == 2


def test_new_code_imports_late_from_its_own_generation_before_it_is_current(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "def get():\n    from src.server.util.words import X\n    return X\n")
    old = project.load(CHAT)
    assert old.get() == 1
    generation = project.edit(WORDS, "X = 2\n")
    new: Any = generation.load(project.root / CHAT)
    assert (new.get(), old.get()) == (2, 1)
    generation.commit()
    assert (new.get(), old.get()) == (2, 1)


def test_old_generations_are_collected(project: Project) -> None:
    project.write("src/util/__init__.py", "")
    project.write("src/util/words.py", "class C: pass\n")
    project.write("src/b.py", "from .util import words\nimport src.util.words\nimport src.b\n")
    project.write("src/kept.py", "import src.late as late\ndef f(): import src.util.words\n")
    project.write("src/late.py", "")
    project.write(
        CHAT, "from src import b\nimport src.kept, src.b\ndef get():\n    from src.late import __name__\n"
    )
    project.load(CHAT).get()
    kept = project.load("src/kept.py")
    refs: list[weakref.ref[ModuleType]] = []
    count = 0
    for turn in range(100):
        for name in ("src/util/words.py", "src/b.py", CHAT):
            refs.append(weakref.ref(project.load(name)))
        project.change("src/util/words.py", f"class C: turn = {turn}\n")
        project.load(CHAT).get()
        count = count or len(sys.modules)
        assert len(sys.modules) == count
    assert project.load("src/kept.py") is kept
    gc.collect()
    assert [ref for ref in refs if ref() is not None] == []
    assert len(project.loader.module_paths()) == 6


def test_what_a_generation_exchanges_in_the_order_of_imports(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write("src/a.py", "from src.server.util import words\nfrom src import gone, kept\n")
    project.write("src/gone.py", "import src.server.util.words\n")
    project.write("src/kept.py", "")
    project.write(CHAT, "import src.a\n")
    before = [project.load(name) for name in (CHAT, "src/a.py", WORDS)]
    assert project.loader.loaded(project.root / "src/other.py") is None
    project.write("src/a.py", "from src.server.util import words\nfrom src import fresh\n")
    (project.root / "src/gone.py").unlink()
    generation = project.loader.begin(
        [project.write(WORDS, "X = 2\n"), project.write("src/fresh.py", ""), project.root / "src/a.py"]
    )
    pairs = generation.exchanged()
    assert [old for old, _ in pairs] == before[::-1]
    assert [Path(new.__file__ or "").name for _, new in pairs] == ["words.py", "a.py", "chat.py"]
    built = {path.name for path in generation.built()}
    assert built == {"words.py", "fresh.py", "a.py", "chat.py"}
    assert project.loader.loaded(project.root / CHAT) is before[0]
    generation.commit()
    assert project.loader.loaded(project.root / CHAT) is pairs[-1][1]
    assert (generation.built(), generation.exchanged()) == (set(), [])


def test_names_of_what_was_replaced(project: Project) -> None:
    project.write("src/a.py", "")
    project.write(CHAT, "import src.a\n")
    kept, old = project.load("src/a.py").__name__, project.load(CHAT).__name__
    project.change(CHAT, "import src.a\n# 2\n")
    stale = project.loader.is_stale
    assert (stale(old), stale(kept), stale(project.load(CHAT).__name__)) == (True, False, False)
    assert (stale(old.rpartition(".")[0]), stale(kept.rpartition(".")[0])) == (True, False)
    assert not stale("src.a")


def test_generations_that_are_over_hold_no_modules(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.load(WORDS)
    committed = project.edit(WORDS, "X = 2\n")
    committed.commit()
    replaced = weakref.ref(project.load(WORDS))
    left = project.edit(WORDS, "X = 3\n")
    thrown = weakref.ref(left.load(project.root / WORDS))
    discarded = project.edit(WORDS, "X = 4\n")
    gc.collect()
    assert thrown() is None
    thrown = weakref.ref(discarded.load(project.root / WORDS))
    discarded.discard()
    gc.collect()
    assert thrown() is None
    project.change(WORDS, "X = 5\n")
    gc.collect()
    assert replaced() is None


def test_failures_leak_nothing(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "from src.server.util.words import X\n")
    project.load(CHAT)
    project.write("src/bad.py", "import src.server.util\n1 / 0\n")
    count = len(sys.modules)
    for _ in range(20):
        with pytest.raises(ModuleFailure):
            project.edit(WORDS, "X = 1 / 0\n")
        with pytest.raises(ModuleFailure):
            project.load("src/bad.py")
        project.edit(WORDS, "X = 1\n").discard()
    assert len(sys.modules) == count


def test_an_old_module_that_is_held_keeps_only_what_it_holds(project: Project) -> None:
    project.write("src/a.py", "from . import b\n")
    project.write("src/b.py", "")
    project.write("src/c.py", "from . import b\n")
    held, other = project.load("src/a.py"), weakref.ref(project.load("src/c.py"))
    project.change("src/b.py", "X = 1\n")
    gc.collect()
    assert other() is None
    assert not hasattr(held.b, "X")
