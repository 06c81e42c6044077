"""Drawings of an external validation: risk groups, and calibration before and after recalibration."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fusion.metrics.calibration import CalibrationCurve, calibration_curve, response_calibration_curve
from fusion.report.log_rank import log_rank
from fusion.report.plates import Plate
from fusion.report.run_folder import RESPONSE, Run
from fusion.report.style import PANEL, figure_style, panel, to_svg
from fusion.report.survival_figures import (
    draw_kaplan_meier,
    draw_number_at_risk,
    draw_reliability,
    num_groups,
    too_few,
)
from fusion.report.words import p_sentence, short_name, task_name
from fusion.survival import censoring_survival


def risk_group_plate(run: Run, task: str) -> Plate:
    """Observed survival of the risk groups at baseline, by the cuts of the training cohort."""
    title = f"{short_name(task)} by predicted risk group"
    rows = run.at_visit(task)
    reason = too_few(rows) or ("Not drawn: no risk groups were predicted." if rows["risk_group"].isna().any() else None)
    if reason is not None:
        return Plate(title, reason)
    duration, event = rows["duration"].to_numpy(dtype=np.float64), rows["event"].to_numpy(dtype=np.bool_)
    p = p_sentence(log_rank(duration, event, rows["risk_group"].to_numpy(dtype=np.int64)))
    with figure_style():
        figure = Figure(figsize=(PANEL[0], 3.5), layout="constrained")
        axes, below = figure.subplots(2, 1, height_ratios=(4.6, 1))
        draw_kaplan_meier(axes, rows, unit=task_name(task))
        draw_number_at_risk(below, rows)
        svg = to_svg(
            figure,
            key=f"km-{run.endpoints.index(task)}",
            title=f"Kaplan-Meier curves of {task_name(task)} by predicted risk group",
            description=f"Log-rank {p}.",
        )
    caption = f"Grouped at baseline by the cuts of the training cohort. Shaded: 95 % interval. Log-rank {p}."
    return Plate(title, caption, svg)


def calibration_before_after(run: Run, task: str, recalibrated: pd.DataFrame | None, horizon: float) -> Plate:
    """Predicted against observed at baseline: all patients, or those not fitted on, before and after."""
    title = f"{short_name(task)}: predicted against observed"
    before = _known(run, task)
    tables = {"as predicted": before}
    changed = recalibrated is not None and bool((recalibrated["task"] == task).any())
    if recalibrated is not None and changed:
        after = recalibrated[(recalibrated["task"] == task) & (recalibrated["visit"] == 0)]
        after = after[after["patient_id"].isin(before["patient_id"])]
        tables = {"as predicted": before[before["patient_id"].isin(after["patient_id"])], "recalibrated": after}
    reason = _too_few(tables["as predicted"], task, horizon)
    if reason is not None:
        return Plate(title, reason)
    when = "" if task == RESPONSE else f" by day {_on_grid(run, horizon):g}"
    with figure_style():
        figure, axes = panel(height=3.4)
        for series, (label, rows) in enumerate(tables.items()):
            draw_reliability(axes, _curve(run, rows, task, horizon), series=series, label=label)
        axes.legend(frameon=False, loc="upper left", handlelength=1.6, borderaxespad=0)
        axes.set(xlabel=f"Predicted probability of {_what(task)}{when}", ylabel="Observed")
        svg = to_svg(
            figure,
            key=f"calibration-{task_slug(run, task)}",
            title=f"Calibration of predicted {task_name(task)}",
            description="Observed against predicted probability in groups of patients; the diagonal is ideal.",
        )
    who = (
        f"the {len(tables['as predicted'])} patients that recalibration was not fitted on"
        if changed
        else "all patients"
    )
    return Plate(
        title,
        f"Each point: a group of patients with similar predictions at baseline, with its 95 % interval; {who}. On the "
        f"diagonal the prediction came true; above it, more had {_what(task)} than predicted.",
        svg,
    )


def task_slug(run: Run, task: str) -> str:
    """A task as it may stand in an id of the page."""
    return "response" if task == RESPONSE else str(run.endpoints.index(task))


def _what(task: str) -> str:
    return "response" if task == RESPONSE else "the event"


def _known(run: Run, task: str) -> pd.DataFrame:
    rows = run.at_visit(task)
    return rows.dropna(subset=["prob_responder", "label"]) if task == RESPONSE else rows


def _on_grid(run: Run, horizon: float) -> float:
    """The day of the grid of predictions that is nearest to a horizon."""
    times = run.survival_times
    return float(times[np.abs(times - horizon).argmin()])


def _too_few(rows: pd.DataFrame, task: str, horizon: float) -> str | None:
    if task != RESPONSE:
        reached = int((rows["event"] & (rows["duration"] <= horizon)).sum())
        beyond = int((rows["duration"] > horizon).sum())
        if reached < 5 or beyond < 5:
            return (
                f"Not drawn: {reached} patients had the event by day {horizon:g} and {beyond} were followed beyond it."
            )
        return too_few(rows)
    responders = int((rows["label"] == 1).sum())
    if len(rows) < 20 or min(responders, len(rows) - responders) < 5:
        return "Not drawn: fewer than 20 assessed patients, or fewer than 5 with or without response."
    return None


def _curve(run: Run, rows: pd.DataFrame, task: str, horizon: float) -> CalibrationCurve:
    groups = num_groups(len(rows))
    if task == RESPONSE:
        probability = rows["prob_responder"].to_numpy(dtype=np.float64)
        return response_calibration_curve(probability, rows["label"].to_numpy(dtype=np.float64) == 1, groups)
    duration, event = rows["duration"].to_numpy(dtype=np.float64), rows["event"].to_numpy(dtype=np.bool_)
    at = _on_grid(run, horizon)
    probability = 1.0 - rows[f"survival_{at:g}"].to_numpy(dtype=np.float64)
    return calibration_curve(probability, duration, event, at, censoring_survival(duration, event), groups)
