"""Time-dependent ROC curves: cases had the event by the horizon, controls are followed beyond it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fusion.report.style import DAYS_PER_MONTH, MODEL_COLOURS, RULE, figure_style, panel
from fusion.report.survival_figures import FEWEST_EVENTS, too_few
from fusion.report.trial.drawing import NothingToDraw
from fusion.survival import censoring_survival

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RocCurve:
    """Sensitivity over one minus specificity, from (0, 0) to (1, 1), and the area under it."""

    false_positive: Floats
    true_positive: Floats
    area: float


def roc_at(marker: Floats, duration: Floats, event: NDArray[np.bool_], horizon: float) -> RocCurve:
    """Cumulative/dynamic ROC curve at a horizon (Heagerty 2000), cases weighted for loss to follow-up (Uno 2007).

    Args:
        marker: Higher is worse, "N".
        duration: Time to the event or to the end of follow-up.
        event: Whether it happened.
        horizon: Days.

    >>> curve = roc_at(np.array([3.0, 1.0, 2.0, 0.0]), np.array([1.0, 2.0, 9.0, 9.0]), np.ones(4, dtype=bool), 5.0)
    >>> curve.area
    0.75
    """
    case = event & (duration <= horizon)
    censoring = censoring_survival(duration, event)
    before = np.nextafter(duration, -np.inf)  # just before the event, as the weight of a case wants it
    weight = np.where(case, 1.0 / np.maximum(censoring(before), 1e-12), 0.0)
    control = (duration > horizon).astype(np.float64)
    if not case.any() or not control.any():
        return RocCurve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), float("nan"))
    values, group = np.unique(-marker, return_inverse=True)
    hits = np.bincount(group, weights=weight, minlength=len(values)) / weight.sum()
    alarms = np.bincount(group, weights=control, minlength=len(values)) / control.sum()
    true, false = np.concatenate([[0.0], np.cumsum(hits)]), np.concatenate([[0.0], np.cumsum(alarms)])
    area = float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))
    return RocCurve(false, true, area)


def time_dependent_roc(rows: pd.DataFrame, horizons: Sequence[float]) -> Figure:
    """One curve per horizon, by the predicted probability of the event by then.

    Args:
        rows: Held-out predictions of one visit: `duration`, `event`, `survival_<d>` of every horizon.
        horizons: Days, of which those with enough cases and controls are drawn.

    Raises:
        NothingToDraw: Too few patients or events, or follow-up ends before every horizon.
    """
    reason = too_few(rows)
    if reason is not None:
        raise NothingToDraw(reason.removeprefix("Not drawn: "))
    duration, event = rows["duration"].to_numpy(dtype=np.float64), rows["event"].to_numpy(dtype=bool)
    usable = [
        day
        for day in horizons
        if (event & (duration <= day)).sum() >= FEWEST_EVENTS and (duration > day).sum() >= FEWEST_EVENTS
    ]
    if not usable:
        raise NothingToDraw("follow-up is too short for any horizon")
    with figure_style():
        figure, axes = panel(width=4.1, height=3.9)
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, zorder=0)
        for i, day in enumerate(usable):
            marker = 1.0 - rows[f"survival_{day:g}"].to_numpy(dtype=np.float64)
            curve = roc_at(marker, duration, event, day)
            axes.plot(
                curve.false_positive,
                curve.true_positive,
                color=MODEL_COLOURS[i % len(MODEL_COLOURS)],
                linestyle=("-", (0, (5, 1.6)), (0, (1.6, 1.2)), "-.")[i % 4],
                label=f"{day / DAYS_PER_MONTH:.0f} months: AUC {curve.area:.2f}",
            )
        ticks = np.arange(0, 1.01, 0.25)
        labels = ["0", "25 %", "50 %", "75 %", "100 %"]
        axes.set_xticks(ticks, labels=labels)
        axes.set_yticks(ticks, labels=labels)
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1.01),
            xlabel="False alarms: share of those without the event",
            ylabel="Found: share of those with the event",
            aspect="equal",
        )
        axes.legend(frameon=False, loc="lower right", handlelength=2.4)
    return figure
