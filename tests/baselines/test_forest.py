"""The forest keeps the baselines' contract, and steps aside where its library is not installed."""

import numpy as np
from sksurv.metrics import concordance_index_censored

from fusion.baselines import forest
from fusion.baselines.forest import Forest

TIMES = np.arange(30.0, 721.0, 90.0)


def test_signal_is_found_and_curves_are_curves(train, test):
    model = Forest(num_trees=60)
    assert model.applies(train, "os")
    estimate = model.fit(train, "os").predict(test, TIMES)
    assert ((estimate.survival >= 0) & (estimate.survival <= 1)).all()
    assert (np.diff(estimate.survival, axis=1) <= 0).all()
    rows, outcome = test.visit == 0, test.outcomes["os"]
    assert concordance_index_censored(outcome.event[rows], outcome.duration[rows], estimate.risk[rows])[0] > 0.55


def test_without_scikit_survival_it_is_left_out_with_a_notice(train, monkeypatch, caplog):
    monkeypatch.setattr(forest, "find_spec", lambda name: None)
    assert not Forest().applies(train, "os")
    assert "scikit-survival" in caplog.text
