"""`make conformance`, as it is: the tables against `longwave start`, and the page that it writes."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conformance.expected import MATRIX, WEBSOCKET
from tests.conformance.http_cases import ALL
from tests.conformance.own import play_all, serving
from tests.conformance.report import PAGE, machine, write
from tests.conformance.verdicts import Verdict, printed
from tests.conformance.ws_cases import AUTOBAHN, CASES


def test_every_case_is_ok() -> None:
    with serving() as port:
        results = play_all(port)
    assert all(result.verdict is Verdict.OK for result in results), printed(results)
    assert len(results) >= 680


def test_the_page_names_every_case() -> None:
    """The page in the repository has the cases of today, all of them OK."""
    text = PAGE.read_text().partition("<!-- end of part: verdicts -->")[0]
    rows = re.findall(r"^\| (\S.*?) \| .* \| ([^|]+) \|$", text, re.MULTILINE)
    verdicts = [
        verdict for _, verdict in rows if not verdict[0].isdigit() and verdict not in ("Verdict", "Verdicts")
    ]
    assert set(verdicts) == {"OK"}
    names = {name.replace("\\", "") for name, _ in rows}
    assert {case.id for case in CASES} <= names
    assert len(verdicts) >= len(CASES) + len(ALL)


def test_the_page_names_no_machine() -> None:
    text = PAGE.read_text()
    assert re.search(r"^20\d\d-\d\d-\d\d, \d+ cores, ", text, re.MULTILINE)
    assert "/home/" not in text and "/work/" not in text and "/tmp/" not in text
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, \d+ cores, \S+, \S+ [\d.]+, \S+ [\d.]+\S*", machine())


def test_parts_of_the_page_are_written_by_themselves(tmp_path: Path) -> None:
    path = tmp_path / "results" / "page.md"
    write("calibration", "numbers\n", path)
    assert "numbers" in path.read_text() and "`make conformance` writes this part" in path.read_text()
    write("verdicts", "verdicts \\1\n", path)
    write("verdicts", "verdicts \\2\n", path)
    text = path.read_text()
    assert "numbers" in text and "verdicts \\2" in text and "\\1" not in text


def test_expectations_are_of_cases_that_there_are() -> None:
    names = {case.id for case in AUTOBAHN}
    for expected in WEBSOCKET.values():
        assert expected.non_strict | expected.failed <= names
        assert len(expected.non_strict) == expected.number
    assert set(MATRIX) <= {case.name for case in ALL}
