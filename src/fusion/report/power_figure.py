"""Power and gain against the number of patients: when an assay shows, and whether it adds what is wanted."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from fusion.metrics.power import Needed
from fusion.report.style import BAND, INK, MODEL_COLOURS, MUTED, RULE, figure_style

#: Days are told apart by colour and, in print, by marker and dashes.
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", (0, (5, 1.6)), (0, (1.6, 1.2)), "-.")


def power_figure(table: pd.DataFrame, needed: Sequence[Needed], *, assay: str, target: float, add: float) -> Figure:
    """Two panels, a line per day: power with Wilson's band and its target; mean gain with its interval and the wanted.

    Args:
        table: Of `fusion.metrics.power.power_table`.
        needed: Of `fusion.metrics.power.needed_patients`: where the target is reached is marked on the axis.
        assay: Name for the axis.
        target: Power aimed at.
        add: Gain wanted.
    """
    sizes = sorted(table["patients"].unique())
    with figure_style():
        figure = Figure(figsize=(8.2, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        for series, (day, rows) in enumerate(table.groupby("day", sort=True)):
            label = "First visit" if day == 0 else f"Day {day:g}"
            _line(left, rows, "power", series, label)
            _line(right, rows, "difference", series, label)
        for axes, level, text in ((left, target, f"{100 * target:g} % wanted"), (right, add, f"{add:g} wanted")):
            axes.axhline(level, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
            axes.annotate(
                text, (0, level), xycoords=("axes fraction", "data"), xytext=(3, 2.5), textcoords="offset points",
                color=MUTED, fontsize=7.6,
            )  # fmt: skip
            axes.set_xscale("log")
            axes.set_xticks(sizes, labels=[f"{size}" for size in sizes])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.grid(axis="y", color=RULE, linewidth=0.5)
            axes.set_axisbelow(True)
            axes.set_xlabel("Patients enrolled")
        for series, each in enumerate(needed):
            if each.power.where == "reached" and each.power.patients is not None:
                colour = MODEL_COLOURS[series % len(MODEL_COLOURS)]
                left.plot([each.power.patients] * 2, [0, target], color=colour, linewidth=0.9, linestyle=":")
        left.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], labels=["0", "20 %", "40 %", "60 %", "80 %", "100 %"])
        left.set(ylim=(0, 1.03), ylabel="Power: studies that show a gain")
        right.axhline(0.0, color=MUTED, linewidth=0.7)
        right.set_ylabel(f"Mean gain in C-index from {assay}")
        left.legend(frameon=False, loc="best", handlelength=2.8)
    return figure


def _line(axes: Axes, rows: pd.DataFrame, column: str, series: int, label: str) -> None:
    """Values of a day over the sizes, and their band."""
    colour = MODEL_COLOURS[series % len(MODEL_COLOURS)]
    x = rows["patients"].to_numpy()
    axes.fill_between(x, rows[f"{column}_low"], rows[f"{column}_high"], color=colour, alpha=BAND, linewidth=0)
    axes.plot(
        x,
        rows[column],
        color=colour,
        marker=_MARKERS[series % len(_MARKERS)],
        markersize=4,
        linestyle=_DASHES[series % len(_DASHES)],
        label=label,
        zorder=3,
    )
