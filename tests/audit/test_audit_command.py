"""`evaluate audit=true`: exit codes, what it writes, and which cohort it takes."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from composed import called

from fusion.audit import Finding


@pytest.fixture
def run(honest_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(honest_run, tmp_path / "run")


def audit(run: Path, *words: str) -> int:
    return called("evaluate", f"runs=[{run}]", "audit=true", *words)


def test_an_honest_run_passes(run: Path):
    assert audit(run) == 0
    content = json.loads((run / "audit.json").read_text())
    findings = content["findings"]
    assert content["verdicts"]["fail"] == 0
    assert sum(content["verdicts"].values()) == len(findings)
    assert {"rule", "verdict", "found", "remedy"} == set(findings[0])
    assert not [each for each in findings if "could not be run" in each["found"]]
    unjudged = [each["rule"] for each in findings if each["verdict"] == "not applicable"]
    assert unjudged == ["Rule 12: no site is both trained on and held out"]
    page = (run / "report" / "index.html").read_text()
    assert "Do not use these figures" not in page
    assert "later samples change no earlier prediction" in page


def test_a_failure_exits_with_1_and_is_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    failure = Finding("Rule 2: only patients still at risk are scored", "fail", "[bold]12 visits[/]", "score again")
    monkeypatch.setattr("fusion.run.audit.run_checks", lambda *_: [failure])
    assert audit(run) == 1
    printed = capsys.readouterr()
    assert failure.rule in printed.err
    assert failure.found in printed.out
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
