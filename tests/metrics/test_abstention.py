"""Among the surest a good model is better, a coin is not, and the whole curve ends at the score of all."""

import numpy as np
import pandas as pd
import pytest
from fake_predictions import fake_run

from fusion.metrics.abstention import SHARES, response_abstention, surest, survival_abstention
from fusion.metrics.functional import concordance_index


def test_the_surest_are_those_with_the_greatest_confidence():
    confidence = np.array([0.2, 0.9, 0.9, 0.1, 0.5])
    assert surest(confidence, 0.4).tolist() == [1, 2]
    assert surest(confidence, 0.01).tolist() == [1], "at least one"
    assert surest(confidence, 1.0).tolist() == [0, 1, 2, 3, 4]


def test_of_a_calibrated_response_the_surest_are_better():
    run = fake_run(patients=800, repeats=1)
    curve = response_abstention(run.predictions)
    rows = run.predictions[(run.predictions["task"] == "response") & (run.predictions["visit"] == 0)]
    assert curve.values[-1] == pytest.approx(((rows["prob_responder"] - rows["label"]) ** 2).mean())
    assert curve.values[1] < curve.values[-1] - 0.05
    assert curve.gain == pytest.approx(curve.values[-1] - curve.area)
    assert curve.patients.tolist() == [round(share * 800) for share in SHARES]
    error = response_abstention(run.predictions, "error")
    assert error.values[-1] == pytest.approx(((rows["prob_responder"] >= 0.5) != (rows["label"] == 1)).mean())


def test_a_coin_gains_nothing():
    run = fake_run(patients=1000, repeats=1)
    generator = np.random.default_rng(0)
    coin = run.predictions.assign(prob_responder=generator.random(len(run.predictions)))
    curve = response_abstention(coin, "error")
    np.testing.assert_allclose(curve.values, 0.5, atol=0.1)


def test_survival_ends_at_the_c_index_and_takes_a_column_of_spread():
    run = fake_run(patients=300, repeats=2)
    predictions = run.predictions
    curve = survival_abstention(predictions, "os")
    rows = predictions[(predictions["task"] == "os") & (predictions["visit"] == 0) & (predictions["repeat"] == 0)]
    folds = [
        concordance_index(*(inside[name].to_numpy() for name in ("risk", "duration", "event")))
        for _, inside in rows.groupby("fold")
    ]
    assert curve.values[-1] == pytest.approx(np.mean(folds), abs=0.02)
    assert "distance of the risk" in curve.confidence
    noisy = predictions["patient_id"].str[-1].astype(int) >= 5
    generator = np.random.default_rng(1)
    shaken = predictions.assign(spread=noisy.astype(float))
    shaken["risk"] = shaken["risk"].where(~noisy, generator.standard_normal(len(shaken)) * 3)
    by_spread = survival_abstention(shaken, "os", spread="spread")
    half = by_spread.values[np.isclose(SHARES, 0.5)][0]
    assert half > by_spread.values[-1] + 0.05, "those on whom the ensemble agrees are ranked better"
    assert by_spread.confidence == "small spread"


def test_undefined_stays_undefined():
    run = fake_run(patients=30, repeats=1)
    quiet = run.predictions.assign(event=False)
    curve = survival_abstention(quiet, "os")
    assert np.isnan(curve.values).all()
    assert np.isnan(curve.area)


def test_what_cannot_be_answered_is_refused():
    run = fake_run(patients=30, repeats=1)
    with pytest.raises(ValueError, match="choose brier or error"):
        response_abstention(run.predictions, "auroc")
    with pytest.raises(ValueError, match="no response lies ahead"):
        response_abstention(run.predictions, visit=2)
    with pytest.raises(ValueError, match="no column width"):
        survival_abstention(run.predictions, "os", spread="width")
    with pytest.raises(ValueError, match="nobody is at risk"):
        survival_abstention(run.predictions, "pfs")
    assert isinstance(run.predictions, pd.DataFrame)
