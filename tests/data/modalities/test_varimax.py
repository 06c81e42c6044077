"""Varimax: the criterion is at its top, scores stay uncorrelated, and mixed processes come apart."""

import numpy as np

from fusion.data.modalities.components import fit_components
from fusion.data.modalities.varimax import rotated, varimax_rotation


def criterion(loadings: np.ndarray) -> float:
    return float(np.square(loadings).var(axis=0).sum())


def mixture(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values of 60 features, a third each on one of three processes, and the processes."""
    rng = np.random.default_rng(seed)
    processes = rng.normal(size=(200, 3))
    values = np.repeat(processes, 20, axis=1) + rng.normal(size=(200, 60))
    return (values - values.mean(axis=0)) / values.std(axis=0), processes


def test_no_small_turn_is_better() -> None:
    rng = np.random.default_rng(1)
    loadings = rng.normal(size=(30, 4)) * np.exp(rng.normal(size=(30, 1)))
    rotation = varimax_rotation(loadings)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(4), atol=1e-10)
    best = criterion(loadings @ rotation)
    assert best > criterion(loadings)
    for i, j in ((0, 1), (1, 3), (2, 3)):
        for angle in (-0.01, 0.01):
            turn = np.eye(4)
            turn[[i, j], [i, j]], turn[i, j], turn[j, i] = np.cos(angle), np.sin(angle), -np.sin(angle)
            assert criterion(loadings @ rotation @ turn) < best


def test_each_axis_is_one_process() -> None:
    values, processes = mixture()
    plain = fit_components(values, num=3)
    turned = rotated(plain)
    scores = turned.scores(values)
    np.testing.assert_allclose(scores.T @ scores / len(scores), np.eye(3), atol=1e-8)

    def alike(scores: np.ndarray) -> np.ndarray:
        return np.abs(np.corrcoef(scores.T, processes.T)[:3, 3:]).max(axis=1)

    assert alike(scores).min() > 0.95
    assert alike(plain.scores(values)).min() < 0.9


def test_what_is_spanned_stays() -> None:
    values, _ = mixture()
    plain = fit_components(values, num=5)
    turned = rotated(plain)
    np.testing.assert_allclose(np.linalg.norm(turned.loadings, axis=0), 1.0)
    one, other = plain.scores(values), turned.scores(values)
    np.testing.assert_allclose(np.square(one).sum(axis=1), np.square(other).sum(axis=1), rtol=1e-8)


def test_one_component_and_none_that_varies() -> None:
    values, _ = mixture()
    single = fit_components(values, num=1)
    np.testing.assert_allclose(rotated(single).loadings, single.loadings)
    assert np.isfinite(rotated(fit_components(np.zeros((4, 3)), num=2)).weights).all()
