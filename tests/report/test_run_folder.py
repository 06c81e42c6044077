"""Reading a run folder: figures by name, what is absent, what is undefined."""

import json
import shutil
from pathlib import Path

import pytest
from fake_run import write_run

from fusion.metrics.scorer import FUSION
from fusion.report.run_folder import read_run


def test_figures_are_those_of_the_metrics(complete_run: Path) -> None:
    run = read_run(complete_run)
    scores = json.loads((complete_run / "metrics.json").read_text())["task"]["os"]
    found = run.estimate("os", FUSION, "auc/365")
    assert found is not None
    assert found.value == scores["model"][FUSION]["auc"]["365"]["value"]
    later = run.gain("os", "cox_all", "c_index", 42.0)
    assert later is not None
    assert later.p == scores["landmark"]["42"]["compare"]["fusion - cox_all"]["c_index"]["p"]
    assert run.endpoints == ("os", "pfs")
    assert run.landmarks("os") == (42.0, 84.0)


def test_our_own_model_is_never_the_best_baseline(complete_run: Path) -> None:
    run = read_run(complete_run)
    figures = {model: run.estimate("os", model, "c_index", 42.0) for model in run.baseline_models("os")}
    best = run.best_baseline("os", "c_index", 42.0)
    assert best is not None
    assert "fusion" not in best
    assert "compare" not in figures
    assert figures[best].value == max(figure.value for figure in figures.values() if figure is not None)


def test_an_undefined_figure_is_no_zero(complete_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(complete_run, tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    undefined = {"value": None, "low": None, "high": None, "note": "undefined"}
    metrics["task"]["os"]["model"]["fusion"]["c_index"] = undefined
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert read_run(run).estimate("os", FUSION, "c_index") is None
    assert read_run(run).estimate("os", "cox_of_another_study", "c_index") is None


def test_curves_hold_every_fold_and_both_parts(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, patients=20, folds=2, repeats=2, tasks=("os",), baselines=False, visits=1))
    assert len(run.curves[["repeat", "fold", "part"]].drop_duplicates()) == 8


@pytest.mark.parametrize("name", ["manifest.json", "predictions.parquet"])
def test_an_unfinished_run_is_named(complete_run: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(complete_run, tmp_path / "run")
    (run / name).unlink()
    with pytest.raises(ValueError, match=rf"has no {name}.*resume="):
        read_run(run)
