"""External validation from the user's door: scores, recalibration on other patients, what differs, and refusals."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from composed import FAST, called, on_cohort
from tiny import write_tiny_cohort

RESAMPLES = "resamples=10"
SHORT = [*FAST, "modality=[clinical,plasma]", "task=[os,response]", "baselines=none"]
SHORT += ["members=1", "final_model=false", "evaluation.report=false", "anchor=linear"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, another cohort with patients of its own, and the predictions for it."""
    folder = tmp_path_factory.mktemp("external")
    write_tiny_cohort(folder / "training", patients=48, visits=2)
    write_tiny_cohort(folder / "other", patients=60, seed=1, visits=2)
    (folder / "other" / "cohort.yaml").write_text(
        (folder / "other" / "cohort.yaml").read_text().replace("name: tiny", "name: The <b>other</b> / hospital")
    )
    words = [*on_cohort(folder / "training"), *SHORT, f"hydra.run.dir={folder / 'run'}"]
    assert called("train", *words) == 0
    assert (
        called("predict", f"run={folder / 'run'}", f"data.path={folder / 'other'}", f"out={folder / 'p.parquet'}") == 0
    )
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def evaluated(home: Path, *words: str, cohort: str = "other", out: Path | None = None) -> int:
    given = [f"runs=[{home / 'run'}]", f"predictions={home / 'p.parquet'}", f"data.path={home / cohort}", RESAMPLES]
    named = {word.split("=")[0] for word in words}
    kept = [word for word in given if word.split("=")[0] not in named]
    return called("evaluate", *kept, *words, *([f"out={out}"] if out else []))


def refused(capfd: pytest.CaptureFixture[str], home: Path, *words: str, cohort: str = "other") -> str:
    capfd.readouterr()
    assert evaluated(home, *words, cohort=cohort) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said
    return " ".join(said.split())


@pytest.fixture(scope="module")
def both(home: Path) -> Path:
    """The folder after recalibration."""
    assert evaluated(home, "recalibrate=both", "recalibration_fraction=0.5", out=home / "both") == 0
    return home / "both"


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_scores_without_recalibration(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluated(home) == 0
    said = capfd.readouterr().out
    folder = home / "run" / "external" / "The_b_other_b_hospital"
    assert {path.name for path in folder.iterdir()} == {
        *("external.json", "index.html", "patients.csv", "predictions.parquet")
    }
    assert re.sub(r"\s", "", str(folder / "index.html")) in re.sub(r"\s", "", said)
    result = read(folder / "external.json")
    assert result["recalibration"] is None
    assert result["cohort"]["ids_of_training"] == 48, "two tiny cohorts name their patients alike"
    assert "48 ids of The <b>other</b> / hospital are ids of training patients too" in " ".join(said.split())
    assert result["task"]["os"]["model"]["fusion"]["n"] == 60
    assert set(result["internal"]) == {"os", "response"}
    assert max(map(len, said.splitlines())) <= 80


def test_outcomes_are_those_of_the_cohort_now(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Follow-up that went on since the prediction counts; an outcome that is gone is left out, and said so."""
    folder = shutil.copytree(home / "other", tmp_path / "later")
    outcomes = pd.read_csv(folder / "outcomes.csv").drop(columns=["response", "response_day"])
    outcomes["os_days"] += 100.0
    outcomes.to_csv(folder / "outcomes.csv", index=False)
    assert evaluated(home, f"data.path={folder}", out=tmp_path / "out") == 0
    assert "task response: no outcome of it in this cohort" in " ".join(capfd.readouterr().out.split())
    assert set(read(tmp_path / "out" / "external.json")["task"]) == {"os"}
    rows = pd.read_parquet(tmp_path / "out" / "predictions.parquet").query("task == 'os' and visit == 0")
    truth = outcomes.set_index("patient_id").loc[rows["patient_id"], "os_days"]
    np.testing.assert_allclose(rows["duration"] + rows["day"], truth)
    before = pd.read_parquet(home / "p.parquet").query("task == 'os' and visit == 0")
    np.testing.assert_array_equal(rows["risk"], before["risk"])


def test_nobody_is_fitted_on_and_scored(both: Path, home: Path) -> None:
    fitted = set(read(both / "recalibration.json")["patient_ids"])
    changed = pd.read_parquet(both / "recalibrated.parquet")
    assert len(fitted) == 30
    assert fitted.isdisjoint(changed["patient_id"])
    assert fitted | set(changed["patient_id"]) == set(pd.read_parquet(home / "p.parquet")["patient_id"])
    patients = read(both / "external.json")["recalibration"]["patients"]
    assert patients == {"fitted": 30, "scored": 30}


def test_recalibration_is_what_its_file_says(both: Path) -> None:
    """The formula of the guide, by hand: S to the power of exp(a + (b - 1)(x - c)), x at the middle horizon."""
    fit = read(both / "recalibration.json")
    level = fit["task"]["os"]["baseline"]
    keys = ["patient_id", "task", "visit"]
    rows = pd.read_parquet(both / "predictions.parquet").merge(
        pd.read_parquet(both / "recalibrated.parquet"), on=keys, suffixes=("", "_after")
    )
    rows = rows[(rows["task"] == "os") & (rows["visit"] == 0)]
    assert f"survival_{fit['horizon']:g}" in rows, "else it has to be read between two days"
    hazard = -np.log(rows[f"survival_{fit['horizon']:g}"].to_numpy(dtype=float))
    power = np.exp(level["intercept"] + (level["slope"] - 1) * (np.log(hazard) - level["centre"]))
    np.testing.assert_allclose(rows[f"survival_{fit['horizon']:g}_after"], np.exp(-hazard * power), rtol=1e-5)


def test_the_same_words_give_the_same_part_and_figures(both: Path, home: Path, tmp_path: Path) -> None:
    assert evaluated(home, "recalibrate=both", "recalibration_fraction=0.5", out=tmp_path / "again") == 0
    for name in ("external.json", "recalibration.json", "index.html", "patients.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (both / name).read_bytes(), name


def test_patients_may_be_named(home: Path, tmp_path: Path) -> None:
    ids = [f"P{i:03d}" for i in range(40)]
    words = ["recalibrate=intercept", f"recalibration_ids=[{','.join(ids)}]"]
    assert evaluated(home, *words, out=tmp_path / "out") == 0
    fit = read(tmp_path / "out" / "recalibration.json")
    assert fit["patient_ids"] == ids
    assert fit["task"]["os"]["baseline"]["slope"] == 1.0
    assert fit["task"]["os"]["baseline"]["slope_se"] is None


def test_names_from_the_cohort_are_inert(both: Path) -> None:
    page = (both / "index.html").read_text()
    assert "The &lt;b&gt;other&lt;/b&gt; / hospital" in page
    assert "<b>other</b>" not in page
    assert "<script" not in page
    assert not re.search(r"P0\d\d", page), "patients are not named"


def test_an_old_run_is_scored_without_its_summary(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = shutil.copytree(home / "run", tmp_path / "old")
    (old / "training_summary.json").unlink()
    (tmp_path / "out").mkdir()
    for name in ("patients.csv", "recalibration.json"):
        (tmp_path / "out" / name).write_text("of an earlier call")
    assert evaluated(home, f"runs=[{old}]", out=tmp_path / "out") == 0
    assert "no training_summary.json" in capfd.readouterr().out
    assert read(tmp_path / "out" / "external.json")["shift"] is None
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "external.json",
        "index.html",
        "predictions.parquet",
    }
    assert "this run kept no summary" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["predictions=typo.parquet"], "there is no file typo.parquet; write it with predict.py"),
        (["recalibrate=all"], "recalibrate=all is not known; choose one of none, intercept, slope, both"),
        (["recalibrate=both", "recalibration_fraction=1.5"], "choose a value between 0 and 1"),
        (["recalibrate=both", "recalibration_fraction=0.05"], "events are too few to recalibrate on"),
        (["recalibrate=both", "recalibration_ids=[P000,X1]"], "no patients of The <b>other</b> / hospital, such as X1"),
        (["data.path=null"], "data.path=DIR"),
        (["data.path=typo"], "typo is not there"),
        (["runs=[typo]"], "typo is no run folder"),
    ],
)
def test_a_mistake_gets_one_message(words: list[str], says: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capfd, home, *words)


def test_several_runs_are_refused(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "one run" in refused(capfd, home, f"runs=[{home / 'run'},{home / 'run'}]")


def test_every_patient_named_leaves_nobody(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ids = ",".join(f"P{i:03d}" for i in range(60))
    assert "nobody is left" in refused(capfd, home, "recalibrate=both", f"recalibration_ids=[{ids}]")


def test_predictions_of_other_patients(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = pd.read_parquet(home / "p.parquet")
    rows.assign(patient_id="X" + rows["patient_id"]).to_parquet(tmp_path / "wrong.parquet")
    said = refused(capfd, home, f"predictions={tmp_path / 'wrong.parquet'}")
    assert "60 of 60 patients" in said
    assert "are not in The <b>other</b> / hospital, such as XP000" in said


def test_the_training_cohort_is_no_other(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "was trained on; give one that it has not seen" in refused(capfd, home, cohort="training")


def test_a_cohort_without_outcomes(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(home / "other", tmp_path / "blank")
    outcomes = pd.read_csv(folder / "outcomes.csv")
    outcomes = outcomes[["patient_id"]].reindex(columns=outcomes.columns)
    outcomes.to_csv(folder / "outcomes.csv", index=False)
    assert "has no outcome of os, response" in refused(capfd, home, f"data.path={folder}")
