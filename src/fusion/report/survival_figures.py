"""Figures of held-out survival: Kaplan-Meier by risk group, and calibration of predicted probabilities."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fusion.metrics.calibration import CalibrationCurve, calibration_curve
from fusion.metrics.scorer import FUSION
from fusion.report.log_rank import log_rank
from fusion.report.plates import Plate
from fusion.report.run_folder import Run
from fusion.report.style import (
    BAND,
    DAYS_PER_MONTH,
    INK,
    MODEL_COLOURS,
    MUTED,
    PANEL,
    RISK_COLOURS,
    RISK_NAMES,
    RULE,
    figure_style,
    panel,
    spread,
    to_svg,
)
from fusion.report.words import bounds, counted, digits, listed, p_sentence, short_name, task_name
from fusion.survival import censoring_survival, kaplan_meier, kaplan_meier_band, median, number_at_risk

#: Fewer patients or events than this, and a curve says more about chance than about the model.
FEWEST_PATIENTS, FEWEST_EVENTS = 20, 5
#: Groups of a calibration plot of a small cohort.
FEWEST_GROUPS = 3
#: Horizons of calibration in days, as far as follow-up reaches.
HORIZONS = (180.0, 360.0, 720.0)
_DASHES = ("-", (0, (5, 1.6)), (0, (1.6, 1.2)))


def too_few(rows: pd.DataFrame) -> str | None:
    """The sentence to print instead of a figure, or None where there is enough to draw."""
    events = int(rows["event"].sum())
    if len(rows) >= FEWEST_PATIENTS and events >= FEWEST_EVENTS:
        return None
    return (
        f"Not drawn: {counted(len(rows), 'patient')} with {counted(events, 'event')}; below {FEWEST_PATIENTS} patients "
        f"or {FEWEST_EVENTS} events a curve says more about chance than about the model."
    )


def kaplan_meier_plate(run: Run, task: str) -> Plate:
    """Observed survival of the risk groups at baseline, with number at risk and log-rank p."""
    title = f"{short_name(task)} by predicted risk group"
    rows = run.at_visit(task)
    reason = too_few(rows) or (None if rows["risk_group"].notna().all() else "Not drawn: this run has no risk groups.")
    if reason is not None:
        return Plate(title, reason)
    with figure_style():
        figure = Figure(figsize=(PANEL[0], 3.5), layout="constrained")
        axes, below = figure.subplots(2, 1, height_ratios=(4.6, 1))
        draw_kaplan_meier(axes, rows, unit=task_name(task))
        draw_number_at_risk(below, rows)
        medians = "; ".join(_median_sentence(rows, group) for group in _groups(rows))
        duration, event, group = _columns(rows)
        p = p_sentence(log_rank(duration, event, group))
        svg = to_svg(
            figure,
            key=f"km-{run.endpoints.index(task)}",
            title=f"Kaplan-Meier curves of {task_name(task)} by predicted risk group",
            description=f"Median {medians}. Log-rank {p}.",
        )
    return Plate(
        title,
        f"Held-out patients, grouped at baseline; cuts at the thirds of the training patients of each fold. Shaded: "
        f"95 % interval. Median {medians}. Log-rank {p} (first repeat of the cross-validation; the groups are pooled "
        "over its folds).",
        svg,
    )


def draw_kaplan_meier(axes: Axes, rows: pd.DataFrame, *, unit: str) -> None:
    """Curves with bands and labels at their right ends; time in months."""
    duration, event, group = _columns(rows)
    end = _last_month(duration)
    grid = np.linspace(0, end, 400)
    ends = []
    for level in _groups(rows):
        mine = group == level
        curve = kaplan_meier(duration[mine], event[mine])
        band = kaplan_meier_band(duration[mine], event[mine])
        shown = grid[grid * DAYS_PER_MONTH <= duration[mine].max()]
        days = shown * DAYS_PER_MONTH
        colour = RISK_COLOURS[level]
        axes.fill_between(shown, band.lower(days), band.upper(days), step="post", color=colour, alpha=BAND, linewidth=0)
        jumps = curve.times[curve.times <= end * DAYS_PER_MONTH]
        last = min(end * DAYS_PER_MONTH, float(duration[mine].max()))
        times, values = np.concatenate([[0.0], jumps, [last]]), np.concatenate([[1.0], curve(jumps), [curve(last)]])
        axes.step(times / DAYS_PER_MONTH, values, where="post", color=colour, linestyle=_DASHES[level])
        ends.append((level, float(curve(last))))
    places = spread([value for _, value in ends], gap=0.085)
    for (level, _), place in zip(ends, places, strict=True):
        axes.annotate(
            RISK_NAMES[level].removesuffix(" risk"),
            xy=(1.015, place),
            xycoords=("axes fraction", "data"),
            color=RISK_COLOURS[level],
            va="center",
            fontweight="bold",
        )
    axes.set(xlim=(0, end), ylim=(0, 1.02), ylabel=unit.capitalize(), xlabel="Months from baseline")
    axes.set_yticks(np.arange(0, 1.01, 0.25), labels=["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xticks(_month_ticks(end))


def draw_number_at_risk(axes: Axes, rows: pd.DataFrame) -> None:
    """Patients still at risk under every tick of the axes above."""
    duration, _, group = _columns(rows)
    ticks = _month_ticks(_last_month(duration))
    levels = _groups(rows)
    for row, level in enumerate(levels):
        counts = number_at_risk(duration[group == level], ticks * DAYS_PER_MONTH)
        for tick, count in zip(ticks, counts, strict=True):
            axes.text(tick, -row, str(count), ha="center", va="center", color=RISK_COLOURS[level])
        axes.annotate(
            RISK_NAMES[level].removesuffix(" risk"),
            xy=(-0.065, -row),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            color=RISK_COLOURS[level],
        )
    axes.set(xlim=(0, _last_month(duration)), ylim=(-len(levels) + 0.4, 0.6), yticks=[], xticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title("Number at risk", loc="left", fontsize=8, color=MUTED, pad=3)


def calibration_plate(run: Run, task: str) -> Plate:
    """Predicted against observed survival at several horizons, in groups of equal size by prediction."""
    title = f"{short_name(task)}: predicted against observed"
    rows = run.at_visit(task)
    horizons = calibration_horizons(run, task)
    reason = too_few(rows) or (None if horizons else "Not drawn: follow-up is too short for any horizon.")
    if reason is not None:
        return Plate(title, reason)
    slope = run.estimate(task, FUSION, "calibration_slope")
    with figure_style():
        figure, axes = panel(height=3.4)
        draw_calibration(axes, rows, horizons)
        svg = to_svg(
            figure,
            key=f"calibration-{run.endpoints.index(task)}",
            title=f"Calibration of predicted {task_name(task)}",
            description="Observed against predicted probability in groups of patients; the diagonal is ideal.",
        )
    sentence = f" Calibration slope {digits(slope.value, 2)} ({bounds(slope, 2)}); ideal is 1." if slope else ""
    distances = [(day, run.estimate(task, FUSION, f"calibration/{day:g}/ici")) for day in run.horizons(task, FUSION)]
    named = [f"{digits(ici.value)} at {day / DAYS_PER_MONTH:.0f} months" for day, ici in distances if ici is not None]
    sentence += f" ICI {listed(named)}; ideal is 0." if named else ""
    return Plate(
        title,
        "Each point: a group of patients with similar predictions (mean predicted, and Kaplan-Meier with its 95 % "
        "interval); lines, where patients suffice: a smooth fit. On the diagonal the prediction came true; above it, "
        f"more had the event than predicted.{sentence}",
        svg,
    )


def calibration_horizons(run: Run, task: str) -> tuple[float, ...]:
    """Horizons on the grid of predictions that a tenth of the patients, and no fewer than ten, are followed beyond."""
    rows, grid = run.at_visit(task), run.survival_times
    near = [float(grid[np.abs(grid - horizon).argmin()]) for horizon in HORIZONS if len(grid)]
    beyond = {horizon: int((rows["duration"] > horizon).sum()) for horizon in near}
    return tuple(
        horizon
        for horizon, count in beyond.items()
        if count >= max(10, 0.1 * len(rows)) and (rows["event"] & (rows["duration"] <= horizon)).sum() >= FEWEST_EVENTS
    )


def draw_calibration(axes: Axes, rows: pd.DataFrame, horizons: tuple[float, ...]) -> None:
    """Groups with intervals and a smooth line, one colour and marker a horizon, and the ideal diagonal."""
    duration, event = rows["duration"].to_numpy(dtype=np.float64), rows["event"].to_numpy(dtype=bool)
    censoring = censoring_survival(duration, event)
    for i, horizon in enumerate(horizons):
        probability = 1.0 - rows[f"survival_{horizon:g}"].to_numpy(dtype=np.float64)
        curve = calibration_curve(probability, duration, event, horizon, censoring, num_groups(len(rows)))
        draw_reliability(axes, curve, series=i, label=f"{horizon / DAYS_PER_MONTH:.0f} months")
    axes.legend(frameon=False, loc="upper left", handlelength=1.6, borderaxespad=0)
    axes.set(xlabel="Predicted probability of the event", ylabel="Observed")


def num_groups(patients: int) -> int:
    """Groups of a calibration plot: fifths, or thirds where fifths would hold fewer than 30 patients."""
    return 5 if patients >= 150 else FEWEST_GROUPS


def draw_reliability(axes: Axes, curve: CalibrationCurve, *, series: int, label: str) -> None:
    """Observed against predicted probability of an event on square axes."""
    colour = MODEL_COLOURS[series]
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, zorder=0)
    if len(curve.predicted) > FEWEST_GROUPS:  # with few patients the smooth fit bends after single ones
        axes.plot(curve.smooth_predicted, curve.smooth_observed, color=colour, linewidth=1.2)
    error = np.abs(np.stack([curve.observed - curve.low, curve.high - curve.observed]))
    axes.errorbar(
        curve.predicted,
        curve.observed,
        yerr=error,
        color=colour,
        marker="os^"[series],
        markersize=4.5,
        linestyle="none",
        elinewidth=0.9,
        label=label,
    )
    ticks, labels = np.arange(0, 1.01, 0.25), ["0", "25 %", "50 %", "75 %", "100 %"]
    axes.set_xticks(ticks, labels=labels)
    axes.set_yticks(ticks, labels=labels)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.tick_params(colors=MUTED, labelcolor=INK)


def _columns(rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    return (
        rows["duration"].to_numpy(dtype=np.float64),
        rows["event"].to_numpy(dtype=bool),
        rows["risk_group"].to_numpy(dtype=np.int64),
    )


def _groups(rows: pd.DataFrame) -> list[int]:
    return sorted({int(level) for level in rows["risk_group"]})


def _median_sentence(rows: pd.DataFrame, level: int) -> str:
    mine = rows[rows["risk_group"] == level]
    months = median(kaplan_meier(mine["duration"].to_numpy(dtype=np.float64), mine["event"].to_numpy(dtype=bool)))
    reached = f"{months / DAYS_PER_MONTH:.1f} months" if np.isfinite(months) else "not reached"
    return f"{RISK_NAMES[level]} {reached} (n = {len(mine)})"


def _last_month(duration: NDArray[np.float64]) -> float:
    """Where the axis ends: a twentieth of the patients is still followed there."""
    return max(6.0, float(np.floor(np.quantile(duration, 0.95) / DAYS_PER_MONTH / 3) * 3))


def _month_ticks(end: float) -> NDArray[np.float64]:
    step = next(step for step in (3, 6, 12, 24, 60, 120) if end / step <= 7)
    return np.arange(0, end + 1e-9, step, dtype=np.float64)
