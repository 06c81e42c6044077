"""Scores of a run whose truth is known, through the door that train.py uses."""

import json
import time

import numpy as np
import pytest
from fake_predictions import GRID, fake_run

from fusion.metrics.calibration import d_calibration
from fusion.metrics.dynamic import ModelTable
from fusion.metrics.functional import concordance_index
from fusion.metrics.score import compare_runs, pool_runs, score_run, summary_table


@pytest.fixture(scope="module")
def run():
    return fake_run(patients=150, repeats=2, folds=3, seed=1)


@pytest.fixture(scope="module")
def metrics(run):
    return score_run(run.predictions, run.baselines, run.splits, resamples=200)


def test_the_contract(metrics):
    figures = metrics["task"]["os"]["model"]["fusion"]
    assert {"c_index", "c_index_uno", "ibs", "auc", "brier", "calibration_slope", "n", "events"} <= figures.keys()
    assert set(figures["auc"]) == set(figures["brier"]) == {"180", "365", "730"}
    assert set(metrics["task"]["os"]["landmark"]) == {"42", "84"}
    assert {"auroc", "auprc", "brier", "calibration_slope"} <= metrics["task"]["response"]["model"]["fusion"].keys()
    assert {"value", "low", "high", "p"} <= metrics["task"]["os"]["compare"]["fusion - noise"]["c_index"].keys()
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    for model in metrics["task"]["os"]["model"].values():
        assert model["c_index"]["low"] <= model["c_index"]["value"] <= model["c_index"]["high"]


def test_the_oracle_beats_noise(metrics):
    scores = metrics["task"]["os"]
    assert scores["model"]["fusion"]["c_index"]["low"] > 0.6
    assert scores["model"]["noise"]["c_index"]["low"] < 0.5 < scores["model"]["noise"]["c_index"]["high"]
    assert scores["model"]["fusion"]["scaled_brier"]["365"]["low"] > 0
    assert scores["model"]["noise"]["scaled_brier"]["365"]["value"] < 0
    for compared in (scores["compare"], scores["landmark"]["42"]["compare"]):
        assert compared["fusion - noise"]["c_index"]["low"] > 0
        assert compared["fusion - noise"]["c_index"]["p"] < 0.02
        assert compared["fusion - noise"]["brier"]["365"]["high"] < 0
    slope = scores["model"]["fusion"]["calibration_slope"]
    assert slope["low"] < 1 < slope["high"]


def test_no_covariates_is_one_half_exactly(metrics):
    flat = metrics["task"]["os"]["model"]["flat"]
    assert flat["c_index"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert flat["auc"]["365"]["value"] == 0.5
    assert flat["calibration_slope"]["value"] is None
    assert flat["calibration_slope"]["note"] == "undefined"


def test_the_value_is_the_mean_over_repeats_of_pairs_within_folds(run, metrics):
    rows = run.predictions.query("task == 'os' and visit == 0")
    by_repeat = []
    for _, repeat in rows.groupby("repeat"):
        top = bottom = 0.0
        for _, fold in repeat.groupby("fold"):
            duration, event = fold["duration"].to_numpy(), fold["event"].to_numpy(dtype=bool)
            pairs = sum(int(((duration > t) | ((duration == t) & ~event)).sum()) for t in duration[event])
            top += pairs * concordance_index(fold["risk"].to_numpy(), duration, event)
            bottom += pairs
        by_repeat.append(top / bottom)
    assert metrics["task"]["os"]["model"]["fusion"]["c_index"]["value"] == pytest.approx(np.mean(by_repeat))


def test_a_scale_of_risk_per_fold_changes_no_rank_metric(run, metrics):
    shifted = run.predictions.copy()
    shifted["risk"] = shifted["risk"] * (1 + shifted["fold"]) + 50 * shifted["fold"]
    again = score_run(shifted, None, run.splits, resamples=200)["task"]["os"]
    for level in (("model",), ("landmark", "42")):
        before, after = metrics["task"]["os"], again
        for key in level:
            before, after = before[key], after[key]
        for name in ("c_index", "c_index_uno"):
            assert after["fusion"][name] == pytest.approx(before["fusion"][name])


def test_a_visit_that_adds_nothing_gains_nothing(metrics):
    # The oracle says the same at every visit.
    gain = metrics["task"]["os"]["landmark"]["84"]["compare"]["fusion - fusion_at_baseline"]["c_index"]
    assert gain == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_order_of_rows_changes_nothing(run, metrics):
    shuffled = run.predictions.sample(frac=1.0, random_state=0)
    again = score_run(shuffled, None, run.splits, resamples=200)
    first, second = (each["task"]["os"]["landmark"]["42"]["fusion"]["c_index"] for each in (metrics, again))
    assert first == pytest.approx(second)


def test_a_static_cohort_has_no_landmarks():
    static = fake_run(patients=45, repeats=1, visit_days=(0.0,))
    scores = score_run(static.predictions, None, static.splits, resamples=20)
    assert scores["task"]["os"]["landmark"] == {}
    assert set(scores["task"]["os"]["model"]) == {"fusion"}


def test_nothing_but_censored(run):
    rows = run.predictions.assign(event=False)
    figures = score_run(rows, None, run.splits, resamples=20)["task"]["os"]["model"]["fusion"]
    assert figures["events"] == 0
    for figure in (figures["c_index"], figures["auc"]["365"], figures["calibration_slope"]):
        assert figure == {"value": None, "low": None, "high": None, "note": "undefined"}


def test_no_event_by_a_horizon_is_null_with_a_note_and_raises_no_warning(run):
    rows = run.predictions.assign(duration=run.predictions["duration"] + 200.0)
    plain = run.baselines.assign(duration=run.baselines["duration"] + 200.0)
    scores = score_run(rows, plain, run.splits, resamples=20)["task"]["os"]
    undefined = {"value": None, "low": None, "high": None, "note": "undefined"}
    for model in scores["model"].values():
        assert model["scaled_brier"]["180"] == undefined
        assert model["auc"]["180"] == undefined
        assert model["calibration"]["180"]["slope"] == undefined
    assert scores["compare"]["fusion - noise"]["scaled_brier"]["180"] == {**undefined, "p": None}


def test_one_event_is_marked_wherever_it_is_scored(run):
    only = (run.predictions["patient_id"] == run.time.idxmin()) & run.predictions["event"].astype(bool)
    figures = score_run(run.predictions.assign(event=only), None, run.splits, resamples=20)["task"]["os"]["model"]
    assert figures["fusion"]["events"] == 1
    marked = {"too few events", "undefined", "undefined in many resamples"}
    for name in ("c_index", "c_index_uno", "ibs", "scaled_ibs", "calibration_slope"):
        assert figures["fusion"][name]["note"] in marked
    assert figures["fusion"]["net_benefit"]["365"]["0.5"]["note"] in marked


def test_risk_groups_differ_in_time_and_the_oracle_is_d_calibrated(metrics):
    figures = metrics["task"]["os"]["model"]
    assert figures["fusion"]["rmst_difference"]["365"]["low"] > 0
    noise = next(iter(figures["noise"]["rmst_difference"].values()))
    assert noise["low"] < 0 < noise["high"]
    assert next(iter(figures["flat"]["rmst_difference"].values()))["value"] is None
    assert figures["fusion"]["d_calibration"]["p"]["value"] > 0.01
    assert figures["fusion"]["calibration"]["365"]["ici"]["low"] is None
    assert figures["fusion"]["scaled_ibs"]["low"] > 0 > figures["noise"]["scaled_ibs"]["value"]


def test_d_calibration_is_that_of_the_curves_read_at_each_time(run):
    rows = run.predictions.query("task == 'os' and visit == 0 and repeat == 0")
    splits = run.splits[run.splits["repeat"] == 0]
    figures = score_run(rows, None, splits, resamples=2)["task"]["os"]["model"]["fusion"]
    grid = np.concatenate([[0.0], GRID])
    curves = np.hstack([np.ones((len(rows), 1)), rows[[f"survival_{day:g}" for day in GRID]].to_numpy()])
    last = rows["duration"].clip(upper=GRID[-1])
    own = np.array([np.interp(day, grid, curve) for day, curve in zip(last, curves, strict=True)])
    event = (rows["event"] & (rows["duration"] <= GRID[-1])).to_numpy(dtype=bool)
    expected = d_calibration(own, event)
    found = (figures["d_calibration"]["chi2"]["value"], figures["d_calibration"]["p"]["value"])
    assert found == pytest.approx(expected, abs=1e-6)


def test_risks_that_are_not_numbers_are_refused(run):
    with pytest.raises(ValueError, match="predict again"):
        score_run(run.predictions.assign(risk=np.nan), None, run.splits, resamples=2)


def test_few_events_are_marked(run):
    few = run.time.sort_values().index[-12:]
    figures = score_run(run.predictions, None, run.splits, resamples=20, only=few)["task"]["os"]["model"]["fusion"]
    assert figures["n"] == 12
    assert figures["c_index"].get("note") in ("too few events", "undefined")


def test_a_horizon_beyond_the_grid_is_undefined_for_probabilities_only(run):
    scores = score_run(run.predictions, None, run.splits, horizons=(365, 1200), resamples=20)
    figures = scores["task"]["os"]["model"]["fusion"]
    assert figures["brier"]["1200"]["value"] is None
    assert figures["brier"]["365"]["value"] is not None
    assert figures["c_index"]["value"] is not None


def test_models_on_other_patients_are_compared_on_common_ones(run):
    some = set(run.time.index[:100])
    partly = run.baselines[run.baselines["patient_id"].isin(some)]
    scores = score_run(run.predictions, partly, run.splits, resamples=20)["task"]["os"]
    restricted = score_run(run.predictions, partly, run.splits, resamples=20, only=some)["task"]["os"]
    assert scores["model"]["fusion"]["n"] == 150
    assert scores["model"]["noise"]["n"] == 100
    one, other = (each["compare"]["fusion - noise"]["c_index"]["value"] for each in (scores, restricted))
    assert one == pytest.approx(other)


def test_runs_pool_as_repeats_and_compare_as_models(run):
    noise = run.baselines.query("model == 'noise'").drop(columns="model")
    first, second = ModelTable(run.predictions, run.splits), ModelTable(noise, run.splits)
    pooled = pool_runs([first, first])
    assert pooled.predictions["repeat"].nunique() == 4
    compared = compare_runs({"a": pooled, "b": second}, resamples=50)["task"]["os"]
    alone = compare_runs({"a": first}, resamples=50)["task"]["os"]
    assert compared["model"]["a"]["c_index"] == pytest.approx(alone["model"]["a"]["c_index"])
    assert compared["compare"]["a - b"]["c_index"]["low"] > 0


def test_summary_has_a_row_per_model(metrics):
    rows = summary_table(metrics)
    models = ["fusion", "noise", "flat", "fusion_at_baseline"]
    assert [row["model"] for row in rows if row["score"] == "os C-index"] == models
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert rows[2]["baseline"] == "0.500 (0.500-0.500)"
    assert rows[3]["baseline"] == ""
    assert next(row["day 42"] for row in rows if row["score"] == "response AUROC").startswith("0.")


def test_a_thousand_resamples_of_all_metrics_take_seconds():
    run = fake_run(patients=300, repeats=1, folds=5)
    start = time.perf_counter()
    score_run(run.predictions, run.baselines, run.splits, resamples=1000)
    assert time.perf_counter() - start < 20.0
