"""Intervals cover the truth, differences are paired, and what is uncertain says so."""

import numpy as np
import pytest

from fusion.metrics import bootstrap
from fusion.metrics.bootstrap import average, difference, figure, patient_weights, replicate
from fusion.metrics.weighted import auc, mean


def test_weights_draw_as_many_patients_as_there_are():
    weights = patient_weights(20, 50, seed=1)
    assert weights.shape == (51, 20)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 20).all()
    np.testing.assert_array_equal(weights, patient_weights(20, 50, seed=1))
    assert (weights != patient_weights(20, 50, seed=2)).any()


def test_interval_of_a_mean_has_the_width_of_its_standard_error():
    values = np.random.default_rng(0).standard_normal(400)
    weights = patient_weights(400, 2000, seed=0)
    result = figure(mean(weights.astype(float), values), events=400)
    assert result["value"] == pytest.approx(values.mean())
    assert result["high"] - result["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


def test_interval_of_auc_covers_the_truth():
    # Normal scores one standard deviation apart: AUC = Phi(1 / sqrt 2) = .7602.
    truth, covered, runs = 0.76025, 0, 120
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        label = np.arange(80) % 2 == 0
        score = generator.standard_normal(80) + label
        weights = patient_weights(80, 300, seed=seed).astype(float)
        group = np.zeros(80, dtype=np.int64)
        result = figure(auc(weights, score, label.astype(float), (~label).astype(float), group), events=40)
        covered += result["low"] <= truth <= result["high"]
    assert 0.88 <= covered / runs <= 0.99


def test_chunks_change_nothing(monkeypatch):
    weights, patients = patient_weights(12, 30, seed=0), np.array([1, 4, 7])
    values = np.array([1.0, 5.0, 2.0])
    whole = replicate(lambda weight: {"mean": mean(weight, values)}, weights, patients)["mean"]
    monkeypatch.setattr(bootstrap, "CHUNK", 10)
    monkeypatch.setattr(bootstrap, "FEWEST_WEIGHTINGS", 4)
    parts = replicate(lambda weight: {"mean": mean(weight, values)}, weights, patients)["mean"]
    np.testing.assert_allclose(parts, whole)


def test_repeats_are_averaged_weighting_by_weighting():
    repeats = [{"auc": np.array([0.6, 0.7])}, {"auc": np.array([0.8, np.nan])}]
    np.testing.assert_allclose(average(repeats)["auc"], [0.7, np.nan])


def test_paired_difference_is_sharper_than_the_parts():
    generator = np.random.default_rng(0)
    common = generator.standard_normal(200)
    first, second = common + 0.05 + 0.05 * generator.standard_normal(200), common
    weights = patient_weights(200, 500, seed=0).astype(float)
    one, two = mean(weights, first), mean(weights, second)
    result = difference(one, two, events=200)
    assert result["p"] == pytest.approx(2 / 501)
    assert result["low"] > 0
    alone = figure(one, events=200)
    assert result["high"] - result["low"] < 0.2 * (alone["high"] - alone["low"])


def test_no_difference_has_p_one():
    same = np.linspace(0.6, 0.7, 101)
    assert difference(same, same, events=50) == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_few_events_are_marked():
    assert figure(np.array([0.9, 0.8, 1.0]), events=9)["note"] == "too few events"
    assert "note" not in figure(np.array([0.9, 0.8, 1.0]), events=10)


def test_undefined_is_null_with_a_note_never_zero():
    nothing = figure(np.full(11, np.nan), events=0)
    assert nothing == {"value": None, "low": None, "high": None, "note": "undefined"}
    assert difference(np.full(11, np.nan), np.full(11, 0.5), events=0)["p"] is None


def test_an_interval_that_is_often_undefined_is_not_given():
    values = np.append(0.7, np.where(np.arange(100) < 30, np.nan, 0.6))
    result = figure(values, events=30)
    assert (result["value"], result["low"], result["note"]) == (0.7, None, "undefined in many resamples")
