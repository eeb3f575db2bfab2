"""What became of a case: verdicts, results, and the tables that are made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Result", "Verdict", "counts", "markdown", "printed", "summary", "worst"]


class Verdict(StrEnum):
    """The verdicts of the Autobahn test suite, from best to worst.

    `NON-STRICT` is the right outcome, but later, with less, or by other means than demanded.
    `INFORMATIONAL` is a case that the suite leaves open, with another outcome than the one demanded here.
    `UNCLEAN` is the right outcome without the goodbye: the connection was cut, or left open, where a close
    frame or a status had to come.
    """

    OK = "OK"
    INFORMATIONAL = "INFORMATIONAL"
    NON_STRICT = "NON-STRICT"
    UNCLEAN = "UNCLEAN"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Result:
    """One case and what became of it.

    `saw` says in few words what the server did. `suite` is what the Autobahn test suite would say: it takes
    a cut connection for a good answer to a broken frame. For other tables it is the verdict.
    """

    section: str
    id: str
    description: str
    verdict: Verdict
    saw: str
    suite: Verdict


def worst(*verdicts: Verdict) -> Verdict:
    """Return the worst of some verdicts."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.OK)


def counts(verdicts: Iterable[Verdict]) -> str:
    """Return how many there are of each verdict, in words, the best first."""
    found = Counter(verdicts)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in Verdict if found[verdict])


def summary(results: Sequence[Result]) -> list[tuple[str, int, str]]:
    """Return for each section its title, how many cases it has, and how many there are of each verdict."""
    sections: dict[str, list[Verdict]] = {}
    for result in results:
        sections.setdefault(result.section, []).append(result.verdict)
    return [(title, len(verdicts), counts(verdicts)) for title, verdicts in sections.items()]


def printed(results: Sequence[Result], *, each: bool = False) -> str:
    """Return the verdict table for a terminal: a line per section, and one for each case that is not OK."""
    rows = summary(results)
    width = max((len(title) for title, _, _ in rows), default=0)
    lines = []
    for title, number, found in rows:
        lines.append(f"{title:{width}}  {number:4}  {found}")
        lines += [
            f"    {result.id}: {result.verdict}: {result.saw} ({result.description})"
            for result in results
            if result.section == title and (each or result.verdict is not Verdict.OK)
        ]
    lines.append(f"{'all':{width}}  {len(results):4}  {counts(result.verdict for result in results)}")
    return "\n".join(lines)


def markdown(results: Sequence[Result], level: int = 3) -> str:
    """Return the verdict tables as Markdown: one of the sections, and one for each section with its cases."""
    rows = [f"| {title} | {number} | {found} |" for title, number, found in summary(results)]
    parts = ["| Section | Cases | Verdicts |\n|---|---|---|\n" + "\n".join(rows)]
    for title, _, _ in summary(results):
        rows = [
            f"| {_cell(result.id)} | {_cell(result.description)} | {_cell(_verdict(result))} |"
            for result in results
            if result.section == title
        ]
        head = "| Case | What the client does | Verdict |\n|---|---|---|\n"
        parts.append(f"{'#' * level} {title}\n\n" + head + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _verdict(result: Result) -> str:
    return result.verdict if result.verdict is Verdict.OK else f"{result.verdict}: {result.saw}"


def _cell(text: str) -> str:
    """Make text that Markdown takes as it is: data of the cases may hold anything."""
    for mark in "\\`*_{}[]<>|~#":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())
