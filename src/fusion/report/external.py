"""Builds `index.html` of an external validation: one file with everything in it, from the files beside it alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.metrics.scorer import FUSION
from fusion.report import external_shift, tables
from fusion.report.external_figures import calibration_before_after, risk_group_plate
from fusion.report.external_recalibration import before_after_tables, middle_horizon, parameter_table
from fusion.report.external_words import own_figure, verdict
from fusion.report.run_folder import RESPONSE, Run
from fusion.report.score_figures import auc_plate
from fusion.report.template import fill
from fusion.report.words import GLOSSARY, bounds, digits, listed, short_name, task_name

#: Terms of the glossary that the page uses.
TERMS = (
    *("C-index", "AUROC", "Brier score, IBS", "Calibration", "D-calibration", "ICI", "Interval (95 %)", "Landmark"),
    *("Observed / expected", "Risk group", "Scaled Brier score"),
)


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
    middle = middle_horizon(result)
    return fill(
        "external.html.j2",
        cohort=result["cohort"],
        trained=result["run"]["cohort"],
        run_name=result["run"]["name"],
        tasks=listed([task_name(task) for task in scored]),
        tiles=_tiles(result, run),
        verdict=verdict(result, run),
        scores=_score_table(result, run),
        details=[(task_name(task), tables.detail_table(run, task)) for task in scored],
        risk_groups=[risk_group_plate(run, task) for task in run.endpoints],
        auc=[auc_plate(run, task) for task in run.endpoints],
        calibration=[calibration_before_after(run, task, recalibrated, middle) for task in scored],
        recalibration=recalibration,
        before_after=before_after_tables(recalibration) if recalibration else [],
        parameters=parameter_table(recalibration) if recalibration else None,
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


def _tiles(result: Mapping[str, Any], run: Run) -> list[tuple[str, str, str, str]]:
    """Label, value, interval and comparison of the figures to print large: each task at baseline."""
    tiles = []
    for at in tables.score_columns(run):
        found = run.estimate(at.task, FUSION, at.metric, at.day)
        if found is None or at.day is not None:
            continue
        own = own_figure(result, at)
        beside = f"in cross-validation {digits(own.value, 2)}" if own else "no figure of cross-validation"
        name = "AUROC" if at.metric == "auroc" else "C-index"
        tiles.append((f"{short_name(at.task)} {name}, baseline", digits(found.value, 2), bounds(found, 2), beside))
    return tiles


def _score_table(result: Mapping[str, Any], run: Run) -> tables.Table | None:
    """Rank of our model here and in the cross-validation of the run, at every prediction time."""
    columns = tables.score_columns(run)
    if not columns:
        return None
    here = [tables.figure_cell(run.estimate(at.task, FUSION, at.metric, at.day)) for at in columns]
    rows = [tables.Row(name="This cohort", cells=tuple(here), kind="ours")]
    own = [own_figure(result, at) for at in columns]
    if any(each is not None for each in own):
        cells = tuple(tables.figure_cell(each) for each in own)
        rows.append(tables.Row(name="Cross-validation in the training cohort", cells=cells))
    return tables.Table(tables.column_groups(columns), tables.column_heads(columns), tuple(rows))
