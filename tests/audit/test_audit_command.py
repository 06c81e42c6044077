"""`evaluate audit=true`: exit codes, what it writes, and which cohort it takes."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from composed import called


@pytest.fixture
def run(honest_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(honest_run, tmp_path / "run")


def audit(run: Path, *words: str) -> int:
    return called("evaluate", f"runs=[{run}]", "audit=true", "audit_refits=0", *words)


def test_an_honest_run_exits_with_0(run: Path):
    assert audit(run) == 0
    content = json.loads((run / "audit.json").read_text())
    assert content["verdicts"]["fail"] == 0
    assert sum(content["verdicts"].values()) == len(content["findings"])
    assert {"rule", "verdict", "found", "remedy"} == set(content["findings"][0])
    page = (run / "report" / "index.html").read_text()
    assert "Do not use these figures" not in page
    assert "later samples change no earlier prediction" in page


def test_a_leaking_run_exits_with_1_and_names_the_rule(run: Path, capsys: pytest.CaptureFixture[str]):
    rows = pd.read_parquet(run / "predictions.parquet")
    rows.assign(at_risk=True).to_parquet(run / "predictions.parquet")
    assert audit(run) == 1
    assert "Rule 2" in capsys.readouterr().err
    assert "Do not use these figures" in (run / "report" / "index.html").read_text()


def test_another_cohort_is_refused(run: Path, simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    moved = shutil.copytree(simulated, tmp_path / "moved")
    outcomes = pd.read_csv(moved / "outcomes.csv")
    outcomes.assign(os_days=outcomes["os_days"] + 1).to_csv(moved / "outcomes.csv", index=False)
    assert audit(run, f"data.path={moved}") == 1
    error = capsys.readouterr().err
    assert "outcomes.csv" in error
    assert "data.path=" in error
    assert not (run / "audit.json").exists()
