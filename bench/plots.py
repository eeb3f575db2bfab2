"""Draws what was measured; nothing where matplotlib is not installed (the extra `bench` has it)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figures import figure
from bench.results import Results
from bench.rows import ROWS, Row
from bench.servers import OURS, SERVERS

__all__ = ["draw"]

BLUE, GREY, LIGHT, ORANGE = "#1b6ca8", "#a9b4be", "#dde3e8", "#e07a1f"
COLOURS = {OURS: BLUE, "starlette": ORANGE, "limit": "#7f7f7f", "crossws-bun": "#3a923a",
           "crossws-node": "#6d5acf", "picows": "#b03a5b"}  # fmt: skip
PICTURE = (
    ("echo-32", "WebSocket echo"),
    ("fanout-200", "Fan-out, 200 subscribers"),
    ("fanout-200-8", "Fan-out, eight in flight"),
    ("chat", "Chat, 32 in a room"),
    ("sse-200", "Event streams, 200"),
    ("http", "HTTP, JSON"),
)
SHOWN = (
    OURS,
    "starlette",
    "sse-starlette",
    "fastapi",
    "crossws-node",
    "h3-node",
    "crossws-bun",
    "h3-bun",
    "limit",
)


def draw(results: Results, folder: Path, readme: Path | None = None) -> list[Path]:
    """Draw each picture that there are figures for; return the files. `readme` is that of the README."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    pictures: list[tuple[Path, Callable[[Any, Results], Any]]] = [
        (readme or folder / "speed.png", _speed),
        (folder / "processor.png", _processor),
        (folder / "scale.png", _scale),
        (folder / "beside.png", _beside),
        (folder / "latency.png", _latency),
    ]
    made = []
    for file, picture in pictures:
        drawn = picture(pyplot, results)
        if drawn is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            drawn.savefig(file, dpi=130, facecolor="white")
            pyplot.close(drawn)
            made.append(file)
    return made


def _median(results: Results, row: str, server: str, name: str) -> float | None:
    outcome = results.rows.get(row, {}).get(server)
    found = figure(outcome.values(name)) if outcome else None
    return found.median if found else None


def _costs(results: Results, rows: list[Row], server: str) -> list[tuple[int, float]]:
    return [
        (row.at, user + (_median(results, row.name, server, "system") or 0))
        for row in rows
        if (user := _median(results, row.name, server, "user")) is not None
    ]


def _speed(pyplot: Any, results: Results) -> Any:
    """Messages a second in the main rows, each with a scale of its own."""
    rows = [(name, title) for name, title in PICTURE if results.rows.get(name)]
    if not rows:
        return None
    across = min(3, len(rows))
    down = -(-len(rows) // across)
    figure_, axes = pyplot.subplots(
        down, across, figsize=(3.9 * across, 2.15 * down), constrained_layout=True, squeeze=False
    )
    for axis, (name, title) in zip(axes.flat, rows, strict=False):
        found = [(s, r) for s in SHOWN if (r := _median(results, name, s, "rate")) is not None]
        places = range(len(found), 0, -1)
        colours = [BLUE if s == OURS else LIGHT if s == "limit" else GREY for s, _ in found]
        bars = axis.barh(places, [rate for _, rate in found], color=colours, height=0.72)
        axis.bar_label(bars, [f" {rate / 1000:,.0f} k" for _, rate in found], fontsize=8.5, color="#333")
        axis.set_yticks(places, [SERVERS[s].title for s, _ in found], fontsize=8.5)
        for label in axis.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() == SERVERS[OURS].title else "normal")
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.set_xlim(right=1.18 * max(rate for _, rate in found))
        axis.tick_params(length=0)
        axis.set_xticks([])
        axis.spines[["bottom", "left"]].set_visible(False)
    for axis in axes.flat[len(rows) :]:
        axis.set_visible(False)
    below = "messages received per second, one core for the server; more is better"
    figure_.supxlabel(below, fontsize=8.5, color="#555")
    return figure_


def _processor(pyplot: Any, results: Results) -> Any:
    """The server's processor time per message, in user mode and in the kernel."""
    rows = [row for row in ROWS if row.group == "main" and results.rows.get(row.name)]
    if not rows:
        return None
    figure_, axes = pyplot.subplots(
        len(rows), 1, figsize=(8, 0.55 + 1.75 * len(rows)), constrained_layout=True, squeeze=False
    )
    for axis, row in zip(axes.flat, rows, strict=True):
        found = [
            (server, user, _median(results, row.name, server, "system") or 0.0)
            for server in row.servers
            if (user := _median(results, row.name, server, "user")) is not None
        ]
        places = range(len(found), 0, -1)
        axis.barh(places, [user for _, user, _ in found], color=BLUE, height=0.7, label="user")
        axis.barh(places, [system for *_, system in found], left=[user for _, user, _ in found], color=GREY,
                  height=0.7, label="system")  # fmt: skip
        axis.set_yticks(places, [SERVERS[server].title for server, *_ in found], fontsize=8)
        axis.set_title(row.title, loc="left", fontsize=9, fontweight="bold")
        axis.tick_params(labelsize=8)
    axes.flat[0].legend(frameon=False, fontsize=8)
    figure_.supxlabel("processor time per message, µs", fontsize=9)
    return figure_


def _scale(pyplot: Any, results: Results) -> Any:
    """Fan-out to 100, 1 000 and 10 000: a delivery costs the same, and so a publication ten times as much."""
    rows = [row for row in ROWS if row.group == "scale" and results.rows.get(row.name)]
    if len(rows) < 2:
        return None
    figure_, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for server in rows[0].servers:
        cost = _costs(results, rows, server)
        style = {"marker": "o", "color": COLOURS.get(server), "label": SERVERS[server].title}
        left.plot([at for at, _ in cost], [each for _, each in cost], **style)
        right.plot([at for at, _ in cost], [at * each / 1000 for at, each in cost], **style)
    _series(left, "subscribers", "µs of processor time per delivery")
    _series(right, "subscribers", "ms of processor time per publication")
    right.set_yscale("log")
    left.legend(frameon=False, fontsize=8)
    return figure_


def _beside(pyplot: Any, results: Results) -> Any:
    """What else there is does not matter: the cost of a delivery beside others."""
    groups: dict[str, list[Row]] = {}
    for row in ROWS:
        if row.group.startswith("beside") and results.rows.get(row.name):
            groups.setdefault(row.group, []).append(row)
    if not groups:
        return None
    figure_, axes = pyplot.subplots(
        1, len(groups), figsize=(4 * len(groups), 3.4), constrained_layout=True, squeeze=False, sharey=True
    )
    for axis, (group, rows) in zip(axes.flat, groups.items(), strict=True):
        for server in rows[0].servers:
            points = _costs(results, rows, server)
            axis.plot([at for at, _ in points], [cost for _, cost in points], marker="o",
                      color=COLOURS.get(server), label=SERVERS[server].title)  # fmt: skip
        _series(axis, group.removeprefix("beside "), "µs of processor time per delivery")
    axes.flat[0].legend(frameon=False, fontsize=8)
    return figure_


def _latency(pyplot: Any, results: Results) -> Any:
    """Median and 99th percentile at three loads, and past a subscriber that does not read."""
    panels = [
        ("latency", "median", ("p50 at 10 %", "p50 at 50 %", "p50 at 90 %"), ("10 %", "50 %", "90 %")),
        ("latency", "99 %", ("p99 at 10 %", "p99 at 50 %", "p99 at 90 %"), ("10 %", "50 %", "90 %")),
        (
            "slow",
            "99 %, at 50 %",
            ("p99, without", "p99, one slow"),
            ("readers alone", "and one that\nnever reads"),
        ),
    ]
    panels = [panel for panel in panels if results.rows.get(panel[0])]
    if not panels:
        return None
    wide = 3.8 * len(panels)
    figure_, axes = pyplot.subplots(
        1, len(panels), figsize=(wide, 3.6), constrained_layout=True, squeeze=False
    )
    for axis, (row, title, names, ticks) in zip(axes.flat, panels, strict=True):
        for server in results.rows[row]:
            values = [_median(results, row, server, name) for name in names]
            kept = [(i, v / 1000) for i, v in enumerate(values) if v is not None and v != float("inf")]
            style = {"marker": "o", "color": COLOURS.get(server), "label": SERVERS[server].title}
            axis.plot([i for i, _ in kept], [v for _, v in kept], **style)
        axis.set_xticks(range(len(ticks)), ticks)
        axis.margins(x=0.15)
        axis.set_title(title, loc="left", fontweight="bold")
        axis.set_yscale("log")
        axis.grid(alpha=0.3, axis="y")
    axes.flat[0].set_ylabel("ms from when it was due")
    axes.flat[0].legend(frameon=False, fontsize=8)
    return figure_


def _series(axis: Any, across: str, up: str) -> None:
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel(across)
    axis.set_ylabel(up)
    axis.grid(alpha=0.3)
