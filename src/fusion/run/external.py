"""`evaluate` on another cohort: scores, recalibration on a stated part of the patients, and what differs."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from fusion.build import build, plain
from fusion.data.cohort import Cohort
from fusion.data.shift import compare_cohorts, outside_training
from fusion.data.splits import HoldOut
from fusion.metrics import FUSION, ModelTable, score_run, subgroup_table
from fusion.metrics.recalibration import MODES, Mode
from fusion.metrics.updating import apply_task, fit_task, score_update
from fusion.report.external import build_external_report
from fusion.report.external_recalibration import calibration_rows
from fusion.report.words import digits
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of, print_scores
from fusion.training.checkpoint import write_json
from fusion.training.external import read_external

Json = dict[str, Any]


def evaluate_external(config: DictConfig) -> int:
    """Score predictions on a cohort that the run has not seen, before and after recalibration, and report it."""
    wanted = plain(config)
    mode = wanted["recalibrate"]
    if mode not in ("none", *MODES):
        raise ValueError(f"recalibrate={mode} is not known; choose one of none, {', '.join(MODES)}")
    if len(wanted["runs"]) != 1:
        raise ValueError(f"predictions are of one run: give runs=[RUN], found {len(wanted['runs'])}")
    if wanted["data"]["path"] is None:
        raise ValueError("give the cohort that was predicted: data.path=DIR")
    run = Path(wanted["runs"][0])
    values = config_of(run)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    cohort = open_cohort({**values["data"], "path": wanted["data"]["path"], "simulate_if_absent": False})
    rows = read_external(Path(wanted["predictions"]), cohort, values["tasks"], manifest["survival_times"])
    scored = [str(task) for task in rows["task"].unique() if rows.loc[rows["task"] == task, "at_risk"].any()]
    for task in sorted(set(rows["task"]) - set(scored)):
        console.print(f"task {escape(task)}: no outcome of it in this cohort; not scored")
    if not scored:
        raise ValueError(
            f"{cohort.name} has no outcome of {', '.join(rows['task'].unique())} after a visit; "
            f"fill in outcomes.csv of {cohort.folder}"
        )
    rows = rows[rows["task"].isin(scored)]
    settings: Json = {
        "horizons": tuple(wanted["horizons"] or manifest["horizons"]),
        "landmarks": tuple(wanted["landmarks"] or manifest["landmarks"]),
        "resamples": wanted["resamples"],
    }
    out = Path(wanted["out"] or run / "external" / _safe(cohort.name))
    out.mkdir(parents=True, exist_ok=True)
    everyone = _table(rows)
    result: Json = {
        "schema": 1,
        "run": {"name": values["name"], "cohort": manifest["cohort"]},
        "cohort": {
            "name": cohort.name,
            "patients": cohort.num_patients,
            "simulated": (cohort.folder / "truth").is_dir(),
        },
        **score_run(everyone.predictions, None, everyone.splits, subgroups=subgroup_table(cohort.patients), **settings),
        "internal": _internal(run),
        "shift": _shift(run, values, cohort, out),
        "recalibration": None,
    }
    print_scores(result, f"{values['name']} on {cohort.name}")
    rows.to_parquet(out / "predictions.parquet", index=False)
    for name in ("recalibration.json", "recalibrated.parquet"):  # of an earlier call with another mode
        (out / name).unlink(missing_ok=True)
    if mode != "none":
        part = _fitting_part(cohort, wanted["recalibration_fraction"], wanted["recalibration_ids"])
        changed, result["recalibration"] = _recalibrated(rows, part, mode, settings)
        changed.to_parquet(out / "recalibrated.parquet", index=False)
        write_json(out / "recalibration.json", {**result["recalibration"]["fit"], "patient_ids": sorted(part)})
        _print_recalibration(result["recalibration"])
    write_json(out / "external.json", result)
    console.print(f"report: {build_external_report(out)}")
    return 0


def _safe(name: str) -> str:
    """The name of a cohort as that of a folder."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:80] or "cohort"


def _table(rows: pd.DataFrame) -> ModelTable:
    """Predictions of patients none of whom was trained on: one repeat, one fold, all of it held out."""
    ids = rows["patient_id"].unique()
    return ModelTable(rows, pd.DataFrame({"repeat": 0, "fold": 0, "patient_id": ids, "part": "test"}))


def _internal(run: Path) -> Json | None:
    """Figures of our model in the cross-validation of the run, by task, for comparison; None where not scored."""
    path = run / "metrics.json"
    if not path.is_file():
        return None
    scores = json.loads(path.read_text(encoding="utf-8"))["task"]
    return {
        task: {
            "model": {FUSION: scored["model"][FUSION]} if FUSION in scored["model"] else {},
            "landmark": {day: {FUSION: level[FUSION]} for day, level in scored["landmark"].items() if FUSION in level},
        }
        for task, scored in scores.items()
    }


def _shift(run: Path, values: Json, cohort: Cohort, out: Path) -> Json | None:
    """What differs from the training cohort; says so where the run is too old to tell."""
    path = run / "training_summary.json"
    if not path.is_file():
        console.print("this run has no training_summary.json: what differs from its training cohort is not known")
        return None
    training = json.loads(path.read_text(encoding="utf-8"))
    modalities = {name: build(node) for name, node in values["modalities"].items()}
    outside_training(training, cohort, modalities).to_csv(out / "patients.csv", index=False)
    return compare_cohorts(training, cohort, modalities)


def _fitting_part(cohort: Cohort, fraction: float, ids: list[str] | None) -> frozenset[str]:
    """Patients to recalibrate on: those named, or a fraction by hash of their id, balanced by event and stage."""
    if ids is None:
        if not 0 < fraction < 1:
            raise ValueError(f"recalibration_fraction is {fraction}; choose a value between 0 and 1")
        return frozenset(HoldOut(val_fraction=0.0, test_fraction=fraction)(cohort)[0].test)
    part = frozenset(str(each) for each in ids)
    if unknown := sorted(part - set(cohort.patient_ids)):
        raise ValueError(f"recalibration_ids: {len(unknown)} are no patients of {cohort.name}, such as {unknown[0]}")
    if part == set(cohort.patient_ids):
        raise ValueError("recalibration_ids names every patient: nobody is left to score; name fewer")
    return part


def _recalibrated(rows: pd.DataFrame, part: frozenset[str], mode: Mode, settings: Json) -> tuple[pd.DataFrame, Json]:
    """Predictions of the rest after recalibration on a part, and what is told of it.

    A task that cannot be recalibrated stays as predicted, and the reason is told; with none, that is an error.
    """
    fitted, rest = rows["patient_id"].isin(part), rows[~rows["patient_id"].isin(part)]
    ordered = sorted(settings["horizons"])
    horizon = float(ordered[len(ordered) // 2])
    after, parameters, refused = [], {}, {}
    for task, mine in rows[fitted].groupby("task", sort=False):
        try:
            levels = fit_task(mine, horizon, settings["landmarks"], mode)
        except ValueError as error:
            refused[str(task)] = str(error)
            continue
        after.append(apply_task(rest[rest["task"] == task], horizon, levels))
        parameters[str(task)] = {level: vars(each) for level, each in levels.items()}
    if not after:
        raise ValueError("; ".join(f"{task}: {reason}" for task, reason in refused.items()))
    for task, reason in refused.items():
        console.print(f"task {escape(task)} stays as predicted: {escape(reason)}")
    changed = pd.concat(after, ignore_index=True)
    before = rest[rest["task"].isin(parameters)]
    fit = {"mode": mode, "horizon": horizon, "task": parameters, "refused": refused}
    scores = score_update(_table(before), _table(changed), **settings)
    patients = {"fitted": len(part), "scored": int(rest["patient_id"].nunique())}
    return changed, {"fit": fit, "patients": patients, **scores}


def _print_recalibration(recalibration: Json) -> None:
    """Print figures of calibration before and after, on the patients that were not fitted on."""
    fitted, scored = recalibration["patients"].values()
    console.print(
        f"recalibrated ({recalibration['fit']['mode']}) on {fitted} patients; before and after on the other {scored}:"
    )
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for column in ("at baseline", "before", "after", "change of error (95 % interval)"):
        table.add_column(column, overflow="fold")
    for row in calibration_rows(recalibration):
        if row.day is None:
            before, after = (digits(each.value if each else None) for each in (row.before, row.after))
            table.add_row(f"{escape(row.task)} {row.figure}", before, after, row.change_text)
    console.print(table)
