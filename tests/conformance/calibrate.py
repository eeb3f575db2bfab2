"""The tables against other people's servers, whose misses are known: what `make calibrate` does.

A table that did not find them would be wrong. Where what is found differs from what is expected, the reason
stands in `EXPLAINED`; a difference without a reason makes the program exit with 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from tests.conformance.expected import CHOPPED, MATRIX, WEBSOCKET, same
from tests.conformance.peers import CACHE, PEERS, Peer, installed, running
from tests.conformance.report import machine, write
from tests.conformance.run import run_tables
from tests.conformance.verdicts import Result, Verdict
from tests.conformance.wire import Timing
from tests.tools import node

__all__ = ["EXPLAINED", "Found", "differences", "explanation", "main", "measure", "report"]

TIMING = Timing(patience=2.0, notice=0.5)
"""What hangs is found out in two seconds."""
EXPLAINED: dict[tuple[str, str], str] = {
    ("ws", "64 KiB extension"): (
        "the same at another moment: Node.js answers 413 and resets the connection, and a client that is "
        "still sending may lose the answer to the reset. The handler had no body in either case"
    ),
}
"""By server and case: why what is found need not be what is expected."""
QUICK = "the error comes in a later packet than the message before it, and this time the echo was quicker"


@dataclass(slots=True)
class Found:
    """What the tables found on one server."""

    peer: Peer
    websocket: dict[str, Result] = field(default_factory=dict)
    http: dict[str, Result] = field(default_factory=dict)

    def non_strict(self) -> set[str]:
        """The WebSocket cases that the Autobahn test suite would call non-strict."""
        return {name for name, result in self.websocket.items() if result.suite is Verdict.NON_STRICT}

    def failed(self) -> set[str]:
        """The WebSocket cases that it would call failed or unclean."""
        bad = (Verdict.FAILED, Verdict.UNCLEAN)
        return {name for name, result in self.websocket.items() if result.suite in bad}


def measure(peer: Peer, wanted: Sequence[str] = ("*",)) -> Found:
    """Run a peer and the tables against it."""
    found = Found(peer)
    with running(peer) as port:
        results = run_tables(port, ("autobahn",), TIMING, wanted=wanted)
        results += run_tables(port, ("large",), TIMING, wanted=wanted)
        found.websocket = {result.id: result for result in results}
        if "http" in peer.tables:
            results = run_tables(port, ("http",), TIMING, wanted=wanted)
            found.http = {result.id: result for result in results}
    return found


def differences(found: Found) -> dict[str, str]:
    """Return what differs from what is expected, by case; what was not played does not."""
    name = found.peer.name
    expected = WEBSOCKET[name]
    late, failed = found.non_strict(), found.failed()
    told: dict[str, str] = {}
    for case in found.websocket:
        if case in expected.failed and case not in failed:
            told[case] = f"expected to fail, found {found.websocket[case].saw}"
        elif case in failed and case not in expected.failed:
            told[case] = f"failed: {found.websocket[case].saw}"
        elif case in late and case not in expected.non_strict:
            told[case] = f"non-strict: {found.websocket[case].saw}"
        elif case in expected.non_strict and case not in late:
            told[case] = f"expected to be non-strict, found {found.websocket[case].saw}"
    for case, row in MATRIX.items():
        if case in found.http and not same(row[name], found.http[case].saw):
            told[case] = f"expected {row[name]}, found {found.http[case].saw}"
    return told


def explanation(peer: Peer, case: str) -> str | None:
    """Return why a case need not be as expected on a server, or None."""
    late = case in CHOPPED & WEBSOCKET[peer.name].non_strict
    return QUICK if late else EXPLAINED.get((peer.name, case))


def main() -> int:
    """Install what is missing, run every peer, print and write what was found; return the exit code."""
    results: list[Found] = []
    absent: list[Peer] = []
    unexplained = 0
    for peer in PEERS:
        if not installed(peer, install=True):
            print(f"NOT MEASURED: {peer.title}: {peer.needs} is not there and could not be installed")
            absent.append(peer)
            continue
        found = measure(peer)
        results.append(found)
        print(f"{peer.title}: {_websocket_words(found)}; {_http_words(found)}")
        for case, text in differences(found).items():
            reason = explanation(peer, case)
            unexplained += reason is None
            print(f"    {case}: {text}{f' ({reason})' if reason else ' UNEXPLAINED'}")
    write("calibration", report(results, absent))
    return 1 if unexplained or not results else 0


def report(results: Sequence[Found], absent: Sequence[Peer] = ()) -> str:
    """Return what was found beside what was expected, as Markdown."""
    versions = ", ".join(f"{name} {text}" for name, text in _versions().items())
    parts = [f"## Calibration\n\nThe same tables on other servers. {machine()}. {versions}."]
    if absent:
        parts.append(f"Not installed, and so not measured: {', '.join(peer.title for peer in absent)}.")
    parts.append(_WEBSOCKET + _websocket_table(results))
    parts.append(_HTTP + _matrix(results))
    parts.append(_ALL_HTTP + _http_counts(results))
    rows = [
        f"- {found.peer.title}, {case}: {text}. {_reason(found.peer, case)}."
        for found in results
        for case, text in differences(found).items()
    ]
    parts.append("### Differences\n\n" + ("\n".join(rows) or "None."))
    return "\n\n".join(parts) + "\n"


_WEBSOCKET = f"""### WebSocket: sections 1 to 7, 9 and 10

The 247 cases and the 54 with large messages. "Expected" is what the Autobahn test suite itself found on the
same versions. It takes a connection that is cut for a good answer to a broken frame, and so does the column
"found"; the last column counts those, which of Longwave are not taken. Whether the cases
{", ".join(sorted(CHOPPED))} are strict is a matter of microseconds, and the numbers vary by as many.

"""
_HTTP = """### HTTP: where servers disagree

The words are `ok` (the handler had the request, or 2xx was answered; in brackets the size of the body that it
got), a status, `closed` (cut without an answer), `hangs`. Where a word is not the expected one, that one is
beside it.

"""
_ALL_HTTP = """### HTTP: all cases

Not every miss is a fault of that server: some cases demand the very status or limit that Longwave has.

"""


def _websocket_words(found: Found) -> str:
    failed = found.failed()
    return f"{len(found.non_strict())} non-strict" + (
        f", failed: {', '.join(sorted(failed))}" if failed else ""
    )


def _http_words(found: Found) -> str:
    wrong = sum(result.verdict is not Verdict.OK for result in found.http.values())
    return f"{wrong} of {len(found.http)} HTTP cases are not OK" if found.http else "no HTTP"


def _websocket_table(results: Sequence[Found]) -> str:
    lines = [
        "| Server | Expected | Found | Which | Cut, or closed without a code |",
        "|---|---|---|---|---|",
    ]
    for found in results:
        expected = WEBSOCKET[found.peer.name]
        wanted = f"{expected.number} non-strict"
        if expected.failed:
            wanted += f", failed: {', '.join(sorted(expected.failed))}"
        which = ", ".join(name for name in found.websocket if name in found.non_strict())
        unclean = sum(result.verdict is Verdict.UNCLEAN for result in found.websocket.values())
        lines.append(f"| {found.peer.title} | {wanted} | {_websocket_words(found)} | {which} | {unclean} |")
    return "\n".join(lines)


def _matrix(results: Sequence[Found]) -> str:
    measured = [found for found in results if found.http]
    lines = [f"| Case | {' | '.join(found.peer.title for found in measured)} |"]
    lines.append("|---" * (len(measured) + 1) + "|")
    for case, row in MATRIX.items():
        cells = (_cell(row, found, case) for found in measured)
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, str], found: Found, case: str) -> str:
    saw, expected = found.http[case].saw, row[found.peer.name]
    return saw if same(expected, saw) else f"{saw} (expected {expected})"


def _http_counts(results: Sequence[Found]) -> str:
    shown = [verdict for verdict in Verdict if verdict is not Verdict.INFORMATIONAL]
    lines = [f"| Server | {' | '.join(shown)} |", "|---" * (len(shown) + 1) + "|"]
    for found in results:
        if found.http:
            number = Counter(result.verdict for result in found.http.values())
            lines.append(f"| {found.peer.title} | {' | '.join(str(number[each]) for each in shown)} |")
    return "\n".join(lines)


def _versions() -> dict[str, str]:
    versions = {}
    for name in ("uvicorn", "h11", "httptools", "wsproto", "websockets", "hypercorn"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    for found in sorted((CACHE / "python").glob("granian-*.dist-info")):
        versions["granian"] = found.name.split("-")[1].removesuffix(".dist")
    for name in ("ws", "bun"):
        package = CACHE / "node_modules" / name / "package.json"
        if package.exists():
            versions[name] = json.loads(package.read_text())["version"]
    if node() is not None:
        told = subprocess.run([str(node()), "--version"], capture_output=True, text=True, check=False)
        versions["Node.js"] = told.stdout.strip().removeprefix("v")
    return versions


def _reason(peer: Peer, case: str) -> str:
    text = explanation(peer, case) or "not explained"
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    sys.exit(main())
