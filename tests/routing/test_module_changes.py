"""Modules in generations: what a change exchanges."""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import weakref

import pytest

from longwave.routing.modules import ModuleFailure
from tests.routing.project import CHAT, WORDS, Project


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
