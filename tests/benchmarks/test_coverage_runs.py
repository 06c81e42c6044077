"""Coverage over many runs: which runs they are, the error over them, and groups by how much was measured."""

import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest


def test_a_folder_per_seed_and_one_cut_off_goes_on(
    coverage_table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_table, "ROOT", tmp_path)
    begun = tmp_path / "runs" / "coverage" / "strong_60_members2_seed3"
    begun.mkdir(parents=True)
    (begun / "config.json").write_text("{}")
    runs = coverage_table.runs_of({"seeds": "0,2-3", "patients": "60"})
    assert [folder.name[-5:] for folder in runs] == ["seed0", "seed2", "seed3"]
    assert [folder for folder, words in runs.items() if any(word.startswith("resume=") for word in words)] == [begun]
    assert len(coverage_table.runs_of({})) == 20


def test_error_over_runs_and_how_many_are_near(coverage_table: ModuleType) -> None:
    table = pd.DataFrame({"coverage": [0.86, 0.90, 0.94], "patients": [10, 20, 30], "low": 0.8, "high": 1.0})
    row = coverage_table.pooled(table, 0.9)
    assert (row["runs"], row["patients"], row["near"]) == ("3", "20", "1")
    assert row["SE"] == "0.023"
    assert row["coverage"].startswith("0.900 (0.801 to 0.999)")
    assert coverage_table.pooled(table.iloc[:1], 0.9)["SE"] == ""
    assert coverage_table.pooled(table.assign(coverage=float("nan")), 0.9)["coverage"] == "-"


def test_groups_by_assays_known_at_the_first_visit(coverage_table: ModuleType, tmp_path: Path) -> None:
    run, cohort = tmp_path / "run", tmp_path / "cohort"
    run.mkdir()
    cohort.mkdir()
    pd.DataFrame({"patient_id": ["a", "b"], "stage": ["LS", "ES"]}).to_csv(run / "subgroups.csv", index=False)
    (run / "config.json").write_text(json.dumps({"data": {"path": str(cohort)}}))
    visits = pd.DataFrame({"patient_id": ["a", "a", "b"], "visit": [0, 1, 0], "day": [5.0, 30.0, 0.0]})
    visits.to_parquet(run / "predictions.parquet")
    names = ["w", "x", "y", "z"]
    samples = pd.DataFrame({"patient_id": ["a"] * 5, "modality": [*names, "late"], "day": 0, "available_day": 5})
    samples.loc[4, "available_day"] = 30
    bad = pd.DataFrame({"patient_id": ["b"], "modality": ["w"], "day": [0], "available_day": [0]})
    pd.concat([samples.assign(pass_qc=1), bad.assign(pass_qc=0)]).to_csv(cohort / "samples.csv", index=False)
    groups = coverage_table.groups_of(run).set_index("patient_id")["assays at the first visit"]
    assert groups.to_dict() == {"a": "4", "b": "3 or fewer"}
