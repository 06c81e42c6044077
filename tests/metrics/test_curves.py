"""Curves over prediction times, days and thresholds say what the printed figures say at the same place."""

import json

import pandas as pd
import pytest
from fake_predictions import fake_run

from fusion.metrics.score import score_run


@pytest.fixture(scope="module")
def run():
    return fake_run(patients=150, repeats=2, folds=3, seed=1)


@pytest.fixture(scope="module")
def metrics(run):
    baselines = run.baselines.replace({"model": {"noise": "landmark_cox"}})
    return score_run(run.predictions, baselines, run.splits, resamples=60)


def test_at_the_landmarks_the_curves_are_the_printed_figures(metrics):
    printed, curves = metrics["task"]["os"], metrics["curves"]["os"]["dynamic"]
    assert curves["window"] == 365.0
    for model in ("fusion", "fusion_at_baseline", "landmark_cox"):
        for day in ("42", "84"):
            drawn, figures = curves["models"][model][day], printed["landmark"][day][model]
            assert drawn["c_index"] == pytest.approx(figures["c_index"])
            assert drawn["auc"] == pytest.approx(figures["auc"]["365"])
            assert drawn["brier"] == pytest.approx(figures["brier"]["365"])
            assert drawn["scaled_brier"] == pytest.approx(figures["scaled_brier"]["365"])
            assert drawn["n"] == figures["n"]
    first = curves["models"]["fusion"]["0"]
    assert first["c_index"] == pytest.approx(printed["model"]["fusion"]["c_index"])
    numbers = [at["n"] for at in curves["models"]["fusion"].values()]
    assert numbers == sorted(numbers, reverse=True)
    gain = curves["gain"]["fusion - landmark_cox"]["42"]["c_index"]
    assert gain == pytest.approx(printed["landmark"]["42"]["compare"]["fusion - landmark_cox"]["c_index"])


def test_auc_and_decisions_are_the_printed_figures(metrics):
    printed, curves = metrics["task"]["os"]["model"], metrics["curves"]["os"]
    assert curves["auc"]["fusion"]["180"] == pytest.approx(printed["fusion"]["auc"]["180"])
    assert curves["horizon"] == 365.0
    for threshold in ("0.1", "0.25", "0.5", "0.75"):
        drawn = curves["decision"]["fusion"][threshold]
        assert drawn == pytest.approx(printed["fusion"]["net_benefit"]["365"][threshold])
        everybody = printed["fusion"]["net_benefit_treat_all"]["365"][threshold]
        assert curves["decision"]["treat_all"][threshold] == pytest.approx(everybody)
        response = metrics["task"]["response"]["model"]["fusion"]["net_benefit"][threshold]
        assert metrics["curves"]["response"]["decision"]["fusion"][threshold] == pytest.approx(response)


def test_a_visit_that_adds_nothing_gains_nothing_anywhere(metrics):
    for at in metrics["curves"]["os"]["dynamic"]["gain"]["fusion - fusion_at_baseline"].values():
        assert at["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_one_visit_has_no_dynamic_curve_and_nobody_at_risk_ends_it():
    static = fake_run(patients=60, repeats=1, visit_days=(0.0,))
    assert score_run(static.predictions, None, static.splits, resamples=5)["curves"]["os"]["dynamic"] == {}
    brief = fake_run(patients=60, repeats=1)
    known = brief.predictions.assign(duration=brief.predictions["duration"].clip(upper=5.0))
    known = known[(known["visit"] == 0) | (known["task"] == "response")]
    later = known[known["task"] == "os"].assign(visit=1, day=1.0, duration=4.0)
    curves = score_run(pd.concat([known, later]), None, brief.splits, resamples=5)["curves"]["os"]
    assert list(curves["dynamic"]["models"]["fusion"]) == ["0"]
    assert curves["auc"] == {}


def test_nothing_but_censored_is_null_and_json(run):
    metrics = score_run(run.predictions.assign(event=False), None, run.splits, resamples=5)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["curves"]["os"]["dynamic"]["models"]["fusion"]["42"]["c_index"]["value"] is None
