"""Builds `index.html` of an external validation: one file with everything in it, from the files beside it alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fusion.report import external_shift, tables
from fusion.report.external_figures import calibration_before_after, risk_group_plate
from fusion.report.run_folder import FUSION, RESPONSE, Estimate, Run, as_estimate
from fusion.report.score_figures import auc_plate
from fusion.report.words import GLOSSARY, bounds, digits, listed, short_name, signed, task_name, when

TEMPLATES = Path(__file__).parent / "templates"
RECALIBRATED = "fusion_recalibrated"
#: Terms of the glossary that the page uses.
TERMS = (
    *("C-index", "AUROC", "Brier score, IBS", "Calibration", "D-calibration", "ICI", "Interval (95 %)", "Landmark"),
    *("Observed / expected", "Risk group", "Scaled Brier score"),
)
#: Figures before and after: name, place at a level (`*` is the middle horizon of an endpoint), place of its difference.
FIGURES = (
    ("Brier score", "brier/*", "brier/*"),
    ("ICI", "calibration/*/ici", "ici"),
    ("Calibration slope", "calibration_slope", "calibration_slope_error"),
    ("Observed / expected", "observed_expected", "observed_expected_error"),
)
RESPONSE_PLACES = {"brier/*": "brier", "calibration/*/ici": "ici"}


@dataclass(frozen=True)
class BeforeAfter:
    """A figure before and after recalibration, and the paired change of its distance from the ideal."""

    task: str
    day: float | None
    figure: str
    before: str
    after: str
    difference: str


def build_external_report(folder: Path) -> Path:
    """Write `index.html` beside the `external.json` of a folder, from the files there, and return its path."""
    result = json.loads((folder / "external.json").read_text(encoding="utf-8"))
    changed = folder / "recalibrated.parquet"
    page = render_external(
        result,
        predictions=pd.read_parquet(folder / "predictions.parquet"),
        recalibrated=pd.read_parquet(changed) if changed.is_file() else None,
    )
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def render_external(result: Mapping[str, Any], *, predictions: pd.DataFrame, recalibrated: pd.DataFrame | None) -> str:
    """The page as text."""
    run = _as_run(result, predictions)
    scored = [*run.endpoints, *([RESPONSE] if run.has_response else [])]
    recalibration, shift = result["recalibration"], result["shift"]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    middle = middle_horizon(result)
    return environment.get_template("external.html.j2").render(
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        cohort=result["cohort"],
        trained=result["run"]["cohort"],
        run_name=result["run"]["name"],
        tasks=listed([task_name(task) for task in scored]),
        tiles=_tiles(result, run),
        sentences=[*_verdict(result, run), *external_shift.sentences(shift)],
        scores=_score_table(result, run),
        details=[(task_name(task), tables.detail_table(run, task)) for task in scored],
        risk_groups=[risk_group_plate(run, task) for task in run.endpoints],
        auc=[auc_plate(run, task) for task in run.endpoints],
        calibration=[calibration_before_after(run, task, recalibrated, middle) for task in scored],
        recalibration=recalibration,
        before_after=_before_after_tables(recalibration) if recalibration else [],
        parameters=_parameter_table(recalibration) if recalibration else None,
        refused=[
            (task_name(task), why) for task, why in (recalibration["fit"]["refused"] if recalibration else {}).items()
        ],
        subgroups=tables.subgroup_tables(run),
        shift=shift,
        covariates=external_shift.covariate_table(shift) if shift else None,
        classes=external_shift.class_table(shift) if shift else None,
        modalities=external_shift.modality_table(shift) if shift else None,
        outcomes=external_shift.outcome_table(shift) if shift else None,
        unseen=external_shift.unseen_combinations(shift) if shift else [],
        middle=f"{middle:g}",
        glossary=[(term, meaning) for term, meaning in GLOSSARY if term in TERMS],
    )


def _as_run(result: Mapping[str, Any], predictions: pd.DataFrame) -> Run:
    """The cohort as the pages of a run read it: one repeat, one fold, no plain models."""
    nothing = pd.DataFrame()
    return Run(
        manifest={"tasks": list(result["task"]), "cohort": result["cohort"]},
        qc={},
        scores=result["task"],
        predictions=predictions,
        baselines=nothing,
        splits=nothing,
        curves=nothing,
        drawn=result["curves"],
        subgroups=result["subgroups"],
        corrected={},
        weights=None,
    )


def middle_horizon(result: Mapping[str, Any]) -> float:
    """Days after the prediction at which calibration is told."""
    horizons = sorted(float(day) for day in result["settings"]["horizons"])
    return horizons[len(horizons) // 2]


def _own(result: Mapping[str, Any], at: tables.Column) -> Estimate | None:
    """The figure of cross-validation in the training cohort."""
    scores = (result["internal"] or {}).get(at.task, {})
    level = scores.get("model", {}) if at.day is None else scores.get("landmark", {}).get(f"{at.day:g}", {})
    return as_estimate(level.get(FUSION, {}).get(at.metric))


def _tiles(result: Mapping[str, Any], run: Run) -> list[tuple[str, str, str, str]]:
    """Label, value, interval and comparison of the figures to print large: each task at baseline."""
    tiles = []
    for at in tables.score_columns(run):
        found = run.estimate(at.task, FUSION, at.metric, at.day)
        if found is None or at.day is not None:
            continue
        own = _own(result, at)
        beside = f"in cross-validation {digits(own.value, 2)}" if own else "no figure of cross-validation"
        name = "AUROC" if at.metric == "auroc" else "C-index"
        tiles.append((f"{short_name(at.task)} {name}, baseline", digits(found.value, 2), bounds(found, 2), beside))
    return tiles


def _verdict(result: Mapping[str, Any], run: Run) -> list[str]:
    """Plain sentences of the first task: rank, calibration, what recalibration did."""
    at = next(iter(tables.score_columns(run)), None)
    found = run.estimate(at.task, FUSION, at.metric, at.day) if at else None
    if at is None or found is None:
        return ["Nothing could be scored: too few outcomes are known."]
    name = "an AUROC" if at.metric == "auroc" else "a C-index"
    interval = f" (95 % interval {bounds(found, 2)})" if bounds(found) else ""
    sentence = (
        f"At baseline the model ranks {task_name(at.task)} here with {name} of {digits(found.value, 2)}{interval}"
    )
    own = _own(result, at)
    if own is not None and found.low is not None and found.high is not None:
        place = "inside that interval: no loss can be shown"
        if own.value > found.high:
            place = "above it: the model ranks these patients worse than its own"
        elif own.value < found.low:
            place = "below it: the model ranks these patients better than its own"
        sentence += f"; in cross-validation on its own cohort it had {digits(own.value, 2)}, {place}"
    sentences = [f"{sentence}.", *_calibration_sentences(run, at.task, middle_horizon(result))]
    if result["recalibration"]:
        sentences += _recalibration_sentences(result["recalibration"], at.task)
    return sentences


def _calibration_sentences(run: Run, task: str, horizon: float) -> list[str]:
    ratio, slope = (run.estimate(task, FUSION, name) for name in ("observed_expected", "calibration_slope"))
    sentences = []
    by = "" if task == RESPONSE else f" by day {horizon:g}"
    events = "responses" if task == RESPONSE else "events"
    if ratio is not None:
        meaning = "so that none of the two directions can be shown"
        if ratio.low is not None and ratio.low > 1:
            meaning = "more than predicted"
        elif ratio.high is not None and ratio.high < 1:
            meaning = "fewer than predicted"
        sentences.append(
            f"For every 100 {events} that it predicts{by}, {100 * ratio.value:.0f} happened "
            f"({bounds(_scaled(ratio, 100), 0)}): {meaning}."
        )
    if slope is not None and slope.low is not None and slope.high is not None:
        meaning = "which is in line with the ideal of 1"
        if slope.high < 1:
            meaning = "below 1: high predictions are too high and low ones too low"
        elif slope.low > 1:
            meaning = "above 1: predictions differ less between patients than they should"
        sentences.append(f"The calibration slope is {digits(slope.value, 2)} ({bounds(slope, 2)}), {meaning}.")
    return sentences


def _scaled(estimate: Estimate, by: float) -> Estimate:
    low, high = (None if each is None else each * by for each in (estimate.low, estimate.high))
    return Estimate(value=estimate.value * by, low=low, high=high)


def _recalibration_sentences(recalibration: Mapping[str, Any], task: str) -> list[str]:
    scores = recalibration["task"].get(task, {})
    change = as_estimate(_difference(scores, "ici"))
    if change is None or change.low is None or change.high is None:
        return []
    fitted, rest = recalibration["patients"]["fitted"], recalibration["patients"]["scored"]
    meaning = "no change can be shown"
    if change.high < 0:
        meaning = "predictions came nearer to what happened"
    elif change.low > 0:
        meaning = "predictions moved away from what happened"
    return [
        f"Recalibrated on {fitted} of the patients and scored on the other {rest}, the mean distance of predictions "
        f"from what happened (ICI) changed by {signed(change.value)} ({bounds(change)}): {meaning}."
    ]


def _score_table(result: Mapping[str, Any], run: Run) -> tables.Table | None:
    """Rank of our model here and in the cross-validation of the run, at every prediction time."""
    columns = tables.score_columns(run)
    if not columns:
        return None
    here = [tables.figure_cell(run.estimate(at.task, FUSION, at.metric, at.day)) for at in columns]
    rows = [tables.Row(name="This cohort", cells=tuple(here), kind="ours")]
    own = [_own(result, at) for at in columns]
    if any(each is not None for each in own):
        cells = tuple(tables.figure_cell(each) for each in own)
        rows.append(tables.Row(name="Cross-validation in the training cohort", cells=cells))
    return tables.Table(tables.column_groups(columns), tables.column_heads(columns), tuple(rows))


def _difference(level: Mapping[str, Any], place: str) -> Any:
    found: Any = next(iter(level.get("compare", {}).values()), {})
    for key in place.split("/"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def calibration_rows(recalibration: Mapping[str, Any], *, later: bool = False) -> list[BeforeAfter]:
    """Figures before and after of every task, at baseline and, where wanted, at the landmarks."""
    middle = f"{middle_horizon(recalibration):g}"
    rows = []
    for task, scored in recalibration["task"].items():
        levels: dict[float | None, Any] = {None: {**scored["model"], "compare": scored["compare"]}}
        levels |= {float(day): level for day, level in scored["landmark"].items()} if later else {}
        for day, level in levels.items():
            if FUSION not in level or RECALIBRATED not in level:
                continue
            for figure, place, change in FIGURES:
                keys = [RESPONSE_PLACES.get(key, key) if task == RESPONSE else key for key in (place, change)]
                keys = [key.replace("*", middle) for key in keys]
                before, after = (as_estimate(_at(level[model], keys[0])) for model in (FUSION, RECALIBRATED))
                moved = as_estimate(_difference(level, keys[1]))
                text = f"{signed(moved.value)} ({bounds(moved) or 'no interval'})" if moved else "–"
                rows.append(BeforeAfter(task, day, figure, _text(before), _text(after), text))
    return rows


def _at(level: Any, place: str) -> Any:
    for key in place.split("/"):
        level = level.get(key) if isinstance(level, Mapping) else None
    return level


def _text(estimate: Estimate | None) -> str:
    return digits(estimate.value if estimate else None)


def _before_after_tables(recalibration: Mapping[str, Any]) -> list[tuple[str, tables.Table]]:
    """One table a task: figures before and after, at every prediction time."""
    result = []
    rows = calibration_rows(recalibration, later=True)
    for task in dict.fromkeys(row.task for row in rows):
        lines = [
            tables.Row(
                name=f"{when(row.day).capitalize()}: {row.figure}",
                cells=(tables.Cell(row.before), tables.Cell(row.after), tables.Cell(row.difference)),
            )
            for row in rows
            if row.task == task
        ]
        heads = ("Before", "After", "Change of the error (95 % interval)")
        result.append((task_name(task), tables.Table((), heads, tuple(lines))))
    return result


def _parameter_table(recalibration: Mapping[str, Any]) -> tables.Table:
    """What was fitted, by task and level."""
    lines = []
    for task, levels in recalibration["fit"]["task"].items():
        for level, fitted in levels.items():
            cells = [
                tables.Cell(
                    digits(fitted[name], 2)
                    + (f" ± {digits(fitted[f'{name}_se'], 2)}" if fitted[f"{name}_se"] else " (fixed)")
                )
                for name in ("intercept", "slope")
            ]
            counts = [tables.Cell(str(fitted[name])) for name in ("patients", "events")]
            name = f"{short_name(task)}, {'baseline' if level == 'baseline' else 'later visits'}"
            lines.append(tables.Row(name=name, cells=(*cells, *counts)))
    heads = ("Intercept ± standard error", "Slope ± standard error", "Patients fitted on", "Events")
    return tables.Table((), heads, tuple(lines))
