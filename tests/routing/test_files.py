"""Route files: their names into patterns, what is left out, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwave.errors import RouteError
from longwave.routing.files import RouteFile, scan, scan_ordered


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def routes(folder: Path, mode: str = "prod") -> dict[str, tuple[str | None, str]]:
    found = scan(folder, mode="dev" if mode == "dev" else "prod")
    return {route.name: (route.method, route.pattern) for route in found}


@pytest.mark.parametrize(
    ("name", "method", "pattern"),
    [
        ("index.py", None, "/"),
        ("users.py", None, "/users"),
        ("users/index.py", None, "/users"),
        ("users/[id].py", None, "/users/[id]"),
        ("users/[id]/index.py", None, "/users/[id]"),
        ("[team]/[user].py", None, "/[team]/[user]"),
        ("docs/[...slug].py", None, "/docs/[...slug]"),
        ("[...].py", None, "/[...]"),
        ("[...slug]/index.py", None, "/[...slug]"),
        ("(admin)/stats.py", None, "/stats"),
        ("(a)/(b)/index.py", None, "/"),
        ("api/(internal)/x/y.py", None, "/api/x/y"),
        ("users.get.py", "GET", "/users"),
        ("users.post.py", "POST", "/users"),
        ("users.put.py", "PUT", "/users"),
        ("users.patch.py", "PATCH", "/users"),
        ("users.delete.py", "DELETE", "/users"),
        ("users.head.py", "HEAD", "/users"),
        ("users.options.py", "OPTIONS", "/users"),
        ("index.get.py", "GET", "/"),
        ("[id].delete.py", "DELETE", "/[id]"),
        ("[...slug].get.py", "GET", "/[...slug]"),
        ("[...].post.prod.py", "POST", "/[...]"),
        ("users.post.prod.py", "POST", "/users"),
        ("x.prod.py", None, "/x"),
        ("rss.xml.py", None, "/rss.xml"),
        ("rss.xml.get.py", "GET", "/rss.xml"),
        ("v1.2/a.b.c.py", None, "/v1.2/a.b.c"),
        ("index.html.py", None, "/index.html"),
        ("index/users.py", None, "/index/users"),
        ("get.py", None, "/get"),
        ("dev.py", None, "/dev"),
        ("api/get.post.py", "POST", "/api/get"),
        ("x.get.y.py", None, "/x.get.y"),
        ("x.connect.py", None, "/x.connect"),
        ("hello world.py", None, "/hello world"),
        ("ü-ber.py", None, "/ü-ber"),
        ("test.py", None, "/test"),
        ("tests/contest.py", None, "/tests/contest"),
        ("console.py", None, "/console"),
        ("com10.py", None, "/com10"),
    ],
)
def test_names(tmp_path: Path, name: str, method: str | None, pattern: str) -> None:
    make(tmp_path, name)
    assert scan(tmp_path, mode="prod") == [RouteFile(tmp_path / name, pattern, method, name)]


def test_modes(tmp_path: Path) -> None:
    make(tmp_path, "debug.dev.py", "x.get.dev.py", "users.post.prod.py", "both.py")
    assert routes(tmp_path, "dev") == {
        "both.py": (None, "/both"),
        "debug.dev.py": (None, "/debug"),
        "x.get.dev.py": ("GET", "/x"),
    }
    assert routes(tmp_path, "prod") == {"both.py": (None, "/both"), "users.post.prod.py": ("POST", "/users")}


def test_what_is_left_out(tmp_path: Path) -> None:
    make(
        tmp_path,
        "__init__.py",
        "_private.py",
        "_lib/x.py",
        "__pycache__/x.py",
        ".hidden.py",
        ".git/x.py",
        ".get.py",
        "test_users.py",
        "users_test.py",
        "conftest.py",
        "a/conftest.py",
        "a/test_b.py",
        "readme.md",
        "a.pyc",
        "a.pyi",
        "a.ts",
        "py",
    )
    assert scan(tmp_path, mode="dev") == []


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    names = ["b.py", "a/z.py", "a/b.py", "[id].py", "(g)/q.py", "index.py", "a.get.py"]
    make(tmp_path, *names)
    order = list(routes(tmp_path))
    assert order == ["(g)/q.py", "[id].py", "a/b.py", "a/z.py", "a.get.py", "b.py", "index.py"]


def test_no_folder_has_no_routes(tmp_path: Path) -> None:
    assert scan(tmp_path / "none", mode="dev") == []
    assert scan_ordered(tmp_path / "none") == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    make(tmp_path, "routes")
    with pytest.raises(RouteError, match=r"routes is a file; a folder was expected"):
        scan(tmp_path / "routes", mode="dev")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("con.py", "'con' is a reserved name on Windows"),
        ("PRN.get.py", "'PRN' is a reserved name"),
        ("aux.xml.py", "'aux' is a reserved name"),
        ("a/nul/index.py", "'nul' is a reserved name"),
        ("com1.py", "'com1' is a reserved name"),
        ("Lpt9.dev.py", "'Lpt9' is a reserved name"),
        (":id.py", "a file name cannot have ':'"),
        ("**.py", r"a file name cannot have '\*'"),
        ("[[id]].py", "optional parameters are not supported"),
        ("[[...slug]].py", "optional parameters are not supported"),
        ("[id.py", "bracket without its counterpart"),
        ("[a]-[b].py", "several parameters in one segment"),
        ("[id].xml.py", "mixes text and a parameter"),
        ("[].py", "a parameter's name is"),
        ("{id}.py", r"written '\[id\]' here"),
        ("[id]/[id].py", "two parameters called 'id'"),
        ("[...a]/b.py", "goes on after its catch-all"),
        ("x.dev.get.py", "the method comes before the mode: 'get.dev'"),
        ("x.get.post.py", "two methods, 'get' and 'post'"),
        ("x.dev.prod.py", "two modes, 'dev' and 'prod'"),
        ("x.GET.py", "only in lower case: 'get'"),
        ("x.Dev.py", "only in lower case: 'dev'"),
        ("(admin).py", "is a group, which is a folder"),
        ("(admin/x.py", "has parentheses"),
        ("users (1).py", "has parentheses"),
        ("()/x.py", "has parentheses"),
    ],
)
def test_refuses_names_with_a_sentence_that_names_the_file(tmp_path: Path, name: str, says: str) -> None:
    make(tmp_path, "fine.py", name)
    with pytest.raises(RouteError, match=says) as caught:
        scan(tmp_path, mode="prod")
    assert str(tmp_path / name.split("/")[0]) in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "route"),
    [
        ("users/index.py", "users.py", "any method of /users"),
        ("(a)/stats.py", "(b)/stats.py", "any method of /stats"),
        ("users/[id].py", "users/[slug].py", "any method of /users/[slug]"),
        ("[...].py", "[...slug].py", "any method of /[...slug]"),
        ("users/index.get.py", "users.get.py", "GET /users"),
        ("[id].get.py", "[slug].get.py", "GET /[slug]"),
        ("x.get.prod.py", "x.get.py", "GET /x"),
    ],
)
def test_two_files_for_one_route_and_method(tmp_path: Path, first: str, second: str, route: str) -> None:
    make(tmp_path, first, second)
    with pytest.raises(RouteError) as caught:
        scan(tmp_path, mode="prod")
    assert f"{tmp_path / first} and {tmp_path / second} both answer {route};" in str(caught.value)


def test_files_that_share_a_path_but_not_a_method_or_mode(tmp_path: Path) -> None:
    make(tmp_path, "x.py", "x.get.py", "x.post.py", "[id].get.py", "[slug].put.py", "y.dev.py", "y.prod.py")
    assert len(scan(tmp_path, mode="prod")) == 6
    assert len(scan(tmp_path, mode="dev")) == 6


def test_links_are_followed_inside_the_root(tmp_path: Path) -> None:
    make(tmp_path, "routes/a.py", "shared/b.py", "shared/more/c.py")
    (tmp_path / "routes/d.py").symlink_to(tmp_path / "shared/b.py")
    (tmp_path / "routes/e").symlink_to(tmp_path / "shared")
    found = scan(tmp_path / "routes", mode="dev", root=tmp_path)
    assert [route.pattern for route in found] == ["/a", "/d", "/e/b", "/e/more/c"]
    assert found[1].path == tmp_path / "routes/d.py"


@pytest.mark.parametrize("target", ["outside.py", "folder"])
def test_links_out_of_the_root_are_refused(tmp_path: Path, target: str) -> None:
    make(tmp_path, "outside.py", "folder/x.py", "project/routes/a.py")
    link = tmp_path / "project/routes" / f"link{Path(target).suffix}"
    link.symlink_to(tmp_path / target)
    with pytest.raises(RouteError, match="is outside of") as caught:
        scan(tmp_path / "project/routes", mode="dev", root=tmp_path / "project")
    assert str(link) in str(caught.value)


def test_a_link_to_a_folder_above_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a/b.py")
    (tmp_path / "a/again").symlink_to(tmp_path / "a")
    with pytest.raises(RouteError, match="a folder that it is in itself"):
        scan(tmp_path, mode="dev")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nothing")
    with pytest.raises(RouteError, match=r"gone\.py is not a file"):
        scan(tmp_path, mode="dev")


def test_the_folder_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    make(tmp_path, "real/a.py")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [route.path for route in scan(tmp_path / "link", mode="dev")] == [tmp_path / "link/a.py"]


def test_ordered_files_count_numbers_as_numbers(tmp_path: Path) -> None:
    make(
        tmp_path, "10.auth.py", "2.log.py", "01.first.py", "cors.py", "a10.py", "a9.py", "_x.py", "test_y.py"
    )
    found = scan_ordered(tmp_path)
    assert [name for name, _ in found] == ["01.first", "2.log", "10.auth", "a9", "a10", "cors"]
    assert found[0][1] == tmp_path / "01.first.py"


def test_ordered_files_may_stand_in_folders_and_read_no_method(tmp_path: Path) -> None:
    make(tmp_path, "2/a.get.py", "2/10.py", "2/9.py", "1.dev.py", "01.py", "1.py")
    assert [name for name, _ in scan_ordered(tmp_path)] == ["01", "1", "1.dev", "2/9", "2/10", "2/a.get"]


def test_ordered_files_refuse_what_routes_refuse(tmp_path: Path) -> None:
    make(tmp_path, "aux.py")
    with pytest.raises(RouteError, match="reserved name"):
        scan_ordered(tmp_path)
