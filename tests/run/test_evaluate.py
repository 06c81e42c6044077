"""Hundreds of runs: their pooled scores are means over all of them, and many variants are compared with the first."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from composed import FAST, ROOT, called, on_cohort
from tiny import write_tiny_cohort

from fusion.metrics import score_run
from fusion.run import evaluate

SHORT = [
    *FAST,
    "modality=[clinical,plasma]",
    "task=[os,response]",
    "members=1",
    "final_model=false",
    "trainer.lightning.max_epochs=1",
    "evaluation.report=false",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    cohort = write_tiny_cohort(folder / "cohort", patients=24)
    assert called("train", *on_cohort(cohort), *SHORT, f"hydra.run.dir={folder / 'run'}") == 0
    return folder / "run"


def scored(run: Path, folder: Path, jobs: int, settings: int) -> dict[str, Any]:
    """What `evaluate` writes of so many copies of a run."""
    spec = importlib.util.spec_from_file_location("pooling", ROOT / "benchmarks" / "pooling.py")
    assert spec is not None
    assert spec.loader is not None
    pooling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pooling)
    pooling.copy_runs(run, folder / "sweep", jobs, settings=settings)
    assert called("evaluate", f"runs=[{folder / 'sweep'}]", f"out={folder / 'scores.json'}", "resamples=20") == 0
    return json.loads((folder / "scores.json").read_text())


def by_itself(job: Path) -> dict[str, Any]:
    """Figures of the model of one job."""
    splits = pd.read_csv(job / "splits.csv", dtype={"patient_id": str})
    rows = pd.read_parquet(job / "predictions.parquet")
    task = score_run(rows, None, splits, resamples=1)["task"]["os"]
    return {"baseline": task["model"]["fusion"], "later": task["landmark"]["42"]["fusion"]}


def test_all_runs_of_a_setting_speak_for_the_model(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluate, "IN_FULL", 2)
    scores = scored(run, tmp_path, jobs=3, settings=1)
    (found,) = scores["runs"].values()
    assert (found["settings"]["runs"], found["settings"]["runs_in_full"]) == (3, 2)
    each = [by_itself(tmp_path / "sweep" / str(job)) for job in range(3)]
    task = found["task"]["os"]
    for name in ("c_index", "ibs"):
        pooled = (task["model"]["fusion"][name]["value"], task["landmark"]["42"]["fusion"][name]["value"])
        means = [np.mean([one[level][name]["value"] for one in each]) for level in ("baseline", "later")]
        assert pooled == pytest.approx(means)
    assert "calibration_slope" in task["model"]["fusion"]
    assert "cox_all" in task["model"]


def test_many_variants_are_compared_with_the_first(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    scores = scored(run, tmp_path, jobs=12, settings=6)
    assert scores["runs"] == {}, "of so many the common table is all"
    task = scores["compare"]["task"]["os"]
    labels = list(task["model"])
    assert len(labels) == 6
    assert list(task["compare"]) == [f"{label} - {labels[0]}" for label in labels[1:]]
    seeds = [by_itself(tmp_path / "sweep" / job)["baseline"]["c_index"]["value"] for job in ("1", "7")]
    assert task["model"][labels[1]]["c_index"]["value"] == pytest.approx(np.mean(seeds))
    difference = task["model"][labels[1]]["c_index"]["value"] - task["model"][labels[0]]["c_index"]["value"]
    assert task["compare"][f"{labels[1]} - {labels[0]}"]["c_index"]["value"] == pytest.approx(difference)
    assert capsys.readouterr().out.count("optimizer.lr=") >= 6
