"""Recalibration: known errors are found again, right predictions stay, order stays, curves stay curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.metrics.binomial import inverse, transform
from fusion.metrics.functional import concordance_index
from fusion.metrics.recalibration import (
    MODES,
    Recalibration,
    cumulative_hazard,
    fit_response,
    fit_survival,
    linear_predictor,
    recalibrated_probability,
    recalibrated_survival,
)

TIMES = np.arange(30.0, 1081.0, 30.0)
HORIZON = 365.0


def weibull_cohort(patients: int, seed: int) -> tuple[np.ndarray, ...]:
    """True log hazards, and outcomes of a Weibull model with them, under censoring."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=patients)
    time = 500.0 * (rng.exponential(size=patients) / np.exp(eta)) ** (1 / 1.3)
    censored = rng.uniform(100.0, 1500.0, patients)
    return eta, np.minimum(time, censored), time <= censored


def curves(eta: np.ndarray, intercept: float = 0.0, slope: float = 1.0) -> np.ndarray:
    """Survival of the same model on the grid, made wrong: H exp(-intercept), and eta / slope in place of eta."""
    return np.exp(-np.exp(eta / slope - intercept)[:, None] * (TIMES / 500.0) ** 1.3)


def fit(survival: np.ndarray, duration: np.ndarray, event: np.ndarray, mode: str = "both") -> Recalibration:
    end = np.minimum(duration, TIMES[-1])
    exposure = cumulative_hazard(survival, TIMES, end)
    predictor = linear_predictor(survival, TIMES, HORIZON)
    return fit_survival(predictor, exposure, event & (duration <= TIMES[-1]), np.arange(len(duration)), mode)


def test_a_known_error_is_found_again() -> None:
    eta, duration, event = weibull_cohort(20_000, seed=0)
    wrong = curves(eta, intercept=0.4, slope=0.7)
    fitted = fit(wrong, duration, event)
    # x = eta / 0.7 + const, so that b = 0.7 restores the spread; a is told at the centre of x.
    truth = 0.4 + (1 - 1 / 0.7) * eta.mean()
    assert abs(fitted.slope - 0.7) < 3 * fitted.slope_se
    assert abs(fitted.intercept - truth) < 3 * fitted.intercept_se
    assert 0.002 < fitted.slope_se < 0.02
    mended = recalibrated_survival(wrong, linear_predictor(wrong, TIMES, HORIZON), fitted)
    usual = np.abs(eta) < 2.5
    assert np.abs(wrong - curves(eta))[usual].max() > 0.15
    assert np.abs(mended - curves(eta))[usual].max() < 0.02


def test_standard_errors_are_those_of_repetition() -> None:
    """The spread of estimates over many cohorts is what each of them says of its own error."""
    found = [fit(curves(eta), duration, event) for eta, duration, event in (weibull_cohort(300, s) for s in range(200))]
    for name, ideal in (("intercept", 0.0), ("slope", 1.0)):
        values = np.array([getattr(each, name) for each in found])
        errors = np.array([getattr(each, f"{name}_se") for each in found])
        assert np.isclose(values.std(), errors.mean(), rtol=0.2)
        assert abs(values.mean() - ideal) < 0.02
        assert (np.abs(values - ideal) > 3 * errors).mean() < 0.03


def test_right_predictions_hardly_change() -> None:
    eta, duration, event = weibull_cohort(20_000, seed=1)
    right = curves(eta)
    for mode in MODES:
        fitted = fit(right, duration, event, mode)
        again = recalibrated_survival(right, linear_predictor(right, TIMES, HORIZON), fitted)
        assert np.abs(again - right).max() < 0.015


def test_intercept_is_observed_over_expected() -> None:
    """By hand: 12 events where 6 were expected is a shift of log 2, with error 1 / sqrt(12) up to its robust form."""
    event = np.array([True] * 12 + [False] * 12)
    exposure = np.full(24, 0.25)
    fitted = fit_survival(np.linspace(-1, 1, 24), exposure, event, np.arange(24), "intercept")
    assert np.isclose(fitted.intercept, np.log(2.0))
    assert fitted.slope == 1.0
    assert fitted.slope_se is None
    assert np.isclose(fitted.intercept_se, np.sqrt(24 * 0.25) / 12)
    assert (fitted.patients, fitted.events) == (24, 12)


def test_survival_agrees_with_a_poisson_regression() -> None:
    """The same likelihood, maximised by a general optimiser."""
    from scipy.optimize import minimize

    eta, duration, event = weibull_cohort(400, seed=2)
    wrong = curves(eta, intercept=-0.3, slope=1.4)
    x = linear_predictor(wrong, TIMES, HORIZON)
    end = np.minimum(duration, TIMES[-1])
    counted = event & (duration <= TIMES[-1])
    hazard = cumulative_hazard(wrong, TIMES, end)

    def loss(theta: np.ndarray) -> float:
        shift = theta[0] + theta[1] * (x - x.mean())
        return float((hazard * np.exp(shift) - counted * shift).sum())

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    fitted = fit(wrong, duration, event)
    np.testing.assert_allclose([fitted.intercept, fitted.slope - 1], best, atol=1e-5)


def test_response_agrees_with_logistic_regression() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    logit = rng.normal(size=2_000)
    label = rng.random(2_000) < inverse("logit", 0.5 + 0.6 * logit)
    probability = inverse("logit", logit)
    fitted = fit_response(probability, label, np.arange(2_000), "both")
    plain = sklearn.LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(
        transform("logit", probability)[:, None], label
    )
    slope, constant = float(plain.coef_[0, 0]), float(plain.intercept_[0])
    assert np.isclose(fitted.slope, slope, atol=1e-4)
    assert np.isclose(fitted.intercept, constant + (slope - 1) * fitted.centre, atol=1e-4)
    mended = recalibrated_probability(probability, fitted)
    assert np.isclose(mended.mean(), label.mean(), atol=1e-6), "an intercept makes the mean right"


def test_hazard_is_read_where_follow_up_ended() -> None:
    survival = np.exp(-TIMES / 400.0)[None, :]
    for day in (0.0, 10.0, 45.0, 1080.0):
        assert np.isclose(cumulative_hazard(survival, TIMES, np.array([day]))[0], day / 400.0)
    assert np.isnan(cumulative_hazard(survival, TIMES, np.array([1081.0]))[0])


def test_a_patient_counted_twice_is_no_second_patient() -> None:
    eta, duration, event = weibull_cohort(200, seed=4)
    survival = curves(eta)
    x, hazard = linear_predictor(survival, TIMES, HORIZON), cumulative_hazard(survival, TIMES, duration.clip(0, 1080))
    counted = event & (duration <= 1080)
    once = fit_survival(x, hazard, counted, np.arange(200), "both")
    twice = fit_survival(np.tile(x, 2), np.tile(hazard, 2), np.tile(counted, 2), np.tile(np.arange(200), 2), "both")
    for name in ("intercept", "slope", "intercept_se", "slope_se", "events", "patients"):
        assert np.isclose(getattr(once, name), getattr(twice, name)), name


@settings(deadline=None, max_examples=60)
@given(
    intercept=st.floats(-5, 5),
    slope=st.floats(0.01, 4),
    centre=st.floats(-3, 3),
    seed=st.integers(0, 2**16),
)
def test_curves_stay_curves_and_patients_keep_their_order(
    intercept: float, slope: float, centre: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=30)
    survival = curves(eta)
    survival[0] = 1.0  # nothing can happen
    survival[1, 5:] = 0.0  # nobody is left
    fitted = Recalibration(intercept, slope, None, None, centre, 30, 30)
    x = linear_predictor(survival, TIMES, HORIZON)
    after = recalibrated_survival(survival, x, fitted)
    assert ((after >= 0) & (after <= 1)).all()
    assert (np.diff(after, axis=1) <= 0).all()
    at = int(np.searchsorted(TIMES, HORIZON))
    duration, event = rng.exponential(size=28), np.ones(28, dtype=bool)
    inside = (after[2:, at] > 1e-12) & (after[2:, at] < 1 - 1e-12)  # beyond, doubles cannot tell patients apart
    if inside.sum() > 2:
        ranks = [
            concordance_index(-each[2:, at][inside], duration[inside], event[inside]) for each in (survival, after)
        ]
        assert ranks[0] == pytest.approx(ranks[1])
    probability = inverse("logit", eta)
    order = np.argsort(probability)
    assert (np.diff(recalibrated_probability(probability, fitted)[order]) >= 0).all()


def test_conditional_survival_changes_alike() -> None:
    """A power of a curve is a power of what is left of it: to recalibrate, and to condition, may change places."""
    survival = curves(np.array([0.3, -1.0]))
    fitted = Recalibration(0.4, 0.8, None, None, 0.1, 30, 30)
    x = linear_predictor(survival, TIMES, HORIZON)
    after = recalibrated_survival(survival, x, fitted)
    first = recalibrated_survival(survival / survival[:, :1], x, fitted)
    np.testing.assert_allclose(after / after[:, :1], first)


def test_refusals_name_the_remedy() -> None:
    event = np.array([True] * 9 + [False] * 40)
    rows = np.arange(49)
    with pytest.raises(ValueError, match=r"9 events are too few.*recalibration_fraction"):
        fit_survival(np.linspace(0, 1, 49), np.full(49, 0.1), event, rows, "both")
    with pytest.raises(ValueError, match=r"9 events are too few"):
        fit_response(np.linspace(0.2, 0.8, 49), ~event, rows, "both")
    many = np.arange(49) % 2 == 0
    with pytest.raises(ValueError, match=r"no slope; use intercept"):
        fit_survival(np.zeros(49), np.full(49, 0.1), many, rows, "slope")
    with pytest.raises(ValueError, match=r"no finite recalibration"):
        fit_response(np.where(many, 0.9, 0.1), many, rows, "both")
    with pytest.raises(ValueError, match=r"no finite recalibration"):
        fit_survival(np.linspace(0, 1, 49), np.zeros(49), many, rows, "intercept")
    order = np.arange(49) / 49.0
    with pytest.raises(ValueError, match=r"do not order these patients.*use intercept"):
        fit_response(0.2 + 0.6 * order, np.random.default_rng(0).random(49) > order, rows, "slope")
