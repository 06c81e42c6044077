"""Stacking believes an assay as far as it predicts left-out patients, and asks nothing of what a patient lacks."""

import numpy as np
import pytest

from fusion.baselines.newton import fit_ridge_cox
from fusion.baselines.penalty import inner_folds
from fusion.baselines.ridge import RidgeCox
from fusion.baselines.stacking import StackedCox, fit_nonnegative_cox

MODALITY = ["clinical", "expression", "labs", "expression", "labs", "labs", "labs"]


def simulated(patients: int = 300, seed: int = 0) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    """Clinical and expression tell of the hazard, labs are noise; expression is known of two in three patients."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(patients, len(MODALITY)))
    duration = rng.exponential(np.exp(-0.8 * features[:, 0] - features[:, 1]))
    features[np.ix_(rng.random(patients) < 1 / 3, [1, 3])] = np.nan
    return features, MODALITY, duration, rng.random(patients) < 0.8


def test_a_modality_of_noise_adds_next_to_nothing():
    spread = []
    for seed in range(6):
        data = simulated(seed=seed)
        model = StackedCox().fit(*data)
        parts = zip(model.columns, model.models, model.weights, strict=True)
        spread.append([np.std(weight * part.log_hazard(data[0][:, columns])) for columns, part, weight in parts])
    clinical, expression, labs = np.array(spread).T
    assert min(clinical.min(), expression.min()) > 0.5
    assert labs.max() < 0.15  # chance alone makes noise look like something at times
    assert np.median(labs) < 0.1


def test_what_a_patient_lacks_adds_nothing_and_any_subset_adds_up():
    features, *rest = simulated()
    model = StackedCox().fit(features, *rest)
    complete = features[np.isfinite(features).all(axis=1)]
    alone = []
    for name in dict.fromkeys(MODALITY):
        only = np.where([owner == name for owner in MODALITY], complete, np.nan)
        alone.append(model.log_hazard(only))
    np.testing.assert_allclose(np.sum(alone, axis=0), model.log_hazard(complete))
    np.testing.assert_array_equal(model.log_hazard(np.full_like(complete, np.nan)), 0.0)
    assert np.abs(alone[1].mean()) < 0.15  # nothing is what an average patient adds


def test_one_modality_is_its_own_ridge_cox_but_for_a_weight():
    features, _, duration, event = simulated()
    alone = RidgeCox().fit(features[:, :1], ["clinical"], duration, event)
    stacked = StackedCox().fit(features[:, :1], ["clinical"], duration, event)
    np.testing.assert_allclose(
        stacked.log_hazard(features[:, :1]), stacked.weights[0] * alone.log_hazard(features[:, :1])
    )
    assert stacked.weights[0] == pytest.approx(1.0, abs=0.1)


def test_held_out_predictions_do_not_know_the_outcome_of_their_own_fold():
    features, modality, duration, event = simulated()
    model = RidgeCox().fit(features, modality, duration, event)
    fold = inner_folds(event)
    before = model.held_out(features, duration, event, fold)
    out = fold == 2
    after = model.held_out(features, np.where(out, duration[::-1], duration), event ^ out, fold)
    np.testing.assert_array_equal(after[out], before[out])
    assert not np.allclose(after[~out], before[~out])


def test_weights_below_zero_are_left_out():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3))
    duration, event = rng.exponential(np.exp(-features @ [1.0, 0.5, -1.0])), np.ones(200, dtype=np.bool_)
    weights = fit_nonnegative_cox(features, duration, event, 1.0)
    np.testing.assert_allclose(weights, [*fit_ridge_cox(features[:, :2], duration, event, 1.0), 0.0])
    turned = features * [1, 1, -1]
    np.testing.assert_allclose(
        fit_nonnegative_cox(turned, duration, event, 1.0), fit_ridge_cox(turned, duration, event, 1.0)
    )
    assert not fit_nonnegative_cox(-features[:, :2], duration, event, 1.0).any()
