"""What the loader knows of a module."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from longwave.routing.graph import Package, Record, candidates, closure, locate, module_name

A, B, C, D = (Path(name) for name in "abcd")


def test_closure_follows_edges_backwards_and_ends_in_circles() -> None:
    edges = {A: [B], B: [C], C: [B], D: [A]}
    assert closure(edges, [C]) == {A, B, D}
    assert closure(edges, [B]) == {A, C, D}
    assert closure(edges, [A, D]) == set()
    assert closure(edges, [Path("unknown")]) == set()
    assert closure({}, []) == set()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("src/server/util/words.py", "src.server.util.words"),
        ("src/server/__init__.py", "src.server"),
        ("routes/[id].py", "routes._id_"),
        ("routes/users.get.py", "routes.users_get"),
        ("(a)/[...slug]/x.py", "_a_.____slug_.x"),
        ("longwave.config.py", "longwave_config"),
        ("__init__.py", ""),
        ("ü.py", "ü"),
    ],
)
def test_module_names(path: str, name: str) -> None:
    assert module_name(Path("/root") / path, Path("/root")) == name


def test_locate_prefers_packages_to_modules_to_folders(tmp_path: Path) -> None:
    stem = tmp_path / "x"
    init, module = candidates(stem)
    assert locate(stem) is None
    stem.mkdir()
    assert locate(stem) == stem
    module.write_text("")
    assert locate(stem) == module == tmp_path / "x.py"
    init.write_text("")
    assert locate(stem) == init == tmp_path / "x/__init__.py"


def test_reach_finds_what_is_held_through_circles() -> None:
    a, b, c = (Record(path, str(path)) for path in (A, B, C))
    a.imports[B], b.imports[A], b.imports[C] = b, a, c
    assert a.reach(C) is c
    assert a.reach(A) is a
    assert c.reach(A) is None


def test_a_package_looks_its_submodules_up_and_does_not_keep_them() -> None:
    child, other = ModuleType("p.child"), ModuleType("other")
    found = {"child": child}
    package = Package("p", Path("/p"), found.get)
    assert package.child is child
    package.child = child
    package.other = other
    package.number = 1
    found["child"] = other
    assert (package.child, package.other, package.number) == (other, other, 1)
    assert list(package.__path__) == ["/p"]
    with pytest.raises(AttributeError, match="module 'p' has no attribute 'none'"):
        _ = package.none
    with pytest.raises(AttributeError, match="__file__"):
        _ = package.__file__
