"""The quality report counts what is there, and says it in JSON and on a terminal."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from tiny import write_tiny_cohort

from fusion.data.qc import availability_table, summarise_cohort, validate
from fusion.data.read import read_cohort
from fusion.data.scans import LESIONS


def printed(folder: Path) -> tuple[int, str]:
    text = io.StringIO()
    return validate(folder, Console(file=text, width=120)), text.getvalue()


def test_counts_agree_with_the_tables(good: Path) -> None:
    cohort = read_cohort(good)
    summary = summarise_cohort(cohort)
    assert summary.patients == 8
    assert summary.endpoints["os"].events == cohort.outcomes["os_event"].sum()
    assert summary.endpoints["pfs"].known == 7
    assert sum(summary.response.values()) == 8
    assert summary.availability["variants"]["0"] == len(cohort.samples_of("variants"))
    assert {"methylation (plasma)", "methylation (tissue)"} <= set(summary.availability)
    assert summary.numeric["age"].high == cohort.patients["age"].max()
    assert sum(summary.categorical["stage"].values()) == 8
    assert [row["count"] for row in summary.left_out] == [1] * len(cohort.left_out)


def test_follow_up_is_the_reverse_kaplan_meier_median(tmp_path: Path) -> None:
    (tmp_path / "cohort.yaml").write_text("name: known\nschema: 1\n")
    (tmp_path / "patients.csv").write_text("patient_id\na\nb\nc\nd\n")
    (tmp_path / "outcomes.csv").write_text("patient_id,os_days,os_event\na,10,1\nb,20,0\nc,30,1\nd,40,0\n")
    (tmp_path / "samples.csv").write_text("sample_id,patient_id,day,modality\n")
    os = summarise_cohort(read_cohort(tmp_path)).endpoints["os"]
    assert (os.median_days, os.median_follow_up_days) == (30.0, 40.0)


def test_the_long_table_has_every_visit_of_every_patient(good: Path) -> None:
    cohort = read_cohort(good)
    table = availability_table(cohort)
    assert len(table) == len(cohort.visits) * table["modality"].nunique()
    seen = table[table["available"]]
    several = cohort.samples.duplicated(["patient_id", "visit", "modality", "specimen"])
    assert len(seen) == (~several).sum()
    listed = table[table["modality"] != LESIONS]
    assert not listed.loc[listed["patient_id"] == "P007", "available"].any()


def test_the_summary_is_json(good: Path) -> None:
    summary = summarise_cohort(read_cohort(good)).to_json()
    again = json.loads(json.dumps(summary, allow_nan=False))
    assert again["availability"] == summary["availability"]
    assert {"file", "item", "reason", "count"} == set(again["left_out"][0])


def test_small_groups_and_few_events_are_pointed_out(good: Path) -> None:
    cautions = " ".join(summarise_cohort(read_cohort(good)).cautions)
    assert "os: " in cautions
    assert "fewer than 5 patients" in cautions


def test_a_good_folder_prints_its_report(good: Path) -> None:
    code, text = printed(good)
    assert code == 0
    for words in ("tiny: 8 patients", "median follow-up", "methylation (plasma)", "failed QC", "Baseline covariates"):
        assert words in text


def test_a_bad_folder_prints_every_problem(folder: Path) -> None:
    table = pd.read_csv(folder / "outcomes.csv")
    table["os_event"] = 9
    table.to_csv(folder / "outcomes.csv", index=False)
    (folder / "cohort.yaml").write_text("name: '[bold]odd[/nothing]'\nschema: 3\n")
    code, text = printed(folder)
    assert code == 1
    assert "9 problems" in text
    assert "column os_event: found 9" in text
    assert "column schema: found 3" in text


@pytest.mark.parametrize("patients", [1, 2])
def test_the_smallest_cohorts_have_a_report(tmp_path: Path, patients: int) -> None:
    folder = write_tiny_cohort(tmp_path, patients=patients, visits=1)
    assert printed(folder)[0] == 0
