"""`evaluate` on another cohort: scores, recalibration on a stated part of the patients, and what differs."""

import json
import re
from collections.abc import Mapping
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
from fusion.metrics.recalibration import MODES
from fusion.metrics.updating import apply_task, fit_task, score_update
from fusion.report.external import build_external_report
from fusion.report.external_recalibration import calibration_rows
from fusion.report.words import digits
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of, print_scores
from fusion.training.checkpoint import write_json
from fusion.training.external import read_external
from fusion.training.manifest import sha256

Json = dict[str, Any]


def evaluate_external(config: DictConfig) -> int:
    """Score predictions on a cohort that the run has not seen, before and after recalibration, and report it."""
    wanted = _checked(plain(config))
    run = Path(wanted["runs"][0])
    values = config_of(run)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    cohort = open_cohort({**values["data"], "path": wanted["data"]["path"], "simulate_if_absent": False})
    _check_unseen(run, manifest, cohort)
    rows = read_external(Path(wanted["predictions"]), cohort, values["tasks"], manifest["survival_times"])
    rows = _with_outcome(rows, cohort)
    settings: Json = {
        "horizons": tuple(wanted["horizons"] or manifest["horizons"]),
        "landmarks": tuple(wanted["landmarks"] or manifest["landmarks"]),
        "resamples": wanted["resamples"],
    }
    files: dict[str, Any] = {"predictions.parquet": rows, **_shift(run, values, cohort)}
    if wanted["recalibrate"] != "none":
        part = _fitting_part(cohort, wanted["recalibration_fraction"], wanted["recalibration_ids"])
        files |= _recalibrated(rows, part, wanted["recalibrate"], settings)
    table = _table(rows)
    scores = score_run(table.predictions, None, table.splits, subgroups=subgroup_table(cohort.patients), **settings)
    files["external.json"] = {
        "schema": 1,
        "run": {"name": values["name"], "cohort": manifest["cohort"]},
        "cohort": _about(run, cohort),
        **scores,
        "internal": _internal(run),
        "shift": files.pop("shift"),
        "recalibration": files.pop("recalibration", None),
    }
    out = Path(wanted["out"] or run / "external" / _safe(cohort.name))
    _write(out, files)
    print_scores(scores, f"{values['name']} on {cohort.name}")
    if recalibration := files["external.json"]["recalibration"]:
        _print_recalibration(recalibration)
    console.print(f"report: {build_external_report(out)}")
    return 0


def _checked(wanted: Json) -> Json:
    if wanted["recalibrate"] not in ("none", *MODES):
        raise ValueError(f"recalibrate={wanted['recalibrate']} is not known; choose one of none, {', '.join(MODES)}")
    if len(wanted["runs"]) != 1:
        raise ValueError(f"predictions are of one run: give runs=[RUN], found {len(wanted['runs'])}")
    if wanted["data"]["path"] is None:
        raise ValueError("give the cohort that was predicted: data.path=DIR")
    return wanted


def _check_unseen(run: Path, manifest: Json, cohort: Cohort) -> None:
    """Refuse the training cohort itself, by the hash of its table of patients."""
    for path in cohort.folder.glob("patients.*"):
        if sha256(path) == manifest["inputs"].get(path.name):
            raise ValueError(f"{cohort.folder} is the cohort that {run} was trained on; give one that it has not seen")


def _with_outcome(rows: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    """Rows of the tasks of which any outcome is known."""
    known = rows.groupby("task", sort=False)["at_risk"].any()
    for task in known.index[~known]:
        console.print(f"task {escape(str(task))}: no outcome of it in this cohort; not scored")
    if not known.any():
        raise ValueError(
            f"{cohort.name} has no outcome of {', '.join(known.index)} after a visit; "
            f"fill in outcomes.csv of {cohort.folder}"
        )
    return rows[rows["task"].isin(known.index[known])]


def _about(run: Path, cohort: Cohort) -> Json:
    """Name and size of a cohort, and how many of its ids were also in training; a simulator uses the same ones."""
    simulated = (cohort.folder / "truth").is_dir()
    trained = set(pd.read_csv(run / "splits.csv", dtype={"patient_id": str})["patient_id"])
    same = 0 if simulated else len(trained.intersection(cohort.patient_ids))
    if same:
        console.print(
            f"{same} ids of {escape(cohort.name)} are ids of training patients too: "
            "where they are the same people, every figure is too good"
        )
    return {"name": cohort.name, "patients": cohort.num_patients, "simulated": simulated, "ids_of_training": same}


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


def _shift(run: Path, values: Json, cohort: Cohort) -> Json:
    """`shift` and `patients.csv`: what differs from the training cohort; says so where the run is too old to tell."""
    path = run / "training_summary.json"
    if not path.is_file():
        console.print("this run has no training_summary.json: what differs from its training cohort is not known")
        return {"shift": None, "patients.csv": None}
    training = json.loads(path.read_text(encoding="utf-8"))
    modalities = {name: build(node) for name, node in values["modalities"].items()}
    shift = compare_cohorts(training, cohort, modalities)
    return {"shift": shift, "patients.csv": outside_training(training, cohort, modalities)}


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


def _recalibrated(rows: pd.DataFrame, part: frozenset[str], mode: Any, settings: Json) -> Json:
    """`recalibration`, `recalibration.json` and `recalibrated.parquet`: what was fitted, and what it does to the rest.

    A task that cannot be recalibrated stays as predicted, and the reason is told; with none, that is an error.
    """
    mine = rows["patient_id"].isin(part)
    fitting, rest = rows[mine], rows[~mine]
    ordered = sorted(settings["horizons"])
    horizon = float(ordered[len(ordered) // 2])
    after, parameters, refused = [], {}, {}
    for task in rows["task"].unique():
        try:
            levels = fit_task(fitting[fitting["task"] == task], horizon, settings["landmarks"], mode)
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
    patients = {"fitted": len(part), "scored": int(rest["patient_id"].nunique())}
    scores = score_update(_table(before), _table(changed), **settings)
    return {
        "recalibration": {"fit": fit, "patients": patients, **scores},
        "recalibration.json": {**fit, "patient_ids": sorted(part)},
        "recalibrated.parquet": changed,
    }


#: What a folder may hold beside the page; what is not written by a call is removed, as it is of an earlier one.
FILES = ("external.json", "recalibration.json", "predictions.parquet", "recalibrated.parquet", "patients.csv")


def _write(out: Path, files: Mapping[str, Any]) -> None:
    """Write JSON and tables into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        content, path = files.get(name), out / name
        if content is None:
            path.unlink(missing_ok=True)
        elif path.suffix == ".json":
            write_json(path, content)
        elif path.suffix == ".csv":
            content.to_csv(path, index=False)
        else:
            content.to_parquet(path, index=False)


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
