"""The ridge Cox agrees with R (tests/reference/known_answers.R), with and without a penalty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from lifelines.datasets import load_lung, load_rossi

from fusion.baselines.newton import PartialLikelihood, fit_ridge_cox


def columns(frame, *names: str) -> np.ndarray:
    return frame[list(names)].to_numpy(dtype=float).copy()


@pytest.fixture(scope="module")
def lung():
    return load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna()


def outcome(lung) -> tuple[np.ndarray, np.ndarray]:
    return columns(lung, "time")[:, 0], columns(lung, "status")[:, 0] == 1


@pytest.mark.parametrize(
    ("ties", "coefficients", "log_likelihood"),
    [
        ("efron", [0.0170453318454113, -0.5132185171083844], -742.84824578377),
        ("breslow", [0.0170128891984432, -0.5125647915187186], -743.079654197999),
    ],
)
def test_lung_without_penalty(ties, coefficients, log_likelihood):
    lung = load_lung()
    features = columns(lung, "age", "sex")
    fitted = fit_ridge_cox(features, *outcome(lung), 0.0, ties=ties)
    np.testing.assert_allclose(fitted, coefficients, atol=1e-7)
    likelihood = PartialLikelihood(*outcome(lung), ties=ties)
    assert likelihood.value(features @ fitted) == pytest.approx(log_likelihood, abs=1e-8)


def test_lung_with_ridge(lung):
    fitted = fit_ridge_cox(columns(lung, "age", "sex", "ph.ecog"), *outcome(lung), 50.0)
    np.testing.assert_allclose(fitted, [0.0140059277447562, -0.2293009440716983, 0.2732032543799716], atol=1e-7)


def test_lung_with_weights(lung):
    fitted = fit_ridge_cox(columns(lung, "age", "sex"), *outcome(lung), 0.0, weight=columns(lung, "age")[:, 0] / 60)
    np.testing.assert_allclose(fitted, [0.0181021456427176, -0.5170457938810522], atol=1e-7)


def test_rossi_agrees_with_lifelines():
    rossi = load_rossi()
    oracle = CoxPHFitter().fit(rossi, "week", "arrest")
    features = rossi.drop(columns=["week", "arrest"]).to_numpy(dtype=float)
    duration, event = columns(rossi, "week")[:, 0], columns(rossi, "arrest")[:, 0] == 1
    fitted = fit_ridge_cox(features, duration, event, 0.0)
    np.testing.assert_allclose(fitted, oracle.params_.to_numpy(), atol=1e-6)
    assert PartialLikelihood(duration, event).value(features @ fitted) == pytest.approx(-658.747659446, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["efron", "breslow"]))
def test_derivatives_are_those_of_the_value(seed, ties):
    rng = np.random.default_rng(seed)
    features, beta = rng.normal(size=(20, 3)), rng.normal(size=3)
    duration, event = rng.integers(1, 7, 20).astype(float), rng.random(20) < 0.6
    likelihood = PartialLikelihood(duration, event, rng.uniform(0.5, 2.0, 20), ties)
    if not event.any():
        return
    gradient, hessian = likelihood.derivatives(features, features @ beta)
    step = 1e-5
    for j, unit in enumerate(np.eye(3) * step):
        up, down = features @ (beta + unit), features @ (beta - unit)
        slope = (likelihood.value(up) - likelihood.value(down)) / (2 * step)
        assert gradient[j] == pytest.approx(slope, abs=1e-5)
        curvature = likelihood.derivatives(features, up)[0] - likelihood.derivatives(features, down)[0]
        np.testing.assert_allclose(hessian[j], -curvature / (2 * step), atol=1e-5)


def test_penalty_per_column_shrinks_its_column(lung):
    features = columns(lung, "age", "sex", "ph.ecog")
    fitted = fit_ridge_cox(features, *outcome(lung), np.array([0.0, 1e9, 0.0]))
    alone = fit_ridge_cox(features[:, [0, 2]], *outcome(lung), 0.0)
    assert abs(fitted[1]) < 1e-6
    np.testing.assert_allclose(fitted[[0, 2]], alone, atol=1e-6)


def test_separation_is_finite_under_a_penalty_and_no_event_gives_zeros():
    duration, event = np.arange(1.0, 11.0), np.ones(10, dtype=bool)
    assert np.isfinite(fit_ridge_cox(-duration[:, None], duration, event, 0.1)).all()
    np.testing.assert_array_equal(fit_ridge_cox(duration[:, None], duration, ~event, 1.0), [0.0])
