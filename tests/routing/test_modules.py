"""Modules of a project: what they know of themselves, which files they are, and threads that import them."""

from __future__ import annotations

import dataclasses
import inspect
import os
import pickle
import sys
import threading
import traceback
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longwave.errors import RouteError
from longwave.routing.modules import Loader, ModuleFailure
from tests.routing.project import CHAT, WORDS, Project


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
