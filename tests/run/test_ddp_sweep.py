"""Ranks inside a sweep: each job starts its own, and no rank begins the sweep again."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from composed import FAST, ROOT, on_cohort
from tiny import write_tiny_cohort


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local", "joblib"])
def test_every_job_of_a_sweep_with_ranks_is_run_once(launcher: str, tmp_path: Path):
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = [*on_cohort(write_tiny_cohort(tmp_path / "cohort", patients=24)), *FAST, "trainer=ddp", "seed=0,1"]
    words += [f"launcher={launcher}"]
    words += ["modality=[clinical,plasma]", "task=[os]", "baselines=none", "final_model=false"]
    words += ["trainer.progress=false", "evaluation.report=false", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert said.lower().count("launching 2 jobs") == 1
    assert said.count("2 folds of 2 models") == 2
    predicted = [pd.read_parquet(tmp_path / "sweep" / job / "predictions.parquet") for job in ("0", "1")]
    assert not predicted[0]["risk"].equals(predicted[1]["risk"])
    assert {path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()} == {"0", "1"}
