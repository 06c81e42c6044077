"""Standardisation and components: neutral blanks, no division by nothing, finite whatever comes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fusion.data.modalities import components as components_module
from fusion.data.modalities.components import fit_components
from fusion.data.modalities.scaling import CLIP, fit_scaling

anything = arrays(np.float64, (6, 3), elements=st.floats(allow_nan=True, allow_infinity=True, width=64))


@given(training=anything, other=anything)
def test_finite_whatever_comes(training: np.ndarray, other: np.ndarray) -> None:
    for robust in (False, True):
        scaling = fit_scaling(training, robust=robust)
        standardised = scaling.standardise(other)
        assert np.isfinite(standardised).all()
        assert np.abs(standardised).max() <= CLIP
        components = fit_components(scaling.standardise(training), num=2)
        assert np.isfinite(components.scores(standardised)).all()


def test_known_values_alone_set_mean_and_sd() -> None:
    scaling = fit_scaling(np.array([[1.0, np.nan], [3.0, 7.0], [np.nan, 7.0]]))
    np.testing.assert_allclose(scaling.mean, [2, 7])
    np.testing.assert_allclose(scaling.sd, [1, 1])  # a constant feature is not divided by zero


def test_a_wild_value_does_not_set_the_sd_when_robust() -> None:
    values = np.append(np.linspace(-1, 1, 199), 1e6)[:, None]
    assert fit_scaling(values, robust=True).sd[0] < 1
    assert fit_scaling(values).sd[0] > 1e4


def test_components_find_the_planted_direction() -> None:
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(200, 1))
    loading = np.array([[1.0, -1.0, 0.5, 0.0]])
    values = factor @ loading + 0.1 * rng.normal(size=(200, 4))
    components = fit_components(values - values.mean(axis=0), num=2)
    truth = loading[0] / np.linalg.norm(loading)
    assert abs(components.loadings[:, 0] @ truth) > 0.99
    scores = components.scores(values - values.mean(axis=0))
    np.testing.assert_allclose(scores.std(axis=0), 1.0, rtol=1e-6)


def test_sign_of_components_is_no_matter_of_chance() -> None:
    values = np.random.default_rng(1).normal(size=(30, 5))
    values -= values.mean(axis=0)
    straight, turned = fit_components(values, num=3), fit_components(-values, num=3)
    np.testing.assert_allclose(straight.loadings, turned.loadings, atol=1e-10)


def test_no_component_beyond_the_rank() -> None:
    values = np.outer(np.array([-1.0, 0.0, 1.0]), np.ones(4))
    assert fit_components(values, num=3).loadings.shape == (4, 1)
    nothing = fit_components(np.zeros((1, 4)), num=3)
    assert np.isfinite(nothing.scores(np.ones((2, 4)))).all()


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (12, 12)])
def test_components_agree_with_the_svd(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(2).normal(size=shape)
    values -= values.mean(axis=0)
    components = fit_components(values, num=4)
    left, singular, _ = np.linalg.svd(values, full_matrices=False)
    scores = components.scores(values)
    np.testing.assert_allclose(np.abs(scores), np.abs(left[:, :4]) * np.sqrt(shape[0]), atol=1e-8)
    np.testing.assert_allclose(components.scale, singular[:4] / np.sqrt(shape[0]))


@pytest.mark.parametrize("shape", [(60, 45), (45, 60)])
def test_a_large_table_has_the_same_components(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(size=shape) * np.linspace(3, 1, shape[1])
    whole = fit_components(values - values.mean(axis=0), num=3)
    monkeypatch.setattr(components_module, "MOST_DECOMPOSED", 40)
    some = fit_components(values - values.mean(axis=0), num=3)
    np.testing.assert_allclose(some.scale, whole.scale, rtol=1e-10)
    np.testing.assert_allclose(some.loadings, whole.loadings, atol=1e-7)
