"""Forest figure: an estimate with its interval on every line, beside how many patients and events it rests on."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Transform

from fusion.report.style import INK, MODEL_COLOURS, MUTED, RULE, figure_style
from fusion.report.trial.drawing import NothingToDraw, plain
from fusion.report.trial.hazard_ratios import Effect
from fusion.report.words import digits

#: Ratios beyond these are cut, with an arrow.
WIDEST = (0.1, 10.0)
_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_CLOSE_TICKS = (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)


def forest(
    effects: Sequence[Effect],
    *,
    label: str = "Hazard ratio",
    null: float | None = 1.0,
    log: bool = True,
    sides: tuple[str, str] = ("", ""),
    note: str = "",
) -> Figure:
    """Draw the lines from top to bottom, under the headings that they name.

    Args:
        effects: The lines.
        label: What the axis shows.
        null: Where nothing is different; a line is drawn there.
        log: Whether the axis is logarithmic, as for ratios.
        sides: What lies to the left, and to the right, of the null.
        note: A muted line above.

    Raises:
        NothingToDraw: No line has an estimate.
    """
    if not any(np.isfinite(each.value) and not each.note for each in effects):
        raise NothingToDraw("no hazard ratio can be given: too few events")
    lines: list[Effect | str] = []
    group = ""
    for each in effects:
        if each.group != group and each.group:
            lines.append(each.group)
        group = each.group
        lines.append(each)
    places = range(len(lines))
    with figure_style():
        height = 1.05 + 0.205 * len(lines) + (0.2 if any(sides) else 0)
        figure = Figure(figsize=(7.6, height), layout=ConstrainedLayoutEngine(w_pad=0.02))
        left, middle, right = figure.subplots(1, 3, width_ratios=(3.3, 3.4, 1.55), sharey=True)
        low, high = _limits([each for each in effects if not each.note], null, log)
        for place, line in zip(places, lines, strict=True):
            if isinstance(line, str):
                left.text(0, place, plain(line, 34), fontweight="bold", va="center", transform=_rows(left))
                continue
            indent = 0.04 if line.group else 0.0
            left.text(indent, place, plain(line.label, 32), va="center", transform=_rows(left))
            left.text(0.82, place, f"{line.patients}", ha="right", va="center", transform=_rows(left))
            left.text(1.0, place, f"{line.events}", ha="right", va="center", transform=_rows(left))
            right.text(0.0, place, _figure(line), va="center", transform=_rows(right), color=INK)
            _interval(middle, place, line, low, high)
        for x, name, align in ((0.82, "Patients", "right"), (1.0, "Events", "right")):
            left.text(x, -1.0, name, ha=align, va="center", color=MUTED, fontsize=7.8, transform=_rows(left))
        right.text(0.0, -1.0, f"{label} (95 %)", va="center", color=MUTED, fontsize=7.8, transform=_rows(right))
        for axes in (left, right):
            axes.axis("off")
        _axis(middle, low, high, null, log)
        middle.set_ylim(len(lines) - 0.4, -1.5)
        middle.set_xlabel(label)
        for side, x, align in zip(sides, (0.0, 1.0), ("left", "right"), strict=True):
            middle.annotate(
                side,
                xy=(x, 0),
                xycoords="axes fraction",
                xytext=(0, -36),
                textcoords="offset points",
                ha=align,
                fontsize=7.6,
                color=MUTED,
            )
        if note:
            left.set_title(note, loc="left", fontsize=7.6, color=MUTED)
    return figure


def _rows(axes: Axes) -> Transform:
    """Share of the width, row of the table."""
    return axes.get_yaxis_transform()


def _figure(each: Effect) -> str:
    if each.note:
        return each.note
    return f"{digits(each.value, 2)} ({digits(each.low, 2)}–{digits(each.high, 2)})"


def _limits(effects: Sequence[Effect], null: float | None, log: bool) -> tuple[float, float]:
    values = np.array([[each.low, each.high] for each in effects if np.isfinite(each.low)])
    points = [each.value for each in effects if np.isfinite(each.value)] + ([null] if null is not None else [])
    low = min(values.min(initial=np.inf), *points)
    high = max(values.max(initial=-np.inf), *points)
    if not log:
        space = 0.05 * (high - low) or 0.05
        return low - space, high + space
    return max(WIDEST[0], low / 1.15), min(WIDEST[1], high * 1.15)


def _interval(axes: Axes, place: int, each: Effect, low: float, high: float) -> None:
    colour = MODEL_COLOURS[0]
    if each.note == "reference":
        axes.plot([1.0], [place], marker="o", markersize=4, markerfacecolor="white", color=MUTED, linestyle="none")
    if each.note or not np.isfinite(each.value):
        return
    if np.isfinite(each.low) and np.isfinite(each.high):
        start, stop = np.clip([each.low, each.high], low, high)
        axes.plot([start, stop], [place, place], color=colour, linewidth=1.2)
        for end, cut, marker in ((start, each.low < low, "<"), (stop, each.high > high, ">")):
            if cut:
                axes.plot([end], [place], marker=marker, markersize=4, color=colour, linestyle="none", clip_on=False)
    if low <= each.value <= high:
        size = float(np.clip(3.2 + 0.22 * np.sqrt(max(each.events, 1)), 3.2, 6.5))
        axes.plot([each.value], [place], marker="s", markersize=size, color=colour, linestyle="none", zorder=3)


def _axis(axes: Axes, low: float, high: float, null: float | None, log: bool) -> None:
    if log:
        axes.set_xscale("log")
        ticks = [tick for tick in (_TICKS if high / low > 8 else _CLOSE_TICKS) if low <= tick <= high]
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_xlim(low, high)
    if null is not None:
        axes.axvline(null, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.grid(axis="x", color=RULE, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
