"""The page of an external validation: its sentences follow from the figures, texts are inert, gaps are said plainly."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import HOSTILE, write_run
from tiny import write_tiny_cohort

from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.labs import Labs
from fusion.data.read import read_cohort
from fusion.data.shift import compare_cohorts, summarise_training
from fusion.metrics import ModelTable, score_run
from fusion.metrics.updating import apply_task, fit_task, score_update
from fusion.report.external import build_external_report, render_external
from fusion.report.external_recalibration import calibration_rows
from fusion.report.external_shift import alarm, sentences

SETTINGS = {"horizons": (180.0, 365.0, 730.0), "landmarks": (42.0,), "resamples": 20}


def table(rows: pd.DataFrame) -> ModelTable:
    ids = rows["patient_id"].unique()
    return ModelTable(rows, pd.DataFrame({"repeat": 0, "fold": 0, "patient_id": ids, "part": "test"}))


def shift_of(folder: Path, hostile: str = "") -> dict:
    """Two tiny cohorts; of the second one a covariate, a class and all ages differ."""
    modalities = {"clinical": Clinical(), f"labs{hostile}": Labs()}
    cohort = read_cohort(write_tiny_cohort(folder, patients=40))
    one = cohort.patients.assign(**{f"x{hostile}": np.arange(40.0), "stage": [f"ES{hostile}"] * 20 + ["LS"] * 20})
    other = one.assign(age=one["age"] + 20, stage=[f"new{hostile}"] * 10 + ["LS"] * 30, **{f"y{hostile}": 1.0})
    first = dataclasses.replace(cohort, patients=one.assign(**{f"gone{hostile}": "a"}))
    second = dataclasses.replace(cohort, patients=other, name=f"other{hostile}")
    return compare_cohorts(summarise_training(first, modalities), second, modalities)


def result_of(
    folder: Path, mark: str = "", recalibrated: bool = True
) -> tuple[dict, pd.DataFrame, pd.DataFrame | None]:
    """What `evaluate` writes, of a fake cohort."""
    write_run(folder / "run", patients=120, folds=2, hostile=bool(mark), baselines=False, resamples=10)
    rows = pd.read_parquet(folder / "run" / "predictions.parquet").assign(fold=0)
    groups = pd.read_csv(folder / "run" / "subgroups.csv", dtype=str)
    own = table(rows)
    scores = score_run(own.predictions, None, own.splits, subgroups=groups, **SETTINGS)
    after, recalibration = None, None
    if recalibrated:
        ids = sorted(rows["patient_id"].unique())[::2]
        fitting, rest = rows[rows["patient_id"].isin(ids)], rows[~rows["patient_id"].isin(ids)]
        fitted = {task: fit_task(fitting[fitting["task"] == task], 365.0, (42.0,), "both") for task in ("os", "pfs")}
        after = pd.concat([apply_task(rest[rest["task"] == task], 365.0, each) for task, each in fitted.items()])
        before = rest[rest["task"] != "response"]
        parameters = {task: {level: vars(each) for level, each in levels.items()} for task, levels in fitted.items()}
        fit = {"mode": "both", "horizon": 365.0, "task": parameters, "refused": {"response": f"too few{mark}"}}
        patients = {"fitted": len(ids), "scored": 60}
        recalibration = {"fit": fit, "patients": patients, **score_update(table(before), table(after), **SETTINGS)}
    result = {
        "schema": 1,
        "run": {"name": f"demo{mark}", "cohort": {"name": f"strong{mark}", "patients": 240}},
        "cohort": {"name": f"other{mark}", "patients": 120, "simulated": False, "ids_of_training": 3},
        **scores,
        "internal": json.loads((folder / "run" / "metrics.json").read_text())["task"],
        "shift": shift_of(folder / "cohort", mark),
        "recalibration": recalibration,
    }
    return json.loads(json.dumps(result, allow_nan=False)), rows, after


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, pd.DataFrame, pd.DataFrame | None]:
    return result_of(tmp_path_factory.mktemp("external"))


def page(result: dict, rows: pd.DataFrame, after: pd.DataFrame | None) -> str:
    return render_external(result, predictions=rows, recalibrated=after)


def text_of(html: str) -> str:
    body = re.sub(r"<(style|svg).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_page_has_every_section_and_stands_alone(parts: tuple) -> None:
    html = page(*parts)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    anchors = set(re.findall(r'href="#([^"]+)"', html))
    assert {"answer", "scores", "calibration", "shift", "risk-groups", "subgroups", "methods", "glossary"} <= anchors
    assert anchors <= set(ids)
    assert "<script" not in html
    assert not re.search(r'(src|href)="(?!#|data:)', html)
    text = text_of(html)
    assert text.count("Research use only") == 2
    assert "Not drawn" not in text
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b|P-\d{3}", text.replace("None of", ""))


def test_printed_figures_are_those_of_the_result(parts: tuple) -> None:
    result, text = parts[0], text_of(page(*parts))
    for task, metric in (("os", "c_index"), ("pfs", "c_index"), ("response", "auroc")):
        here = result["task"][task]["model"]["fusion"][metric]
        own = result["internal"][task]["model"]["fusion"][metric]
        assert f"{here['value']:.3f} {here['low']:.3f}–{here['high']:.3f}" in text
        assert f"in cross-validation {own['value']:.2f}" in text
    slope = result["recalibration"]["task"]["os"]["model"]["fusion_recalibrated"]["calibration_slope"]["value"]
    assert f"{slope:.3f}" in text
    assert "Response stays" not in text
    assert "Objective response stays as predicted: too few" in text
    assert "3 ids of these patients are ids of training patients too" in text


def test_texts_from_data_are_inert(tmp_path: Path) -> None:
    html = page(*result_of(tmp_path, HOSTILE))
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;") > 8
    assert "<script" not in html


@pytest.mark.parametrize("place", ["above", "below", "inside"])
def test_order_is_judged_by_the_interval_of_this_cohort(place: str, parts: tuple) -> None:
    result, *tables = parts
    changed = json.loads(json.dumps(result))
    here = changed["task"]["os"]["model"]["fusion"]["c_index"]
    own = {"above": here["high"] + 0.02, "below": here["low"] - 0.02, "inside": here["value"]}[place]
    changed["internal"]["os"]["model"]["fusion"]["c_index"]["value"] = own
    text = text_of(page(changed, *tables))
    assert f"{place} that interval" in text
    assert ("less well" in text) == (place != "inside")
    assert ("no less well" in text) == (place == "below")


def test_calibration_is_judged_by_its_interval(parts: tuple) -> None:
    result, *tables = parts
    changed = json.loads(json.dumps(result))
    figures = changed["task"]["os"]["model"]["fusion"]
    figures["observed_expected"] = {"value": 1.4, "low": 1.2, "high": 1.6}
    figures["calibration_slope"] = {"value": 0.6, "low": 0.4, "high": 0.9}
    text = text_of(page(changed, *tables))
    assert "by day 365, 140 happened (120–160): more than predicted" in text
    assert "below the ideal of 1" in text


def test_without_recalibration_without_summary_without_metrics(tmp_path: Path) -> None:
    result, rows, _ = result_of(tmp_path, recalibrated=False)
    text = text_of(page({**result, "shift": None, "internal": None}, rows, None))
    assert "Not recalibrated" in text
    assert "this run kept no summary" in text
    assert "In cross-validation on its own cohort" not in text


def test_what_differs_is_named_and_the_rest_is_not(parts: tuple) -> None:
    shift = parts[0]["shift"]
    said = " ".join(sentences(shift))
    differing = {row["name"] for row in shift["covariates"] if abs(row["difference"] or 0) > alarm(shift)}
    assert {"age", "stage"} <= differing
    assert all(name in said for name in differing)
    assert "labs:progrp" not in said
    text = text_of(page(*parts))
    assert "Absent here: gone" in text
    assert "Not known to the model: y." in text
    assert alarm({"training": {"patients": 10}, "here": {"patients": 10}}) == pytest.approx(2 * np.sqrt(0.2))
    assert alarm({"training": {"patients": 9000}, "here": {"patients": 9000}}) == 0.2


def test_rows_before_and_after_are_those_that_were_fitted(parts: tuple) -> None:
    rows = calibration_rows(parts[0]["recalibration"])
    assert {row.task for row in rows} == {"os", "pfs"}
    assert {row.day for row in rows} == {None, 42.0}
    only_baseline = json.loads(json.dumps(parts[0]["recalibration"]))
    del only_baseline["fit"]["task"]["os"]["later"]
    assert {row.day for row in calibration_rows(only_baseline) if row.task == "os"} == {None}


def test_the_folder_is_all_that_is_read(parts: tuple, tmp_path: Path) -> None:
    result, rows, after = parts
    (tmp_path / "external.json").write_text(json.dumps(result))
    rows.to_parquet(tmp_path / "predictions.parquet")
    after.to_parquet(tmp_path / "recalibrated.parquet")
    path = build_external_report(tmp_path)
    assert path.read_text() == page(result, rows, after)
