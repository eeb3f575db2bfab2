"""The tables find on other people's servers what is known of them; one that found nothing would be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.calibrate import Found, differences, explanation, measure, report
from tests.conformance.expected import MATRIX, WEBSOCKET, same
from tests.conformance.peers import NPM, PEERS, Peer, installed
from tests.conformance.verdicts import Result, Verdict

QUICK = (
    "1.1.*",
    "3.2",
    "4.1.3",
    "6.4.*",
    "7.1.*",
    "9.3.8",
    "CL *",
    "TE chunked*",
    "BEL",
    "Host *",
    "HTTP/9.9",
    "bare LF*",
)


def unexplained(found: Found) -> dict[str, str]:
    told = differences(found)
    return {case: text for case, text in told.items() if explanation(found.peer, case) is None}


def peer(name: str) -> Peer:
    return next(peer for peer in PEERS if peer.name == name)


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn-wsproto"])
def test_some_cases_on_uvicorn(name: str) -> None:
    found = measure(peer(name), QUICK)
    assert unexplained(found) == {}
    late = {"6.4.1", "6.4.2", "6.4.3", "6.4.4"} if name == "uvicorn" else set()
    assert found.non_strict() == {"3.2", "4.1.3"} | late
    assert found.failed() == ({"7.1.5"} if name == "uvicorn" else set())
    assert found.http["Host u@h"].verdict is Verdict.FAILED
    assert found.http["HTTP/9.9"].verdict is (Verdict.OK if name == "uvicorn" else Verdict.FAILED)


def test_the_set_up_of_the_tests_installs_the_same_ws() -> None:
    script = Path(__file__).parents[2] / "scripts" / "setup.sh"
    assert f"install_npm_package {NPM[0]} " in script.read_text()


@pytest.mark.long
@pytest.mark.parametrize("name", [peer.name for peer in PEERS])
def test_all_cases(name: str) -> None:
    if not installed(peer(name), install=True):
        pytest.skip(f"{peer(name).title} is not there and could not be installed")
    found = measure(peer(name))
    assert unexplained(found) == {}
    assert len(found.websocket) == 247 + 54
    assert found.non_strict() <= WEBSOCKET[name].non_strict


def result(case: str, verdict: Verdict, saw: str = "x") -> Result:
    return Result("A", case, "", verdict, saw, verdict)


def test_a_difference_is_told() -> None:
    """Also that a table which finds nothing, or too much, does not pass."""
    found = Found(peer("uvicorn"))
    for case in ("7.1.5", "6.4.1", "3.3"):
        found.websocket[case] = result(case, Verdict.OK)
    found.websocket["1.1.1"] = result("1.1.1", Verdict.NON_STRICT)
    found.websocket["1.1.2"] = result("1.1.2", Verdict.UNCLEAN)
    found.http["BEL"] = result("BEL", Verdict.FAILED, "ok")
    assert set(differences(found)) == {"7.1.5", "6.4.1", "3.3", "1.1.1", "1.1.2", "BEL"}
    assert set(unexplained(found)) == set(differences(found)) - {"3.3"}
    assert differences(found)["BEL"] == "expected 400, found ok"


def test_the_report_says_what_differs() -> None:
    found = Found(peer("ws"))
    found.websocket["6.4.1"] = result("6.4.1", Verdict.NON_STRICT, "late")
    for case, row in MATRIX.items():
        found.http[case] = result(case, Verdict.FAILED, row["ws"])
    found.http["64 KiB extension"] = result("64 KiB extension", Verdict.UNCLEAN, "closed")
    text = report([found], [peer("bun")])
    assert "Not installed, and so not measured: Bun." in text
    assert (
        "| Node.js and ws | 4 non-strict, failed: 9.3.1, 9.3.2, 9.4.1, 9.4.2 | 1 non-strict | 6.4.1 | 0 |"
        in text
    )
    assert "closed (expected hangs)" in text
    assert "- Node.js and ws, 64 KiB extension: expected hangs, found closed. The same at" in text


@pytest.mark.parametrize(
    ("expected", "found", "alike"),
    [
        ("ok", "ok[5]", True),
        ("ok", "ok, then 400", True),
        ("400", "400, left open", True),
        ("400", "ok", False),
        ("ok", "closed", False),
        ("hangs", "hangs", True),
    ],
)
def test_words_that_say_the_same(expected: str, found: str, alike: bool) -> None:
    assert same(expected, found) is alike
