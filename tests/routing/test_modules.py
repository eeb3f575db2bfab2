"""Modules in generations: how they find each other, what a change exchanges, what a failure leaves."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import inspect
import os
import pickle
import sys
import threading
import traceback
import types
import typing
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from longwave.errors import RouteError
from longwave.routing.modules import Loader, ModuleFailure
from tests.routing.project import CHAT, WORDS, Project

# What a module knows of itself.


def test_what_a_module_knows_of_itself(project: Project) -> None:
    path = project.write(WORDS, '"""Words."""\n')
    init = project.write("src/__init__.py", "")
    module = project.load(WORDS)
    prefix = project.loader._prefix
    assert module.__name__ == f"{prefix}1.src.server.util.words"
    assert module.__package__ == f"{prefix}1.src.server.util"
    assert module.__file__ == str(path)
    assert module.__doc__ == "Words."
    assert (module.__spec__.name, module.__spec__.origin) == (module.__name__, str(path))
    assert module.__spec__.has_location
    assert module.__spec__.parent == module.__package__
    package = sys.modules[f"{prefix}1.src"]
    assert package.__file__ == str(init)
    assert package.__package__ == package.__name__
    assert package.__spec__ is not None
    assert package.__spec__.submodule_search_locations == [str(init.parent)] == list(package.__path__)
    assert project.registered() == {
        "1",
        "1.src",
        "1.src.server",
        "1.src.server.util",
        "1.src.server.util.words",
    }


CLASSES = '''
from __future__ import annotations
import dataclasses, enum, typing
from .other import Other

class Color(enum.Enum):
    RED = 1

@dataclasses.dataclass(slots=True)
class Point:
    x: int
    _: dataclasses.KW_ONLY
    y: typing.ClassVar[int] = 3
    other: Other | None = None
    color: Color = Color.RED

class Pair(typing.NamedTuple):
    a: Point
    b: "list[Pair]"

def explain(point: Point) -> Pair:
    """Say."""
    return Pair(point, [])
'''


def test_classes_of_a_module_work_with_the_standard_library(project: Project) -> None:
    project.write("src/other.py", "class Other: pass\n")
    project.write("src/shapes.py", CLASSES)
    module = project.load("src/shapes.py")
    other = sys.modules[module.Other.__module__]
    point = module.Point(1, other=module.Other())
    assert [field.name for field in dataclasses.fields(point)] == ["x", "other", "color"]
    assert typing.get_type_hints(module.Pair) == {
        "a": module.Point,
        "b": types.GenericAlias(list, module.Pair),
    }
    assert typing.get_type_hints(module.explain) == {"point": module.Point, "return": module.Pair}
    assert typing.get_type_hints(module.Point)["other"] == (other.Other | None)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(module.Pair(point, []), protocol))
        assert type(again) is module.Pair
        assert type(again.a.other) is module.Other
        assert again.a.color is module.Color.RED
    assert pickle._loads(pickle._dumps(module.explain)) is module.explain  # type: ignore[attr-defined]
    assert inspect.getsource(module.explain).startswith("def explain(point: Point)")
    assert inspect.getsource(module.Point).startswith("@dataclasses.dataclass")
    assert inspect.getsourcefile(module.Point) == str(project.root / "src/shapes.py")
    assert inspect.getmodule(module.Point) is module


def test_pickling_from_the_projects_own_code(project: Project) -> None:
    project.write(
        CHAT, "import pickle\nclass C: pass\ndef get(): return type(pickle.loads(pickle.dumps(C()))) is C\n"
    )
    assert project.load(CHAT).get()


def test_source_after_a_change_is_the_new_one(project: Project) -> None:
    path = project.write(WORDS, "def f():\n    return 1\n")
    assert "return 1" in inspect.getsource(project.load(WORDS).f)
    stat = path.stat()
    path.write_text("def f():\n    return 2\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    project.loader.begin([path]).commit()
    assert "return 2" in inspect.getsource(project.load(WORDS).f)


def test_tracebacks_show_files_and_lines(project: Project) -> None:
    project.write(WORDS, "def fail():\n    raise ValueError('no')\n")
    project.write(CHAT, "from src.server.util.words import fail\n\ndef get():\n    fail()\n")
    with pytest.raises(ValueError) as caught:
        project.load(CHAT).get()
    frames = [(frame.filename, frame.lineno, frame.line) for frame in traceback.extract_tb(caught.tb)]
    assert frames[-2:] == [
        (str(project.root / CHAT), 4, "fail()"),
        (str(project.root / WORDS), 2, "raise ValueError('no')"),
    ]


def test_no_bytecode_is_written_or_read(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "from src.server.util.words import X\n")
    project.load(CHAT)
    assert list(project.root.rglob("__pycache__")) == []


def test_encodings_and_future_flags_are_the_files_own(project: Project) -> None:
    path = project.write("src/latin.py", "")
    path.write_bytes(b"# coding: latin-1\nX = '\xe9'\ndef f(a: int): pass\n")
    module = project.load("src/latin.py")
    assert module.X == "é"
    assert module.f.__annotations__ == {"a": int}


# What a change exchanges.


def test_a_change_of_the_same_size_within_the_same_second(project: Project) -> None:
    path = project.write(WORDS, "X = 1\n")
    stat = path.stat()
    assert project.load(WORDS).X == 1
    for value in (2, 3, 4):
        path.write_text(f"X = {value}\n")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        project.loader.begin([path]).commit()
        found = project.load(WORDS).X
        assert found == value


def test_a_helper_two_imports_away(project: Project) -> None:
    project.write("src/c.py", "class C:\n    def say(self): return 1\n")
    project.write("src/b.py", "from .c import C\nstate = []\n")
    project.write("src/a.py", "from .b import C\n")
    project.write("src/d.py", "state = []\n")
    project.write("src/e.py", "from .d import state\nfrom .c import C\n")
    old_a, old_d = project.load("src/a.py"), project.load("src/d.py")
    project.load("src/e.py").state.append(1)
    held = old_a.C()
    assert project.names("src/c.py") == {"src/a.py", "src/b.py", "src/e.py"}
    project.change("src/c.py", "class C:\n    def say(self): return 2\n")
    new_a = project.load("src/a.py")
    assert (held.say(), new_a.C().say(), isinstance(held, new_a.C)) == (1, 2, False)
    assert old_a.C().say() == 1
    assert project.load("src/d.py") is old_d
    assert project.load("src/e.py").state == [1]


def test_a_late_import_is_recorded_and_follows(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "calls = []\ndef get():\n    from src.server.util.words import X\n    return X\n")
    old = project.load(CHAT)
    assert project.names(WORDS) == set()
    project.change(WORDS, "X = 2\n")
    assert project.load(CHAT) is old
    assert (old.get(), old.get()) == (2, 2)
    assert project.names(WORDS) == {CHAT}
    project.change(WORDS, "X = 3\n")
    new = project.load(CHAT)
    assert new is not old
    assert (new.get(), old.get()) == (3, 2)


def test_a_late_import_that_breaks_breaks_the_change(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "def get():\n    from src.server.util.words import X\n    return X\n")
    old = project.load(CHAT)
    assert old.get() == 1
    with pytest.raises(ModuleFailure, match=r"words\.py, line 1: SyntaxError"):
        project.edit(WORDS, "X = \n")
    assert project.load(CHAT) is old
    assert old.get() == 1


def test_a_late_import_that_may_be_gone_waits_for_its_call(project: Project) -> None:
    words = project.write(WORDS, "X = 1\n")
    project.write(CHAT, "def get():\n    from src.server.util.words import X\n    return X\n")
    assert project.load(CHAT).get() == 1
    words.write_text("X = \n")
    project.loader.begin([words, project.write(CHAT, "def get(): return 2\n")]).commit()
    assert project.load(CHAT).get() == 2


def test_old_code_that_imports_late_stays_with_what_it_reaches(project: Project) -> None:
    project.write("src/c.py", "class C: pass\n")
    project.write("src/b.py", "from .c import C\n")
    project.write("src/a.py", "from . import b\ndef late():\n    from src.c import C\n    return C is b.C\n")
    old = project.load("src/a.py")
    project.change("src/c.py", "class C: 'new'\n")
    new = project.load("src/a.py")
    assert new.b.C is not old.b.C
    assert old.late()
    assert new.late()


def test_old_code_may_import_what_it_never_had(project: Project) -> None:
    project.write("src/more.py", "M = 1\n")
    project.write("src/a.py", "def late():\n    from .more import M\n    return M\n")
    old = project.load("src/a.py")
    project.change("src/a.py", "")
    assert old.late() == 1
    project.loader.close()
    assert old.late() == 1


def test_a_helper_that_is_renamed(project: Project) -> None:
    path = project.write("src/old.py", "X = 1\n")
    project.write(CHAT, "from src.old import X\n")
    before = project.load(CHAT)
    path.rename(project.root / "src/new.py")
    changed = [path, project.root / "src/new.py"]
    with pytest.raises(
        ModuleFailure, match=r"chat\.py, line 1: ModuleNotFoundError: No module named 'src\.old'"
    ):
        project.loader.begin(changed)
    assert project.load(CHAT) is before
    project.change(CHAT, "from src.new import X\n")
    assert project.load(CHAT) is not before
    assert project.loader.module_paths() == {project.root / CHAT, project.root / "src/new.py"}
    assert not any("old" in name for name in project.registered())


@pytest.mark.parametrize("name", [CHAT, WORDS])
def test_a_half_saved_file_changes_nothing_until_it_is_mended(project: Project, name: str) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "from src.server.util.words import X\n")
    old, modules = project.load(CHAT), project.registered()
    text = (project.root / name).read_text()
    with pytest.raises(ModuleFailure, match="SyntaxError") as caught:
        project.edit(name, text + "def half(\n")
    assert caught.value.path == project.root / name
    assert (caught.value.lineno, caught.value.line) == (2, "def half(")
    assert project.load(CHAT) is old
    assert project.registered() == modules
    project.change(name, text)
    assert project.load(CHAT) is not old


def test_changes_that_failed_are_made_up_for(project: Project) -> None:
    for name in ("a", "b"):
        project.write(f"src/{name}.py", "X = 1\n")
        project.load(f"src/{name}.py")
    a, b = project.write("src/a.py", "X = 2\n"), project.write("src/b.py", "X = \n")
    with pytest.raises(ModuleFailure):
        project.loader.begin([a, b])
    assert project.load("src/a.py").X == 1
    project.change("src/b.py", "X = 3\n")
    assert (project.load("src/a.py").X, project.load("src/b.py").X) == (2, 3)


def test_a_new_import_that_is_broken_and_mended_by_itself(project: Project) -> None:
    project.write(CHAT, "X = 1\n")
    project.load(CHAT)
    project.write("src/new.py", "X = (\n")
    with pytest.raises(ModuleFailure):
        project.edit(CHAT, "from src.new import X\n")
    assert project.names("src/new.py") == {CHAT}
    project.change("src/new.py", "X = 2\n")
    assert project.load(CHAT).X == 2


def test_what_failed_at_first_depends_on_what_it_tried(project: Project) -> None:
    project.write("src/deep.py", "X = 1 / 0\n")
    project.write("src/fine.py", "from . import deep2\n")
    project.write("src/deep2.py", "")
    project.write(CHAT, "from src import fine\nfrom src import deep\nfrom src import nothing\n")
    with pytest.raises(ModuleFailure, match=r"src/deep\.py, line 1 .* ZeroDivisionError"):
        project.load(CHAT)
    assert project.loader.module_paths() == set()
    assert project.registered() == set()
    assert project.names("src/deep.py") == {CHAT}
    assert project.names("src/deep2.py") == {CHAT, "src/fine.py"}
    project.write("src/deep.py", "")
    project.write(CHAT, "from src import deep\nfrom src.nothing import X\n")
    with pytest.raises(ModuleFailure, match="nothing"):
        project.load(CHAT)
    assert project.names("src/nothing.py") == project.names("src/nothing/__init__.py") == {CHAT}
    project.write("src/nothing.py", "X = 1\n")
    assert project.load(CHAT).X == 1
    project.change(CHAT, "")
    assert project.names("src/nothing.py", "src/deep.py") == set()


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


def test_a_package_that_changes_leaves_its_modules_where_they_are(project: Project) -> None:
    project.write("src/util/__init__.py", "X = 1\n")
    project.write("src/util/words.py", "class C: pass\n")
    words = project.load("src/util/words.py")
    package = weakref.ref(project.load("src/util/__init__.py"))
    project.change("src/util/__init__.py", "X = 2\n")
    gc.collect()
    assert package() is None
    assert project.load("src/util/words.py") is words
    assert project.registered() == {
        "1",
        "1.src",
        "1.src.util",
        "1.src.util.words",
        "2",
        "2.src",
        "2.src.util",
    }
    assert importlib.import_module(".words", words.__package__) is words
    assert type(pickle.loads(pickle.dumps(words.C()))) is words.C


def test_a_package_is_exchanged_with_what_it_imports_and_not_with_what_it_holds(project: Project) -> None:
    project.write("src/util/__init__.py", "from .words import X\nrooms = []\n")
    project.write("src/util/words.py", "X = 1\n")
    project.write("src/util/more.py", "Y = 1\nrooms = []\n")
    project.write(CHAT, "from src.util import X, more\n")
    chat = project.load(CHAT)
    package, more = project.load("src/util/__init__.py"), project.load("src/util/more.py")
    project.change("src/util/words.py", "X = 2\n")
    assert project.load("src/util/__init__.py") is not package
    assert project.load("src/util/more.py") is more
    assert (project.load(CHAT).X, chat.X) == (2, 1)
    package = project.load("src/util/__init__.py")
    project.change("src/util/more.py", "Y = 2\n")
    assert project.load("src/util/__init__.py") is package
    assert project.load(CHAT).more.Y == 2
    assert package.more.Y == 2


def test_a_package_that_appears_takes_over(project: Project) -> None:
    project.write("src/words.py", "X = 'module'\n")
    project.write(CHAT, "from src.words import X\n")
    assert project.load(CHAT).X == "module"
    project.change("src/words/__init__.py", "X = 'package'\n")
    assert project.load(CHAT).X == "package"


def test_a_deleted_route_goes_and_comes_back(project: Project) -> None:
    path = project.write(CHAT, "X = 1\n")
    project.load(CHAT)
    path.unlink()
    project.loader.begin([path]).commit()
    assert project.loader.module_paths() == set()
    assert project.registered() == set()
    project.change(CHAT, "X = 2\n")
    assert project.load(CHAT).X == 2


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


# What goes wrong.


def test_a_failure_names_file_line_and_source(project: Project) -> None:
    project.write(WORDS, "def f():\n    raise KeyError('x')\n\nf()\n")
    project.write(CHAT, "\nfrom src.server.util import words\n")
    with pytest.raises(ModuleFailure) as caught:
        project.load(CHAT)
    failure = caught.value
    assert isinstance(failure, RouteError)
    assert (failure.path, failure.lineno, failure.line) == (project.root / WORDS, 2, "raise KeyError('x')")
    assert isinstance(failure.exception, KeyError)
    assert failure.__cause__ is failure.exception
    assert str(failure) == (
        "src/server/util/words.py, line 2 (imported for src/server/routes/chat.py): KeyError: 'x'\n"
        "    raise KeyError('x')"
    )


def test_a_failure_inside_a_library_names_the_projects_line(project: Project) -> None:
    project.write(CHAT, "import json\n\njson.loads('{')\n")
    with pytest.raises(ModuleFailure) as caught:
        project.load(CHAT)
    assert (caught.value.path, caught.value.lineno) == (project.root / CHAT, 3)


def test_a_failure_inside_executed_text_names_the_projects_line(project: Project) -> None:
    project.write(CHAT, "\n\nexec('1 / 0')\n")
    with pytest.raises(ModuleFailure) as caught:
        project.load(CHAT)
    assert (caught.value.path, caught.value.lineno) == (project.root / CHAT, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"x = '\xff'\n", "SyntaxError"),
        (b"x = 1\n  y = 2\n", "IndentationError: unexpected indent"),
        (b"import sys\nsys.exit(3)\n", "SystemExit: 3"),
        (b"raise RuntimeError\n", "RuntimeError: no message"),
        (b"\0", "null bytes"),
    ],
)
def test_whatever_fails_is_a_module_failure(project: Project, text: bytes, says: str) -> None:
    project.write(CHAT, "").write_bytes(text)
    with pytest.raises(ModuleFailure, match=says) as caught:
        project.load(CHAT)
    assert caught.value.path == project.root / CHAT
    assert project.registered() == set()


def test_an_interrupt_passes_and_leaves_nothing(project: Project) -> None:
    project.write(CHAT, "import src.server\nraise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        project.load(CHAT)
    assert project.registered() == set()
    assert project.loader.module_paths() == set()


def test_files_that_cannot_be_modules_of_the_project(project: Project, tmp_path_factory: Any) -> None:
    with pytest.raises(ModuleFailure, match=r"src/none\.py: FileNotFoundError"):
        project.load("src/none.py")
    outside = tmp_path_factory.mktemp("outside") / "x.py"
    outside.write_text("")
    with pytest.raises(RouteError, match="lies outside of"):
        project.loader.load(outside)


def test_paths_may_be_given_in_any_way(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(CHAT, "")
    link = project.root.parent / f"{project.root.name}-link"
    link.symlink_to(project.root)
    loader = Loader(link)
    try:
        module = loader.load(link / CHAT)
        assert loader.load(project.root / CHAT) is module
        assert loader.load(link / "src/../src" / Path(CHAT).relative_to("src")) is module
        monkeypatch.chdir(project.root)
        assert loader.load(Path(CHAT)) is module
        assert loader.module_paths() == {project.root / CHAT}
        (project.root / "src/linked.py").symlink_to(project.root / CHAT)
        assert loader.load(link / "src/linked.py").__file__ == str(project.root / "src/linked.py")
    finally:
        loader.close()


def test_after_close(project: Project) -> None:
    project.write(WORDS, "X = 1\n")
    project.write(CHAT, "def get():\n    from src.server.util.words import X\n    return X\n")
    chat = project.load(CHAT)
    finders = len(sys.meta_path)
    project.loader.close()
    assert len(sys.meta_path) == finders - 1
    assert project.registered() == set()
    with pytest.raises(RuntimeError, match="closed"):
        project.load(CHAT)
    with pytest.raises(RuntimeError, match="closed"):
        project.loader.begin([])
    with pytest.raises(ImportError, match="its application was closed"):
        chat.get()
    project.loader.close()


# Threads.


def in_threads(count: int, work: Callable[[], object]) -> list[object]:
    results: list[object] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def test_threads_import_a_module_once_and_never_half(project: Project) -> None:
    project.write("src/log.py", "runs = []\n")
    project.write(WORDS, "from src.log import runs\nimport time\nruns.append(1)\ntime.sleep(0.02)\nX = 1\n")
    project.write(CHAT, "def get():\n    from src.server.util.words import X\n    return X\n")
    assert in_threads(8, project.load(CHAT).get) == [1] * 8
    assert project.load("src/log.py").runs == [1]


def test_a_thread_that_serves_sees_its_generation_while_another_builds_the_next(project: Project) -> None:
    project.write("src/util/__init__.py", "")
    project.write("src/util/words.py", "X = 1\n")
    project.write("src/shared.py", "")
    project.write(CHAT, "def get():\n    from src.util.words import X\n    return X\n")
    project.load("src/util/words.py")
    shared, chat, util = (project.load(name) for name in ("src/shared.py", CHAT, "src/util/__init__.py"))
    shared.entered, shared.go = threading.Event(), threading.Event()
    seen: list[int] = []
    slow = "from src.shared import entered, go\nX = 2\nentered.set()\nassert go.wait(10)\n"
    builder = threading.Thread(target=lambda: project.change("src/util/words.py", slow))
    server = threading.Thread(target=lambda: seen.append(chat.get()))
    builder.start()
    assert shared.entered.wait(10)
    assert util.words.X == 1
    server.start()
    shared.go.set()
    builder.join(20)
    server.join(20)
    assert seen[0] in (1, 2)
    assert (chat.get(), util.words.X) == (2, 2)


def test_a_late_import_waits_for_no_other_that_is_loaded(project: Project) -> None:
    project.write("src/util/words.py", "X = 1\n")
    project.write("src/shared.py", "import threading\nentered, go = threading.Event(), threading.Event()\n")
    late = (
        "def get():\n    from src.util.words import X\n"
        "    import src.util.words\n    return X, src.util.words.X\n"
    )
    project.write(CHAT, late)
    shared, chat = project.load("src/shared.py"), project.load(CHAT)
    assert chat.get() == (1, 1)
    slow = "from src.shared import entered, go\nentered.set()\nassert go.wait(10)\n"
    builder = threading.Thread(target=lambda: project.change("src/slow.py", slow))
    project.write("src/slow.py", "")
    project.load("src/slow.py")
    builder.start()
    assert shared.entered.wait(10)
    with project.loader.held() as held:
        assert not held
    # On this thread, and before the other can end.
    assert chat.get() == (1, 1)
    shared.go.set()
    builder.join(20)
    with project.loader.held() as held:
        assert held
