"""`tune`: a search from the command line leaves its trials, its best settings, and a command that train.py takes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from composed import FAST, ROOT, called, composed, on_cohort
from tiny import write_tiny_cohort

from fusion.run.folder import config_of
from fusion.run.tune import agreement, help_search

SHORT = [
    *FAST,
    "modality=[clinical,plasma]",
    "task=[os]",
    "anchor=none",
    "baselines=none",
    "evaluation.report=false",
    "members=1",
]
SPACE = ["tuning/space=[optimizer,fusion]", "trials=2"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = write_tiny_cohort(tmp_path_factory.mktemp("tune") / "cohort", patients=24)
    return [*on_cohort(folder), *SHORT, *SPACE]


@pytest.fixture(scope="module")
def run(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "run"
    assert called("tune", *words, "outer=false", "minutes=60", f"hydra.run.dir={folder}") == 0
    return folder


def test_a_search_leaves_its_trials_and_its_best(run: Path):
    trials = pd.read_csv(run / "trials.csv")
    assert list(trials["search"]) == ["final_model"] * 2
    assert trials["chosen"].sum() == 1
    assert trials.loc[trials["chosen"], "loss"].item() == trials["loss"].min()
    assert set(trials["model.fusion"]) <= {"pairwise_products", "masked_attention", "masked_mean"}
    assert (run / "study.db").exists()
    assert not list(run.glob("fold_*")), "outer=false"


def test_the_command_of_the_best_composes_to_the_chosen_config(run: Path):
    text = (run / "best.yaml").read_text()
    best = yaml.safe_load(text)["overrides"]
    command = shlex.split(next(line for line in text.splitlines() if "scripts/train.py" in line).lstrip("# "))
    assert command[:2] == ["python", "scripts/train.py"]
    assert command[-len(best) :] == best
    assert not [word for word in command if word.startswith(("tuning", "trials", "outer", "minutes", "hydra"))]
    chosen = pd.read_csv(run / "trials.csv").query("chosen").iloc[0]
    config = composed(*command[2:])
    assert config["optimizer"]["lr"] == pytest.approx(chosen["optimizer.lr"])
    assert config["members"] == 1
    assert not config["tuning"]


def test_a_worker_finds_nothing_left_to_do(run: Path):
    before = (run / "trials.csv").read_text()
    help_search(run)
    assert (run / "trials.csv").read_text() == before
    assert not (run / "final_model" / "trials").exists()


def test_a_finished_search_is_not_searched_again(run: Path, words: list[str]):
    model = run / "final_model" / "model.safetensors"
    stamp = model.stat().st_mtime_ns
    assert called("tune", *words, "outer=false", "minutes=60", f"resume={run}") == 0
    assert model.stat().st_mtime_ns == stamp


def test_the_final_model_of_a_search_predicts(run: Path, tmp_path: Path):
    data = config_of(run)["data"]["path"]
    assert called("predict", f"run={run}", f"data.path={data}", f"out={tmp_path / 'new.parquet'}") == 0


def test_what_is_best_needs_a_final_model(words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert called("tune", *words, "final_model=false", f"hydra.run.dir={tmp_path}") == 1
    assert "leave out final_model=false" in capfd.readouterr().err


def test_agreement_of_searches():
    assert agreement(["gru", "last_visit", "gru"]) == "gru (2), last_visit (1)"
    assert agreement([None, 0.1]) == "0.1 to 0.1"


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on(words: list[str], tmp_path: Path):
    """Kill -9 of the command and its worker in the middle: the folds are finished, and no finished trial again."""
    run = tmp_path / "run"
    script = str(ROOT / "scripts" / "tune.py")
    command = [sys.executable, script, *words, "trials=4", "workers=2", f"hydra.run.dir={run}"]
    started = subprocess.Popen(command, start_new_session=True)
    kept = run / "fold_0_0" / "trials" / "1" / "trial.json"
    for _ in range(600):
        if kept.exists():
            break
        time.sleep(0.2)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    first = json.loads(kept.read_text())
    assert called("tune", *words, "trials=4", "workers=2", f"resume={run}") == 0
    trials = pd.read_csv(run / "trials.csv")
    assert trials.groupby("search").size().to_dict() == {"final_model": 4, "fold_0_0": 4, "fold_0_1": 4}
    again = trials.query("search == 'fold_0_0' and trial == 1").iloc[0]
    assert again["loss"] == pytest.approx(first["loss"], rel=1e-9)
    assert again["seconds"] == first["seconds"], "it was not fitted again"
    assert len(pd.read_parquet(run / "predictions.parquet"))
