"""Writes what was measured as a page: targets first, then row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os.path import relpath
from pathlib import Path

from bench.figures import MORE_IS_BETTER, Figure, figure, ratio
from bench.results import Outcome, Results
from bench.rows import ROWS, Row
from bench.servers import SERVERS

__all__ = ["page", "summary", "write"]

HEAD = """\
# Benchmark

Written by `make bench`. {date}; {machine}; {interpreter}. {versions}.

Server and client have a core each; every server is one process (or one worker) on that core, and has been
warmed up. The servers of a row take turns within each round, in another order each time; a figure is the
median of the rounds, behind it the quartiles, in brackets. A ratio is that of two figures of the same
round, above 1 where Longwave is better. A message counts when its receiver has read all of it and found it
right; one delivery to one of 200 subscribers is one message. User and system are the server's processor
time per message. Single rounds differ much on a shared machine: compare within a row only. Nobody
compresses.
"""
NOTES = {
    "latency": """\
Publications are due at a fixed pace, whatever the server does: 10, 50 and 90 % of what that same server
could do in that round. A delivery's time runs from when its publication was due.""",
    "slow": """\
The same at 50 %, without and with one more subscriber, which never reads; what is written for it soon
passes what the kernel takes. ∞: more than one delivery in a hundred (or half of them) had not come two
seconds after the end.""",
    "memory": """\
Resident memory of the process tree, less what it was after a first connection, by the number of
connections. Their heads are those that Chrome sends.""",
    "reach": "Stall: how long an echo on one more connection waited meanwhile, asked each millisecond.",
    "asgi": "Ratios are to Longwave on uvicorn.",
    "scale": "Cost grows with the receivers, and per delivery it stays.",
    "topics": "What one subscriber's other topics cost.",
}
TITLES = {
    "main": "Work",
    "asgi": "Under ASGI servers",
    "scale": "Fan-out at scale",
    "topics": "Many topics of one subscriber",
    "slow": "Latency beside a slow subscriber",
    "reach": "Very many connections",
}


def write(file: Path, results: Results, pictures: Sequence[Path]) -> None:
    """Write the page, with the pictures that there are."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(results, [relpath(picture, file.parent) for picture in pictures]))


def page(results: Results, pictures: Sequence[str] = ()) -> str:
    """Return the page as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in _used(results))
    facts = {name: results.facts.get(name, "?") for name in ("date", "machine", "interpreter")}
    parts = [HEAD.format(**facts, versions=versions)]
    rows = [row for row in ROWS if row.name in results.rows]
    parts.append("## Targets\n\n" + "\n".join(_targets(rows, results)) + "\n")
    for group in dict.fromkeys(row.group for row in rows):
        title = TITLES.get(group, group[0].upper() + group[1:])
        parts.append(f"## {title}\n")
        if group in NOTES:
            parts.append(NOTES[group] + "\n")
        for row in (row for row in rows if row.group == group):
            parts.append(f"### {row.title}\n\n" + "\n".join(_table(row, results.rows[row.name])) + "\n")
    if pictures:
        parts.append(
            "## Pictures\n\n" + "\n\n".join(f"![{Path(name).stem}]({name})" for name in pictures) + "\n"
        )
    return "\n".join(parts)


def summary(row: Row, outcomes: Mapping[str, Outcome], seconds: float) -> str:
    """Return a row as lines for the terminal."""
    lines = [f"{row.name}: {row.title} ({seconds:.0f} s)"]
    ours = outcomes.get(row.subject, Outcome())
    for name, outcome in outcomes.items():
        cells = [f"{column} {shown(figure(outcome.values(column)), column)}" for column in _columns(outcomes)]
        best = ratio(ours.samples, outcome.samples, _columns(outcomes)[0]) if name != row.subject else None
        against = f"x{best.median:.2f}" if best else ""
        trouble = f"  failed: {outcome.error}" if outcome.error else ""
        lines.append(f"  {name:18} {against:7} {'; '.join(cells)}{trouble}")
    return "\n".join(lines)


def shown(value: Figure | None, name: str) -> str:
    """Return a figure with its quartiles, in the unit of its name."""
    if value is None:
        return "-"
    return f"{_number(value.median, name)} [{_number(value.low, name)}-{_number(value.high, name)}]"


def _number(value: float, name: str) -> str:
    if value == float("inf"):
        return "∞"
    if name in ("rate", "capacity"):
        return f"{value / 1000:.1f} k" if value >= 1000 else f"{value:.0f}"
    if name == "bytes":
        return f"{value / 1024:.1f} KB"
    if name in ("user", "system"):
        return f"{value:.2f} µs"
    return f"{value / 1000:.1f} ms" if value >= 1000 else f"{value:.0f} µs"


def _columns(outcomes: Mapping[str, Outcome]) -> list[str]:
    for outcome in outcomes.values():
        for sample in outcome.samples.values():
            return list(sample)
    return ["rate"]


def _table(row: Row, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    columns = _columns(outcomes)
    heads = {"rate": "messages/s", "capacity": "publications/s", "bytes": "per connection"}
    yield f"| | {' | '.join(heads.get(column, column) for column in columns)} | ratio |"
    yield "|---" * (len(columns) + 2) + "|"
    ours = outcomes.get(row.subject, Outcome())
    for name, outcome in outcomes.items():
        title = SERVERS[name].title
        if not outcome.samples:
            yield f"| {title} | {_cell(outcome.error)} |" + " |" * len(columns)
            continue
        cells = [shown(figure(outcome.values(column)), column) for column in columns]
        against = None if name == row.subject else ratio(ours.samples, outcome.samples, columns[0])
        told = _ratio(against) + (f" (failed later: {_cell(outcome.error)})" if outcome.error else "")
        yield f"| {title} | {' | '.join(cells)} | {told} |"


def _targets(rows: Sequence[Row], results: Results) -> Iterator[str]:
    yield "| Work | Against | Reach | Then | Measured | |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        outcomes = results.rows[row.name]
        ours = outcomes.get(row.subject, Outcome())
        for target in row.targets:
            if target.against not in outcomes:
                continue
            found = ratio(ours.samples, outcomes[target.against].samples, target.figure)
            what = "" if target.figure in MORE_IS_BETTER else f", {target.figure} time"
            yield _target(
                f"{row.title}{what}", SERVERS[target.against].title,
                f"{target.reach:g} x" if target.reach else "", f"{target.aim:g} x" if target.aim else "",
                _ratio(found), _verdict(found.median if found else None, target.reach, target.aim),
            )  # fmt: skip
        for bound in row.bounds:
            held = figure(ours.values(bound.figure))
            # At most: the same question of the inverse.
            inverse = 1 / max(held.median, 1e-9) if held else None
            yield _target(
                row.title, f"{bound.figure}, at most", _number(bound.reach, bound.figure),
                _number(bound.aim, bound.figure) if bound.aim else "", shown(held, bound.figure),
                _verdict(inverse, 1 / bound.reach, 1 / bound.aim if bound.aim else None),
            )  # fmt: skip


def _target(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _verdict(value: float | None, least: float | None, aim: float | None) -> str:
    if value is None:
        return "not measured"
    if least is not None and value < least:
        return "**not met**"
    if aim is not None and value >= aim:
        return "beyond" if least is not None else "met"
    return "met" if least is not None else "not yet"


def _ratio(value: Figure | None) -> str:
    return f"{value.median:.2f} [{value.low:.2f}-{value.high:.2f}]" if value else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _used(results: Results) -> Iterator[tuple[str, str]]:
    versions: Mapping[str, str] = results.facts.get("versions", {})
    named = {name for servers in results.rows.values() for name in servers}
    packages = dict.fromkeys(package for name in named for package in SERVERS[name].packages)
    yield from sorted((name, versions[name]) for name in packages if name in versions)
