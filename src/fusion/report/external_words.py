"""What an external validation says in plain sentences: order, calibration, recalibration, patients."""

from collections.abc import Mapping
from typing import Any

from fusion.metrics.scorer import FUSION
from fusion.report import tables
from fusion.report.external_recalibration import calibration_rows, middle_horizon
from fusion.report.external_shift import sentences
from fusion.report.run_folder import RESPONSE, Estimate, Run, as_estimate
from fusion.report.words import bounds, digits, signed, task_name


def own_figure(result: Mapping[str, Any], at: tables.Column) -> Estimate | None:
    """A figure of cross-validation in the training cohort."""
    scores = (result["internal"] or {}).get(at.task, {})
    level = scores.get("model", {}) if at.day is None else scores.get("landmark", {}).get(f"{at.day:g}", {})
    return as_estimate(level.get(FUSION, {}).get(at.metric))


def verdict(result: Mapping[str, Any], run: Run) -> list[tuple[str, str]]:
    """A heading and what is to be said under it: of the first task that was scored, and of the patients."""
    shift = ("Patients", " ".join(sentences(result["shift"])))
    at = next(iter(tables.score_columns(run)), None)
    found = run.estimate(at.task, FUSION, at.metric, at.day) if at else None
    if at is None or found is None:
        return [("Order", "Nothing could be ranked: too few outcomes are known."), shift]
    paragraphs = [
        ("Order", _order(result, at, found)),
        ("Calibration", _calibration(run, at.task, middle_horizon(result))),
        ("Recalibration", _recalibration(result["recalibration"], at.task) if result["recalibration"] else ""),
        shift,
    ]
    return [(heading, text) for heading, text in paragraphs if text]


def _order(result: Mapping[str, Any], at: tables.Column, found: Estimate) -> str:
    name = "an AUROC" if at.metric == "auroc" else "a C-index"
    start = f"At baseline the model ranks {task_name(at.task)} here with {name} of {digits(found.value, 2)}"
    if found.low is None or found.high is None:
        return f"{start}; there is no interval to judge it by."
    start += f" (95 % interval {bounds(found, 2)})."
    own = own_figure(result, at)
    if own is None:
        return start
    place = "inside that interval: no difference can be shown"
    if own.value > found.high:
        place = "above that interval: it orders these patients less well"
    elif own.value < found.low:
        place = "below that interval: it orders these patients no less well"
    return f"{start} In cross-validation on its own cohort it had {digits(own.value, 2)}, {place}."


def _calibration(run: Run, task: str, horizon: float) -> str:
    ratio, slope = (run.estimate(task, FUSION, name) for name in ("observed_expected", "calibration_slope"))
    lines = []
    if ratio is not None and ratio.low is not None and ratio.high is not None:
        meaning = "neither more nor fewer than predicted can be shown"
        if ratio.low > 1:
            meaning = "more than predicted"
        elif ratio.high < 1:
            meaning = "fewer than predicted"
        events = "responses that it predicts" if task == RESPONSE else f"events that it predicts by day {horizon:g}"
        lines.append(
            f"For every 100 {events}, {100 * ratio.value:.0f} happened "
            f"({100 * ratio.low:.0f}–{100 * ratio.high:.0f}): {meaning}."
        )
    if slope is not None and slope.low is not None and slope.high is not None:
        meaning = "which is in line with the ideal of 1"
        if slope.high < 1:
            meaning = "below the ideal of 1: high predictions are too high, low ones too low"
        elif slope.low > 1:
            meaning = "above the ideal of 1: predictions differ less between patients than they should"
        lines.append(f"The calibration slope is {digits(slope.value, 2)} ({bounds(slope, 2)}), {meaning}.")
    return " ".join(lines)


def _recalibration(recalibration: Mapping[str, Any], task: str) -> str:
    rows = [row for row in calibration_rows(recalibration) if row.task == task and row.figure == "ICI"]
    change = rows[0].change if rows else None
    if change is None or change.low is None or change.high is None:
        return ""
    meaning = "no change can be shown"
    if change.high < 0:
        meaning = "predictions came nearer to what happened"
    elif change.low > 0:
        meaning = "predictions moved away from what happened"
    patients = recalibration["patients"]
    return (
        f"Fitted on {patients['fitted']} of the patients and scored on the other {patients['scored']}, it changed "
        f"the mean distance of predictions from what happened (ICI) by {signed(change.value)} ({bounds(change)}): "
        f"{meaning}."
    )
