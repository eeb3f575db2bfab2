"""How modules of a project find each other, whatever the import statement, and nobody else's."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path

import pytest

from longwave.errors import RouteError
from longwave.routing.modules import Loader, ModuleFailure
from tests.routing.project import CHAT, WORDS, Project

IMPORTS = [
    ("from src.server.util.words import shout", "shout"),
    ("from src.server.util.words import shout as s", "s"),
    ("import src.server.util.words", "src.server.util.words.shout"),
    ("import src.server.util.words as w", "w.shout"),
    ("from src.server.util import words", "words.shout"),
    ("from src.server import util\nfrom src.server.util import words", "util.words.shout"),
    ("from src.server.util.words import *", "shout"),
    ("from ..util.words import shout", "shout"),
    ("from ..util import words as w", "w.shout"),
    ("from .. import util\nfrom ..util.words import shout as s", "util.words.shout"),
    ("from ...server.util.words import shout", "shout"),
    ("import importlib\nw = importlib.import_module('..util.words', __package__)", "w.shout"),
    ("w = __import__('src.server.util.words', fromlist=['x'])", "w.shout"),
    ("exec('from src.server.util.words import shout')", "shout"),
]


@pytest.mark.parametrize("packages", [(), ("src/server/util",), ("src", "src/server", "src/server/util")])
@pytest.mark.parametrize(("statement", "use"), IMPORTS)
def test_import_statements(project: Project, statement: str, use: str, packages: tuple[str, ...]) -> None:
    for folder in packages:
        project.write(f"{folder}/__init__.py", "")
    project.write(WORDS, "def shout(text): return text.upper()\n")
    project.write(CHAT, f"{statement}\ndef get(): return {use}('hello')\n")
    assert project.load(CHAT).get() == "HELLO"


@pytest.mark.parametrize("packages", [(), ("src/server/util",), ("src", "src/server", "src/server/util")])
@pytest.mark.parametrize(("statement", "use"), [each for each in IMPORTS if "importlib" not in each[0]])
def test_each_kind_of_import_sees_a_change_and_old_code_does_not(
    project: Project, statement: str, use: str, packages: tuple[str, ...]
) -> None:
    for folder in packages:
        project.write(f"{folder}/__init__.py", "")
    project.write(WORDS, "def shout(text): return text + '1'\n")
    project.write(CHAT, f"{statement}\ndef get(): return {use}('x')\n")
    old = project.load(CHAT)
    assert old.get() == "x1"
    project.change(WORDS, "def shout(text): return text + '2'\n")
    new = project.load(CHAT)
    assert new is not old
    assert new.get() == "x2"
    # What is looked up in a package with an `__init__.py` is looked up there anew at each use.
    if not packages or "util.words.shout" not in use:
        assert old.get() == "x1"


def test_a_dotted_import_shows_only_what_is_loaded(project: Project) -> None:
    project.write("src/a/b.py", "B = 1\n")
    project.write("src/a/c.py", "C = 1\n")
    project.write(CHAT, "import src.a.b\ndef late():\n    from src.a.c import C\n    return C\n")
    module = project.load(CHAT)
    assert module.src.a.b.B == 1
    with pytest.raises(AttributeError, match="has no attribute 'c'"):
        _ = module.src.a.c
    project.load("src/a/c.py")
    assert module.src.a.c.C == 1
    assert module.src.a is module.src.a
    assert project.names("src/a/c.py") == {CHAT}
    project.change("src/a/c.py", "C = 2\n")
    assert (module.src.a.c.C, module.late()) == (1, 1)


def test_packages_run_first_and_once(project: Project) -> None:
    project.write("src/log.py", "seen = []\n")
    project.write("src/__init__.py", "from src.log import seen\nseen.append(__name__.split('.', 1)[1])\n")
    project.write("src/a/__init__.py", "from ..log import seen\nseen.append(__name__.split('.', 1)[1])\n")
    project.write("src/a/b.py", "from .. import seen\nseen.append(__name__.split('.', 1)[1])\n")
    project.write("src/a/c.py", "from src.a.b import seen\n")
    assert project.load("src/a/c.py").seen == ["src", "src.a", "src.a.b"]


def test_a_package_that_passes_on_what_it_imports(project: Project) -> None:
    project.write("src/util/words.py", "def words(): return 1\nOTHER = 2\n")
    project.write(
        "src/util/__init__.py",
        "from .words import words\nfrom . import more\nx = more.M\n"
        "def late():\n    from .words import OTHER\n    return OTHER\n",
    )
    project.write("src/util/more.py", "M = 3\n")
    project.write(CHAT, "from src.util import words, more, x\nimport src.util\n")
    module = project.load(CHAT)
    assert module.words() == 1
    assert (module.more.M, module.x) == (3, 3)
    assert module.src.util.late() == 2
    assert module.src.util.words is module.words
    assert module.words() == 1


def test_an_attribute_of_a_package_comes_before_a_submodule(project: Project) -> None:
    project.write("src/util/__init__.py", "words = 1\n")
    project.write("src/util/words.py", "raise ValueError\n")
    project.write(CHAT, "from src.util import words\n")
    assert project.load(CHAT).words == 1


def test_a_package_sees_its_submodule_after_importing_from_it(project: Project) -> None:
    project.write("src/util/words.py", "W = 1\n")
    project.write("src/util/__init__.py", "from .words import W\nboth = (W, words.W)\n")
    assert project.load("src/util/__init__.py").both == (1, 1)


def test_star_imports_take_what_all_says_with_submodules(project: Project) -> None:
    project.write("src/util/__init__.py", "__all__ = ['words', 'x']\nx = 1\ny = 2\n")
    project.write("src/util/words.py", "__all__ = ['a']\na = 1\nb = 2\n")
    project.write("src/one.py", "from .util import *\n")
    project.write("src/two.py", "from src.util.words import *\n")
    one = project.load("src/one.py")
    assert (one.words.b, one.x, hasattr(one, "y")) == (2, 1, False)
    two = project.load("src/two.py")
    assert (two.a, hasattr(two, "b")) == (1, False)


def test_circular_imports(project: Project) -> None:
    project.write("src/a.py", "from . import b\ndef f(): return b.g()\nX = 1\n")
    project.write("src/b.py", "import src.a\nfrom src import a\ndef g(): return (a.X, src.a.X)\n")
    assert project.load("src/a.py").f() == (1, 1)
    assert project.load("src/b.py").g() == (1, 1)


def test_a_circular_import_that_cannot_work_says_why(project: Project) -> None:
    project.write("src/a.py", "from .b import Y\nX = 1\n")
    project.write("src/b.py", "from .a import X\nY = 1\n")
    with pytest.raises(ModuleFailure, match="circular import") as caught:
        project.load("src/a.py")
    assert caught.value.path == project.root / "src/b.py"
    assert project.loader.module_paths() == set()


def test_lazy_attributes_of_a_package(project: Project) -> None:
    project.write("src/util/__init__.py", "def __getattr__(name): return 'lazy ' + name\n")
    project.write(CHAT, "from src.util import this\n")
    assert project.load(CHAT).this == "lazy this"


@pytest.mark.parametrize(
    "name",
    [
        "src/routes/[id].py",
        "src/routes/users.get.py",
        "src/[team]/(g)/[...slug].py",
        "src/middleware/01.auth.py",
    ],
)
def test_file_names_that_are_no_identifiers(project: Project, name: str) -> None:
    project.write(str(Path(name).parent / "helper.py"), "H = 1\n")
    project.write(name, "from .helper import H\nfrom . import helper\nclass C: pass\n")
    module = project.load(name)
    assert (module.H, module.helper.H) == (1, 1)
    assert sys.modules[module.__name__] is module
    assert type(pickle.loads(pickle.dumps(module.C()))) is module.C


def test_files_whose_names_become_one_are_told_apart(project: Project) -> None:
    for name in ("a.b", "a_b", "a-b"):
        project.write(f"src/{name}.py", f"N = {name!r}\n")
    modules = [project.load(f"src/{name}.py") for name in ("a.b", "a_b", "a-b")]
    assert [module.N for module in modules] == ["a.b", "a_b", "a-b"]
    assert all(sys.modules[module.__name__] is module for module in modules)


def test_a_module_beside_a_folder_of_its_name(project: Project) -> None:
    project.write("src/users.py", "U = 1\n")
    project.write("src/users/[id].py", "from .more import M\n")
    project.write("src/users/more.py", "M = 2\n")
    assert project.load("src/users/[id].py").M == 2
    assert project.load("src/users.py").U == 1
    project.change("src/users.py", "U = 3\n")
    assert project.load("src/users.py").U == 3


def test_missing_modules_are_named(project: Project) -> None:
    project.write("src/util.py", "")
    for statement, says in [
        ("import src.nope", "No module named 'src.nope'"),
        ("from .nope import x", "No module named 'src.nope'"),
        ("import src.util.words", "No module named 'src.util.words': .*util.py is not a package"),
        ("from src.util import x", "cannot import name 'x'"),
        ("from src import x", "cannot import name 'x'"),
        ("from .... import x", "a relative import with 4 dots leads out of"),
        ("import no_such_thing_anywhere", "No module named 'no_such_thing_anywhere'"),
    ]:
        project.write("src/main.py", statement)
        with pytest.raises(ModuleFailure, match=says):
            project.load("src/main.py")


def test_an_optional_import_may_fail(project: Project) -> None:
    project.write("src/bad.py", "GOOD = 1\nraise ValueError('no')\n")
    project.write(
        CHAT,
        "try:\n    from src import bad\nexcept ValueError:\n    bad = None\ntry:\n    import src.none\n"
        "except ImportError as error:\n    name = error.name\n",
    )
    module = project.load(CHAT)
    assert (module.bad, module.name) == (None, "src.none")
    assert project.loader.module_paths() == {project.root / CHAT}
    assert project.names("src/bad.py") == project.names("src/none.py") == {CHAT}


def test_importlib_knows_modules_by_their_registered_names(project: Project) -> None:
    project.write("src/plug/__init__.py", FIND_ALL)
    project.write("src/plug/a.py", "NAME = 'a'\n")
    project.write("src/plug/b.py", "from .a import NAME as N\nNAME = N + 'b'\n")
    module = project.load("src/plug/__init__.py")
    assert module.find() == ["a", "ab"]
    assert project.load("src/plug/a.py") is importlib.import_module(f"{module.__name__}.a")
    project.change("src/plug/a.py", "NAME = 'x'\n")
    assert project.load("src/plug/__init__.py") is module
    assert module.find() == ["x", "xb"]
    assert project.load("src/plug/a.py").__spec__.loader is not None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{module.__name__}.none")


FIND_ALL = """
import importlib, pkgutil
def find():
    names = [f"{__name__}.{found.name}" for found in pkgutil.iter_modules(__path__)]
    return [importlib.import_module(name).NAME for name in names]
"""


# Other people's modules.


def test_two_loaders_of_one_root_do_not_meet(project: Project) -> None:
    project.write(WORDS, "class C: pass\n")
    project.write(CHAT, "from src.server.util.words import C\n")
    other = Loader(project.root)
    try:
        assert other.load(project.root / CHAT).C is not project.load(CHAT).C
    finally:
        other.close()
    assert "1.src.server.util.words" in project.registered()


def test_a_name_is_put_into_the_modules_names(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    loader = Loader(tmp_path, "shop")
    try:
        assert loader.load(tmp_path / "a.py").__name__.startswith("lw_shop_")
    finally:
        loader.close()


def test_a_foreign_src_is_neither_disturbed_nor_picked_up(guest: Project) -> None:
    real = importlib.import_module("src.server.util.words")
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "src"}
    guest.write(WORDS, "WHO = 'project'\n")
    guest.write(CHAT, "from src.server.util.words import WHO\nimport src\nhas = hasattr(src, 'WHO')\n")
    module = guest.load(CHAT)
    assert (module.WHO, module.has, real.WHO) == ("project", False, "foreign")
    guest.write(CHAT, "from src.server.only import WHO\n")
    with pytest.raises(ModuleFailure, match=r"No module named 'src\.server\.only'"):
        guest.loader.begin([guest.root / CHAT])
    assert modules == {name: each for name, each in sys.modules.items() if name.partition(".")[0] == "src"}


def test_a_foreign_src_that_was_never_imported_stays_so(guest: Project) -> None:
    guest.write(CHAT, "import src.server.routes\nfrom src.server import routes\n")
    guest.load(CHAT)
    assert "src" not in sys.modules


def test_without_a_src_of_its_own_the_installed_one_is_meant(guest: Project) -> None:
    guest.write("main.py", "from src.server.only import WHO\n")
    assert guest.load("main.py").WHO == "foreign"


def test_a_plain_folder_gives_way_to_an_installed_package_but_for_its_modules(guest: Project) -> None:
    guest.write("installed/mine.py", "WHO = 'project'\n")
    guest.write("main.py", "from installed.mine import WHO as a\nfrom installed import WHO as b, part\n")
    module = guest.load("main.py")
    assert (module.a, module.b, module.part.WHO) == ("project", "foreign", "foreign")


def test_a_module_of_the_project_comes_before_an_installed_one(guest: Project) -> None:
    guest.write("installed.py", "WHO = 'project'\n")
    guest.write("main.py", "from installed import WHO\n")
    assert guest.load("main.py").WHO == "project"


def test_longwave_is_never_the_projects(project: Project) -> None:
    project.write("longwave/__init__.py", "raise ValueError\n")
    project.write("main.py", "from longwave.errors import RouteError\n")
    assert project.load("main.py").RouteError is RouteError


def test_a_module_that_appears_beside_what_is_installed(project: Project) -> None:
    project.write("main.py", "try:\n    import helpers_of_mine as h\nexcept ImportError:\n    h = None\n")
    assert project.load("main.py").h is None
    project.change("helpers_of_mine.py", "X = 1\n")
    assert project.load("main.py").h.X == 1
