"""The reference is complete, and says what the code says: names, settings, limits, commands, links."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import click
import pytest
from msgspec.structs import fields

import longwave
import longwave.errors
import longwave.testing
from longwave.cli.main import cli
from longwave.config.schema import known_keys, shown
from longwave.limits import Limits, Timeouts
from tests.docs.samples import PAGES, ROOT, blocks_of
from tests.docs.tables import ASGI_PAGE, capability_table

REFERENCE = ROOT / "docs" / "reference"
SESSION = {"opened", "received", "pinged", "ponged", "drained", "closed", "deliver", "channels", "wire"}
"""What the server and the hub call; no part of what a developer holds."""
MEMBERS: list[tuple[str, Any, set[str]]] = [
    ("peer.md", longwave.Peer, SESSION | {"closed_with", "leave_route"}),
    ("message.md", longwave.Message, set()),
    (
        "event.md",
        longwave.Event,
        {"fields", "generation", "take_staged", "task", "release", "reply", "stream", "request"},
    ),
    (
        "event-stream.md",
        longwave.EventStream,
        SESSION | {"reply", "started", "end", "found", "is_of", "beat"},
    ),
    ("event-stream.md", longwave.EventMessage, set()),
    (
        "response.md",
        longwave.Response,
        {"fields", "copy", *(name for name in dir(Exception) if not name.startswith("_"))},
    ),
    ("handlers.md", longwave.UpgradeResult, set()),
    ("handlers.md", longwave.CloseDetails, set()),
    ("testing.md", longwave.testing.TestClient, set()),
    ("testing.md", longwave.testing.WebSocketConnection, set()),
    ("testing.md", longwave.testing.EventConnection, set()),
    ("testing.md", longwave.testing.TestResponse, set()),
    ("testing.md", longwave.testing.ServerEvent, set()),
]
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "s": 1, "": 1}


def read(name: str) -> str:
    return (REFERENCE / name).read_text()


def says(text: str, name: str) -> bool:
    """Tell whether a page has a name in code, alone or in a call or an access."""
    codes = re.findall(r"`([^`\n]+)`", text) + re.findall(
        r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    return any(re.search(rf"(?<!\w){re.escape(name)}\b", code) for code in codes)


def table(text: str) -> dict[str, list[str]]:
    """Return the rows of all tables of a page by the code of their first cell."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            rows[cells[0].strip("| `")] = cells[1:]
    return rows


@pytest.mark.parametrize("name", longwave.__all__)
def test_public_name_has_a_page(name: str) -> None:
    assert any(says(page.read_text(), name) for page in REFERENCE.glob("*.md"))


@pytest.mark.parametrize(
    ("module", "page"), [(longwave.testing, "testing.md"), (longwave.errors, "errors.md")]
)
def test_module_has_a_page(module: Any, page: str) -> None:
    assert [name for name in module.__all__ if not says(read(page), name)] == []


@pytest.mark.parametrize(("page", "kind", "hidden"), MEMBERS, ids=[entry[1].__name__ for entry in MEMBERS])
def test_members_are_described(page: str, kind: Any, hidden: set[str]) -> None:
    names = {name for name in (*dir(kind), *getattr(kind, "__slots__", ())) if not name.startswith("_")}
    assert hidden <= names, "a hidden name is gone"
    text = read(page)
    assert sorted(name for name in names - hidden if not says(text, name)) == []


@pytest.mark.parametrize(
    ("page", "function"),
    [
        ("app.md", longwave.create_app),
        ("publish.md", longwave.publish),
        ("proxy.md", longwave.proxy_request),
        ("proxy.md", longwave.create_websocket_proxy),
        ("handlers.md", longwave.define_websocket_handler),
        ("response.md", longwave.Response),
        ("testing.md", longwave.testing.TestClient),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_signature(page: str, function: Any) -> None:
    """The signature that a page shows has the parameters of the function, and their defaults."""
    shown_as = f"{function.__name__}("
    (block,) = (
        b for b in blocks_of(REFERENCE / page) if b.language == "text" and b.code.startswith(shown_as)
    )
    # Further signatures may follow, each on lines of its own.
    text = re.split(rf"\n(?={function.__name__}\b)", block.code)[0]
    tree = ast.parse(f"def {text.strip()}: ...").body[0]
    assert isinstance(tree, ast.FunctionDef)
    written = [each.arg for each in (*tree.args.args, *tree.args.kwonlyargs)]
    parameters = inspect.signature(function).parameters.values()
    assert written == [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    defaults = [d for d in (*tree.args.defaults, *tree.args.kw_defaults) if d is not None]
    assert [ast.literal_eval(default) for default in defaults] == [
        p.default for p in parameters if p.default is not p.empty
    ]


@pytest.mark.parametrize(("section", "kind"), [("limits", Limits), ("timeouts", Timeouts)])
def test_limits_and_their_defaults(section: str, kind: type) -> None:
    rows = table(read("limits.md"))
    for field in fields(kind):
        default, what, under_asgi = rows[f"{section}.{field.name}"]
        number, _, unit = default.partition(" ")
        assert float(number) * UNITS[unit] == field.default, field.name
        assert what and under_asgi, field.name
    names = {f"{section}.{field.name}" for field in fields(kind)}
    assert {name for name in rows if name.startswith(f"{section}.")} == names


def test_settings_and_their_defaults() -> None:
    rows = table(read("config.md"))
    keys = {name: key for name, key in known_keys().items() if not name.startswith(("limits.", "timeouts."))}
    assert set(rows) == set(keys)
    assert {name: rows[name][0] for name in keys} == {
        name: f"`{shown(name, key.default)}`" for name, key in keys.items()
    }


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_command_and_its_options(name: str) -> None:
    section = re.search(rf"^## `longwave {name} .*?(?=^## |\Z)", read("cli.md"), re.MULTILINE | re.DOTALL)
    assert section is not None, f"cli.md has no section for {name}"
    options = [
        option
        for parameter in cli.commands[name].params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option not in ("-h", "--help")
    ]
    assert [option for option in options if not says(section[0], option)] == []
    shown_options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", section[0]))
    assert shown_options <= set(options)


def test_capabilities_under_asgi() -> None:
    """The table of asgi.md is that of the link suite; `python -m tests.docs.tables` writes it."""
    assert capability_table() in ASGI_PAGE.read_text()


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_resolve(page: Path) -> None:
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached() -> None:
    """Whoever begins at the README or the index gets everywhere."""
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in found or page.suffix != ".md" or not page.exists():
            continue
        found.add(page)
        todo += [
            (page.parent / target.partition("#")[0]).resolve()
            for target in links(page)
            if "://" not in target
        ]
    assert [str(page) for page in PAGES if page not in found] == []


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > 300_000] == []


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and pictures, code left out."""
    text = re.sub(r"^( *)```.*?^\1```$|`[^`\n]+`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
