"""Rotation keeps the model, folds are even, and the search finds the block that matters."""

import numpy as np
import pytest

from fusion.baselines import penalty
from fusion.baselines.newton import fit_ridge_cox
from fusion.baselines.penalty import inner_folds, rotate, square_root, tune_shares, variances
from fusion.baselines.ridge import CrossValidatedCox


def simulated(patients: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(patients, columns))
    duration = rng.exponential(np.exp(-features[:, 0]))
    return features, duration, rng.random(patients) < 0.8


@pytest.mark.parametrize("columns", [5, 60])
def test_rotation_is_the_same_model(columns):
    features, duration, event = simulated(40, columns)
    variance = np.random.default_rng(1).uniform(0.01, 0.1, columns)
    direct = fit_ridge_cox(features, duration, event, 1 / variance)
    rotated, back = rotate(features, variance)
    assert rotated.shape[1] <= min(40, columns)
    np.testing.assert_allclose(back @ fit_ridge_cox(rotated, duration, event, 1.0), direct, atol=1e-6)


@pytest.mark.parametrize("columns", [5, 60])
def test_variance_zero_leaves_a_column_out(columns):
    features, duration, event = simulated(40, columns)
    variance = np.full(columns, 0.1)
    variance[0] = 0.0
    rotated, back = rotate(features, variance)
    assert (back @ fit_ridge_cox(rotated, duration, event, 1.0))[0] == 0.0
    assert rotate(features, np.zeros(columns))[0].shape == (40, 0)


def test_folds_spread_events_evenly():
    event = np.random.default_rng(0).random(103) < 0.2
    fold = inner_folds(event)
    assert np.ptp(np.bincount(fold)) <= 1
    assert np.ptp(np.bincount(fold[event])) <= 1


def test_a_block_apart_is_shrunk_less_than_the_noise_beside_it():
    features, duration, event = simulated(150, 61)
    blocks = ["clinical", *["expression"] * 60]
    shares = tune_shares(features, blocks, CrossValidatedCox(duration, event), apart="clinical")
    assert shares["clinical"] >= 0.4
    assert shares["expression"] <= 0.12
    variance = variances(blocks, shares)
    assert variance[0] == shares["clinical"]
    assert np.isclose(variance[1:].sum(), shares["expression"])


def test_noise_beside_no_signal_is_shrunk_away():
    features, duration, event = simulated(150, 40)
    scores = CrossValidatedCox(duration, event)
    blocks = [*["clinical"] * 9, *["expression"] * 30]
    assert sum(tune_shares(features[:, 1:], blocks, scores).values()) < 0.1
    assert sum(tune_shares(features[:, 1:], blocks, scores, apart="clinical").values()) < 0.3


def test_tuning_that_gives_up_on_ever_worse_models_finds_nearly_what_the_whole_grid_does(monkeypatch):
    features, duration, event = simulated(150, 40)
    scores, asked = CrossValidatedCox(duration, event), []

    def counted(columns, penalties):
        for score in scores(columns, penalties):
            asked.append(score)
            yield score

    found = {}
    for limit in (penalty.GIVE_UP, np.inf):
        monkeypatch.setattr(penalty, "GIVE_UP", limit)
        blocks = [*["clinical"] * 9, *["expression"] * 30]
        asked.clear()
        found[limit] = [tune_shares(features[:, 1:], blocks, counted, apart=apart) for apart in (None, "clinical")]
        found[limit].append(len(asked))
    (*early, steps), (*whole, all_steps) = found.values()
    for one, other in zip(early, whole, strict=True):
        assert one == pytest.approx(other, abs=0.002)
    assert steps < all_steps == 1 + len(penalty.VARIANCES) + 1 + 4 * (1 + len(penalty.VARIANCES))


@pytest.mark.parametrize("columns", [20, 90])
def test_a_square_root_of_the_design_is_scored_as_the_design_itself(columns):
    features, duration, event = simulated(60, columns)
    variance = np.full(features.shape[1], 0.02)
    scores = CrossValidatedCox(duration, event)
    penalties = (1.0, 0.5, 0.1)  # each goes on from the one before
    fast = list(scores(square_root(features, variance), penalties))
    plain = [next(scores(rotate(features, variance)[0], (each,))) for each in penalties]
    np.testing.assert_allclose(fast, plain, rtol=1e-4)
