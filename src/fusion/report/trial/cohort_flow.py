"""Cohort flow: boxes from the patients in the folder to those whose predictions are scored, and who was lost where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusion.report.style import INK, MUTED, figure_style
from fusion.report.trial.drawing import NothingToDraw, plain
from fusion.report.words import counted, short_name

#: Most reasons in a box of what was left out.
MOST_REASONS = 5


@dataclass(frozen=True)
class Box:
    """A box: its heading and the lines below it."""

    heading: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Level:
    """Boxes side by side, the box at the side of the arrow that leads to them, and a word at that arrow."""

    boxes: tuple[Box, ...]
    lost: Box | None = None
    note: str = ""


def flow_levels(qc: Mapping[str, Any], predictions: pd.DataFrame | None = None) -> list[Level]:
    """The levels of the figure from `qc.json` and, where there is a run, its held-out predictions.

    Args:
        qc: What a run keeps as `qc.json`.
        predictions: `predictions.parquet` of the run.
    """
    patients = int(qc.get("patients", 0))
    name = plain(qc.get("name", "the cohort"), 40)
    levels = [Level((Box("In the cohort folder", (name, counted(patients, "patient"))),))]
    known = [
        f"{short_name(str(task))}: {counted(int(each['known']), 'patient')}, {counted(int(each['events']), 'event')}"
        for task, each in (qc.get("endpoints") or {}).items()
    ]
    response = {key: int(n) for key, n in (qc.get("response") or {}).items()}
    if response:
        assessed = sum(n for key, n in response.items() if key != "NE")
        responders = sum(response.get(key, 0) for key in ("CR", "PR"))
        known.append(f"Response: {counted(assessed, 'patient')}, {counted(responders, 'responder')}")
    if known:
        levels.append(Level((Box("With an outcome", tuple(known)),), _left_out(qc)))
    assays = {str(name): int(by_visit.get("0", 0)) for name, by_visit in sorted((qc.get("availability") or {}).items())}
    if assays and patients:
        boxes = tuple(
            Box(plain(name, 24).replace(" (", "\n("), (f"{n} ({100 * n / patients:.0f} %)",))
            for name, n in assays.items()
        )
        levels.append(Level(boxes, note="with a sample at the baseline visit"))
    if predictions is not None and len(predictions):
        levels += _scored(predictions, patients)
    return levels


def _left_out(qc: Mapping[str, Any]) -> Box | None:
    table = pd.DataFrame(qc.get("left_out") or [], columns=["file", "item", "reason", "count"])
    if table.empty:
        return None
    counts = table.groupby(["file", "reason"], sort=True)["count"].sum().sort_values(ascending=False, kind="stable")
    lines = [f"{plain(file, 20)}: {plain(reason, 40)}: {int(n):,}" for (file, reason), n in counts.items()]
    more = [f"and {len(lines) - MOST_REASONS} other reasons"] if len(lines) > MOST_REASONS else []
    return Box("Left out of the data (rows, not patients)", (*lines[:MOST_REASONS], *more))


def _scored(predictions: pd.DataFrame, patients: int) -> list[Level]:
    first = predictions[(predictions["repeat"] == predictions["repeat"].min()) & (predictions["visit"] == 0)]
    held_out = int(predictions["patient_id"].nunique())
    gone = patients - held_out
    lost = Box("Not predicted", (f"{counted(gone, 'patient')} without an outcome to score",)) if gone > 0 else None
    boxes = []
    for task in dict.fromkeys(str(task) for task in first["task"]):
        rows = first[first["task"] == task]
        rows = rows[rows["at_risk"].astype(bool)]
        if task == "response":
            happened, noun = int((rows["label"] == 1).sum()), "responder"
        else:
            happened, noun = int(rows["event"].astype(bool).sum()), "event"
        boxes.append(Box(f"{short_name(task)} at baseline", (counted(len(rows), "patient"), counted(happened, noun))))
    visits = int(predictions.groupby("patient_id")["visit"].nunique().sum())
    held = Box("Held out and predicted", (counted(held_out, "patient"), counted(visits, "visit")))
    return [Level((held,), lost), Level(tuple(boxes))]


def cohort_flow(levels: Sequence[Level]) -> Figure:
    """Draw the boxes from top to bottom.

    Raises:
        NothingToDraw: There is no level.
    """
    if not levels:
        raise NothingToDraw("there is no qc.json to count patients from")
    widest = max(len(level.boxes) for level in levels)
    width = max(7.4, 1.28 * widest + 0.3)
    gap = 0.42
    heights = [max(_height(box) for box in level.boxes) for level in levels]
    # A side box stands beside the arrow: the arrow is as long as the box is high.
    gaps = [max(gap, _height(level.lost) + 0.16) if level.lost else gap for level in levels]
    total = sum(heights) + sum(gaps[1:]) + 0.3
    with figure_style():
        figure = Figure(figsize=(width, total))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(total, 0))
        axes.axis("off")
        middle = width * 0.5
        y = 0.15
        for i, level in enumerate(levels):
            if i:
                _arrows(axes, levels[i - 1], level, middle, width, y, y + gaps[i])
                if level.lost is not None:
                    height = _height(level.lost)
                    centre = y + gaps[i] / 2
                    axes.plot([middle, middle + 0.35], [centre, centre], color=MUTED, linewidth=0.8)
                    _draw_box(
                        axes,
                        level.lost,
                        middle + 0.35,
                        centre - height / 2,
                        min(4.3, width - middle - 0.5),
                        height,
                        side=True,
                    )
                if level.note:
                    axes.text(middle + 0.1, y + 0.12, level.note, va="center", fontsize=7.6, color=MUTED)
                y += gaps[i]
            for x, box, size in _columns(level, middle, width):
                _draw_box(axes, box, x - size / 2, y, size, heights[i])
            y += heights[i]
    return figure


def _height(box: Box) -> float:
    return 0.2 + 0.165 * (1 + box.heading.count("\n") + len(box.lines))


def _columns(level: Level, middle: float, width: float) -> list[tuple[float, Box, float]]:
    """Centre, box and width of every box of a level."""
    if len(level.boxes) == 1:
        return [(middle, level.boxes[0], 3.0)]
    step = min(2.4, (width - 0.3) / len(level.boxes))
    start = middle - step * (len(level.boxes) - 1) / 2
    return [(start + step * i, box, step - 0.1) for i, box in enumerate(level.boxes)]


def _arrows(axes: Axes, above: Level, below: Level, middle: float, width: float, start: float, stop: float) -> None:
    """One arrow straight down, or a fork to boxes side by side; boxes side by side join again below."""
    tops = [x for x, _, _ in _columns(below, middle, width)]
    bottoms = [x for x, _, _ in _columns(above, middle, width)]
    bend = stop - 0.2
    join = start + 0.12
    if len(bottoms) > 1:
        axes.plot([bottoms[0], bottoms[-1]], [join, join], color=MUTED, linewidth=0.8)
        for x in bottoms:
            axes.plot([x, x], [start, join], color=MUTED, linewidth=0.8)
        start = join
    if len(tops) > 1:
        axes.plot([middle, middle], [start, bend], color=MUTED, linewidth=0.8)
        axes.plot([tops[0], tops[-1]], [bend, bend], color=MUTED, linewidth=0.8)
        start = bend
    for x in tops:
        axes.annotate(
            "",
            xy=(x, stop),
            xytext=(x, start),
            arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
        )


def _draw_box(axes: Axes, box: Box, x: float, y: float, width: float, height: float, side: bool = False) -> None:
    axes.fill([x, x + width, x + width, x], [y, y, y + height, y + height], facecolor="white", edgecolor=MUTED, lw=0.8)
    at, align = (x + 0.1, "left") if side else (x + width / 2, "center")
    row = y + 0.1 + 0.0825
    small = 7.4 if side or width < 1.6 else 8.0
    for text in box.heading.split("\n"):
        axes.text(at, row, text, ha=align, va="center", fontweight="bold", fontsize=small + 0.4, color=INK)
        row += 0.165
    for text in box.lines:
        axes.text(at, row, text, ha=align, va="center", fontsize=small, color=INK)
        row += 0.165
