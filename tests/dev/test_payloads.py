"""What is said over the HMR WebSocket."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwave.dev.failures import Failure
from longwave.dev.feed import Restart, Swapped
from longwave.dev.payloads import error_payload, page_payloads, restart_payload, swapped_payload


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "public/a.css",
        "public/css/b c.CSS",
        "public/about/index.html",
        "public/x.js",
        "index.html",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return tmp_path


def reload(path: str, by: str) -> dict[str, str]:
    return {"type": "full-reload", "path": path, "triggeredBy": by}


def test_style_sheets_are_exchanged_in_place(root: Path) -> None:
    (payload,) = page_payloads([root / "public/css/b c.CSS", root / "public/a.css"], root)
    assert payload["type"] == "update"
    assert [
        (each["type"], each["path"], each["acceptedPath"], each["timestamp"] > 1_700_000_000_000)
        for each in payload["updates"]
    ] == [("css-update", "/a.css", "/a.css", True), ("css-update", "/css/b c.CSS", "/css/b c.CSS", True)]


@pytest.mark.parametrize(
    ("files", "reloads"),
    [
        (["index.html"], [reload("/index.html", "index.html")]),
        (["public/about/index.html"], [reload("/about/index.html", "public/about/index.html")]),
        (
            ["public/about/index.html", "index.html"],
            [reload("/index.html", "index.html"), reload("/about/index.html", "public/about/index.html")],
        ),
        (["public/x.js"], [reload("*", "public/x.js")]),
        (["public/a.css", "public/x.js", "index.html"], [reload("*", "public/x.js")]),
        (["public/gone.css"], [reload("*", "public/gone.css")]),
        (["public/gone"], [reload("*", "public/gone")]),
        ([], []),
    ],
)
def test_the_rest_reloads_the_pages(root: Path, files: list[str], reloads: list[dict[str, str]]) -> None:
    assert page_payloads([root / file for file in files], root) == reloads


def test_a_page_and_a_style_sheet_are_two_things(root: Path) -> None:
    payloads = page_payloads([root / "index.html", root / "public/a.css"], root)
    assert [payload["type"] for payload in payloads] == ["update", "full-reload"]


def test_new_code_is_an_event() -> None:
    news = Swapped(("a.py",), 0.0123, 2, ("/a",), ("/b",), ("/c",), True, 3, 1, 2, mended=True)
    data = {
        "files": ("a.py",),
        "routes": ("/a",),
        "added": ("/b",),
        "removed": ("/c",),
        "kept": 3,
        "closed": 1,
        "ended": 2,
        "milliseconds": 12,
        "mended": True,
    }
    assert swapped_payload(news) == {"type": "custom", "event": "longwave:swapped", "data": data}


def test_a_restart_is_an_event() -> None:
    data = {"files": (".env",), "why": "it is read at the start"}
    assert restart_payload(Restart((".env",), "it is read at the start")) == {
        "type": "custom",
        "event": "longwave:restart",
        "data": data,
    }


def test_an_error_has_its_place_and_the_lines_around(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("\n".join(f"line {number}" for number in range(1, 13)))
    err = error_payload(Failure("no", "a.py", 10, "line 10"), tmp_path)["err"]
    assert (err["message"], err["id"], err["stack"]) == ("no", "a.py", "")
    assert err["loc"] == {"file": str(tmp_path / "a.py"), "line": 10, "column": 1}
    assert err["frame"].splitlines() == [
        "   8 | line 8",
        "   9 | line 9",
        "> 10 | line 10",
        "  11 | line 11",
        "  12 | line 12",
    ]


def test_what_is_no_file_has_the_line_alone(tmp_path: Path) -> None:
    err = error_payload(Failure("no", "gone.py", 3, "x = "), tmp_path)["err"]
    assert err["frame"] == "x = "


def test_an_error_without_a_place_has_none(tmp_path: Path) -> None:
    assert error_payload(Failure("no"), tmp_path) == {"type": "error", "err": {"message": "no", "stack": ""}}
