"""Boosted trees find what a linear model cannot, stop where nothing is to be found, and depend on their seed alone."""

import numpy as np
import pytest
from sksurv.metrics import concordance_index_censored

from fusion.baselines.boosting import BoostedCox
from fusion.baselines.ridge import RidgeCox


def crossed(patients: int, seed: int) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    """The hazard depends on whether two columns agree in sign, on neither by itself; three more are noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(patients, 5))
    duration = rng.exponential(np.exp(-1.5 * np.sign(features[:, 0] * features[:, 1])))
    return features, ["expression"] * 5, duration, rng.random(patients) < 0.8


def test_an_interaction_is_found():
    features, _, duration, event = crossed(400, seed=1)
    concordance = {}
    for model in (BoostedCox(max_trees=150, seed=0), RidgeCox()):
        risk = model.fit(*crossed(300, seed=0)).log_hazard(features)
        concordance[type(model)] = concordance_index_censored(event, duration, risk)[0]
    assert concordance[BoostedCox] > 0.65
    assert concordance[RidgeCox] < 0.55


@pytest.mark.parametrize("seed", [0, 2])
def test_number_of_trees_follows_the_signal(seed):
    features, *rest = crossed(300, seed)
    shuffled = np.random.default_rng(seed).permutation(features)
    found, nothing = (BoostedCox(max_trees=60, seed=0).fit(rows, *rest) for rows in (features, shuffled))
    assert found.trees.n_estimators > 40
    assert nothing.trees is None or nothing.trees.n_estimators < 20


def test_the_seed_alone_decides():
    data = crossed(100, seed=0)
    fits = [BoostedCox(max_trees=20, seed=seed).fit(*data).log_hazard(data[0]) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert not np.allclose(fits[0], fits[2])
