"""`make conformance`, as it is: the tables against `longwave start`, and the page that it writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.conformance import deflate_cases, own
from tests.conformance.deflate_frames import COMPRESSED
from tests.conformance.expected import MATRIX, WEBSOCKET
from tests.conformance.handshake_cases import HANDSHAKES, OFFERS
from tests.conformance.http_cases import ALL
from tests.conformance.large_cases import LARGE
from tests.conformance.own import RAISED, play_all, play_raised, serving
from tests.conformance.report import PAGE, machine, write
from tests.conformance.verdicts import Result, Verdict, printed
from tests.conformance.ws_cases import AUTOBAHN, CASES


def test_every_case_is_ok() -> None:
    with serving() as port:
        results = play_all(port)
    assert all(result.verdict is Verdict.OK for result in results), printed(results)
    assert len(results) >= 765


@pytest.mark.timeout(600)
def test_every_large_or_compressed_case_is_ok(length: Callable[[int], int]) -> None:
    """Sections 9, 12 and 13, and ours beyond them: a tenth of each, or all of it (check 2)."""
    with serving(RAISED) as port:
        results = play_raised(port, length(1000) / 1000)
    assert all(result.verdict is Verdict.OK for result in results), printed(results)
    assert len(results) == 54 + 90 + 126 + 72 + 24


def test_a_miss_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each part of the run counts."""

    def result(verdict: Verdict) -> list[Result]:
        return [Result("A", "1", "x", verdict, "y", verdict)]

    written: list[str] = []
    monkeypatch.setattr(own, "serving", lambda env=None: nullcontext(0))
    monkeypatch.setattr(own, "write", lambda part, text: written.append(text))
    for first, second, code in (("OK", "OK", 0), ("UNCLEAN", "OK", 1), ("OK", "NON-STRICT", 1)):
        monkeypatch.setattr(own, "play_all", lambda port, verdict=first: result(Verdict(verdict)))
        monkeypatch.setattr(own, "play_raised", lambda port, verdict=second: result(Verdict(verdict)))
        assert own.main() == code
        assert capsys.readouterr().out
    assert "UNCLEAN: y" in written[1] and "NON-STRICT: y" in written[2]


def test_the_page_names_every_case() -> None:
    """The page in the repository has the cases of today, all of them OK."""
    text = PAGE.read_text().partition("<!-- end of part: verdicts -->")[0]
    rows = re.findall(r"^\| (\S.*?) \| .* \| ([^|]+) \|$", text, re.MULTILINE)
    verdicts = [
        verdict for _, verdict in rows if not verdict[0].isdigit() and verdict not in ("Verdict", "Verdicts")
    ]
    assert set(verdicts) == {"OK"}
    names = {name.replace("\\", "") for name, _ in rows}
    wanted = {case.id for case in (*CASES, *COMPRESSED)} | {case.id for case in LARGE}
    wanted |= {case.id for case in deflate_cases.CASES} | {case.id for case in (*HANDSHAKES, *OFFERS)}
    assert wanted <= names
    assert len(verdicts) == len(wanted) + len(ALL)


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
    names = {case.id for case in AUTOBAHN} | {case.id for case in LARGE}
    for expected in WEBSOCKET.values():
        assert expected.non_strict | expected.failed <= names
        assert len(expected.non_strict) == expected.number
    assert set(MATRIX) <= {case.name for case in ALL}
