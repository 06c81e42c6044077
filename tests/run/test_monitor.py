"""What the patient pages are given is what lies in the cohort and the run folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.data.modalities.labs import Labs
from fusion.data.read import read_cohort
from fusion.data.shift import summarise_training
from fusion.run.monitor import monitor_new, monitor_run, monitor_tables, serial_values
from fusion.run.monitor_answers import answers_of_held_out, answers_of_new

MODALITIES = {
    "clinical": {"_target_": "fusion.data.modalities.clinical.Clinical", "name": "clinical"},
    "plasma": {"_target_": "fusion.data.modalities.plasma.Plasma", "name": "plasma"},
    "methylation": {
        "_target_": "fusion.data.modalities.methylation.Methylation",
        "name": "methylation",
        "specimen": "tissue",
    },
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder without models: what the pages read of it."""
    folder = write_tiny_cohort(tmp_path / "cohort", patients=24)
    cohort, run = read_cohort(folder), tmp_path / "run"
    run.mkdir()
    data = {"path": str(folder), "visit_window": 7.0, "simulate_if_absent": True, "simulate": {}}
    (run / "config.json").write_text(json.dumps({"name": "r", "data": data, "modalities": MODALITIES}))
    (run / "manifest.json").write_text(json.dumps({"members": 2, "cohort": {"name": "tiny"}}))
    (run / "training_summary.json").write_text(json.dumps(summarise_training(cohort, {})))
    fold = (cohort.visits["patient_id"].rank(method="dense") % 2).astype(int)
    rows = cohort.visits.assign(task="os", repeat=0, fold=fold, at_risk=True, duration=400.0, event=False)
    rows["survival_180"] = np.linspace(0.9, 0.2, len(rows))
    rows.to_parquet(run / "predictions.parquet", index=False)
    return run


def shown(page: Path) -> dict:
    text = page.read_text()
    return json.loads(text[text.index('id="data">') + 10 :].split("</script>")[0])


def test_blood_values_are_those_of_the_tables(run: Path) -> None:
    cohort = read_cohort(run.parent / "cohort")
    table = serial_values(cohort, {})
    assert table is not None
    labs, plasma = (pd.read_csv(cohort.folder / f"{stem}.csv") for stem in ("labs", "plasma"))
    assert set(table["assay"]) == {"labs", "plasma"}, "also where the run does not use them"
    mine = table[table["analyte"] == "tumor_fraction"]
    assert len(mine) == plasma["tumor_fraction"].notna().sum()
    assert not table[["patient_id", "visit", "day", "value"]].isna().to_numpy().any()
    assert len(serial_values(cohort, {"labs": Labs()})) == len(table)
    assert len(labs)


def test_page_of_a_run(run: Path) -> None:
    page = shown(monitor_run(run))
    cohort = read_cohort(run.parent / "cohort")
    assert [each["id"] for each in page["patients"]] == sorted(cohort.patient_ids)
    assert page["meta"]["modalities"] == list(MODALITIES)
    assert page["meta"]["heldOut"]
    assert not page["meta"]["hasAlerts"]
    first = page["patients"][0]
    samples = cohort.samples_of("methylation", "tissue")
    expected = {int(v) for v in samples.loc[samples["patient_id"] == first["id"], "visit"]}
    assert {v for v, state in zip(first["visit"], first["sampled"][2], strict=True) if state == 2} == expected
    assert first["scans"]
    assert first["outside"]["of"] > 0


def test_tables_of_other_commands_are_taken_up(run: Path) -> None:
    rows = pd.read_parquet(run / "predictions.parquet")
    rows[["patient_id", "visit"]].assign(alarm=True, threshold=0.2).to_parquet(run / "alerts.parquet")
    page = shown(monitor_run(run))
    assert page["patients"][0]["alerts"][0] == [1, 2000]
    new = monitor_tables(run, None, rows, held_out=False)
    assert new.alerts is None, "they are of the run's own patients"


def test_without_its_cohort_the_predictions_stand_alone(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run.parent / "cohort")
    page = shown(monitor_run(run))
    assert "is not there" in " ".join(capfd.readouterr().out.split())
    assert page["meta"]["cohort"] == "tiny"
    assert page["patients"][0]["risk"]["os"][1][0] == 1000
    assert not (run.parent / "cohort").exists(), "nothing is simulated for a page"


def test_new_patients(run: Path, tmp_path: Path) -> None:
    cohort = read_cohort(write_tiny_cohort(tmp_path / "other", patients=5, seed=3))
    rows = cohort.visits.assign(task="os", survival_180=0.5)
    page = shown(monitor_new(run, cohort, rows, tmp_path / "new.html"))
    assert not page["meta"]["heldOut"]
    assert len(page["patients"]) == 5
    assert page["patients"][0]["bounds"]["os"][0] == 180, "a rule of the run, in which nothing happened"


def test_bounds_of_the_stage_where_it_has_enough_patients() -> None:
    stages = {f"{stage}{number}": stage for stage in ("ES", "LS") for number in range(100)}
    fast = np.array([stage == "ES" for stage in stages.values()])
    rows = pd.DataFrame({"repeat": 0, "fold": np.arange(200) % 2, "patient_id": list(stages), "visit": 0, "day": 0.0})
    days = np.tile(np.arange(1.0, 101.0), 2) * np.where(fast, 1.0, 3.0)
    rows = rows.assign(task="pfs", at_risk=True, event=True, duration=days, survival_90=0.5, survival_400=0.1)
    bounds = answers_of_held_out(rows, stages)["bounds"]["lower_days"].groupby(~fast).median()
    assert bounds[False] < 0.5 * bounds[True], "all have the same curve, but the stages differ"
    new = rows.head(2).assign(patient_id=["x", "y"])
    found = answers_of_new(rows, stages, new, {"x": "ES", "y": "LS"})
    assert found["bounds"]["lower_days"].is_monotonic_increasing
    assert set(found["alerts"]) >= {"patient_id", "visit", "alarm", "threshold"}


def test_an_unfinished_run_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finish the run first"):
        monitor_run(tmp_path)
