"""Survival curves agree with R, lifelines and scikit-survival, and mean what they say."""

import lifelines
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lifelines.datasets import load_lung
from sksurv.datasets import load_veterans_lung_cancer
from sksurv.nonparametric import CensoringDistributionEstimator, cumulative_incidence_competing_risks

from fusion.survival import (
    aalen_johansen,
    breslow,
    censoring_survival,
    kaplan_meier,
    kaplan_meier_band,
    median,
    median_follow_up,
    nelson_aalen,
    number_at_risk,
    restricted_mean,
)


@pytest.fixture(scope="module")
def lung() -> tuple[np.ndarray, np.ndarray]:
    frame = load_lung()  # status 0 / 1 here, 1 / 2 in R
    return frame["time"].to_numpy(dtype=float).copy(), frame["status"].to_numpy(dtype=int) == 1


def random_durations(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.ceil(rng.exponential(20, n)), rng.random(n) < 0.6  # rounded up to whole days: many ties


def test_kaplan_meier_agrees_with_r(lung):
    curve = kaplan_meier(*lung)
    assert float(curve(365.0)) == pytest.approx(0.409241624460064, abs=1e-12)
    assert restricted_mean(curve, 365.0) == pytest.approx(263.221866482, abs=1e-8)
    assert median(curve) == 310.0  # R: survfit(Surv(time, status) ~ 1, lung)


def test_band_agrees_with_lifelines(lung):
    duration, event = lung
    oracle = lifelines.KaplanMeierFitter().fit(duration, event).confidence_interval_
    band = kaplan_meier_band(duration, event)
    times = oracle.index.to_numpy()[1:-1]
    np.testing.assert_allclose(band.lower(times), oracle.iloc[1:-1, 0], atol=1e-10)
    np.testing.assert_allclose(band.upper(times), oracle.iloc[1:-1, 1], atol=1e-10)


def test_band_has_limits_where_the_curve_reaches_zero():
    band = kaplan_meier_band(np.array([1.0, 2.0, 3.0]), np.array([True, True, True]))
    assert float(band.lower(3.0)) == 0.0
    assert float(band.upper(3.0)) == float(band.upper(2.0)) < 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_censoring_curve_lets_events_come_first_at_ties(seed):
    duration, event = random_durations(seed)
    outcome = np.array(list(zip(event, duration, strict=True)), dtype=[("event", bool), ("time", float)])
    oracle = CensoringDistributionEstimator().fit(outcome)
    times = np.unique(duration)
    np.testing.assert_allclose(censoring_survival(duration, event)(times), oracle.predict_proba(times), atol=1e-12)


def test_nelson_aalen_agrees_with_lifelines(lung):
    duration, event = lung
    oracle = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(duration, event).cumulative_hazard_
    times = oracle.index.to_numpy()[1:]
    np.testing.assert_allclose(nelson_aalen(duration, event)(times), oracle.iloc[1:, 0], atol=1e-12)


def test_breslow_agrees_with_its_definition_and_stays_finite():
    data, outcome = load_veterans_lung_cancer()
    duration = outcome["Survival_in_days"].astype(float)
    event = outcome["Status"].astype(bool)
    log_hazard = -0.03 * data["Karnofsky_score"].to_numpy(dtype=float)
    by_hand = [
        sum(1 / np.exp(log_hazard[duration >= time]).sum() for time in duration[event & (duration <= t)])
        for t in (50.0, 100.0, 200.0)
    ]
    curve = breslow(log_hazard, duration, event)
    np.testing.assert_allclose(curve(np.array([50.0, 100.0, 200.0])), by_hand, rtol=1e-12)
    far = breslow(log_hazard + 600.0, duration, event)
    np.testing.assert_allclose(far(100.0) * np.exp(600.0), curve(100.0), rtol=1e-10)


def test_aalen_johansen_agrees_with_scikit_survival():
    duration, event = random_durations(3)
    cause = np.where(event, 1 + (np.arange(len(event)) % 3 == 0), 0)
    times, oracle = cumulative_incidence_competing_risks(cause, duration)
    for of in (1, 2):
        np.testing.assert_allclose(aalen_johansen(duration, cause, of)(times), oracle[of], atol=1e-12)


def test_cumulative_incidences_and_survival_sum_to_one():
    duration, event = random_durations(4)
    cause = np.where(event, 1 + (np.arange(len(event)) % 2), 0)
    total = aalen_johansen(duration, cause, 1)(duration) + aalen_johansen(duration, cause, 2)(duration)
    np.testing.assert_allclose(total + kaplan_meier(duration, event)(duration), 1.0, atol=1e-12)


outcomes = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, n, elements=st.integers(1, 10).map(float)),
        hnp.arrays(np.bool_, n),
        hnp.arrays(np.int64, n, elements=st.integers(1, 4)),
    )
)


@settings(deadline=None)
@given(outcomes)
def test_weights_are_replication(drawn):
    duration, event, weight = drawn
    times = np.arange(0.0, 12.0)
    for function in (kaplan_meier, nelson_aalen):
        weighted = function(duration, event, weight.astype(np.float64))(times)
        replicated = function(np.repeat(duration, weight), np.repeat(event, weight))(times)
        np.testing.assert_allclose(weighted, replicated, atol=1e-12)


@settings(deadline=None)
@given(outcomes)
def test_survival_times_censoring_is_the_fraction_still_observed(drawn):
    duration, event, _ = drawn
    survival, censoring = kaplan_meier(duration, event), censoring_survival(duration, event)
    for t in range(12):
        assert float(survival(float(t)) * censoring(float(t))) == pytest.approx(np.mean(duration > t), abs=1e-12)


def test_no_event_and_no_patient_are_defined():
    censored = np.array([3.0, 4.0]), np.array([False, False])
    assert float(kaplan_meier(*censored)(10.0)) == 1.0
    assert median(kaplan_meier(*censored)) == float("inf")
    assert median_follow_up(*censored) == 3.0
    nobody = np.empty(0), np.empty(0, dtype=bool)
    assert float(kaplan_meier(*nobody)(10.0)) == 1.0
    assert float(nelson_aalen(*nobody)(10.0)) == 0.0


def test_left_limit_and_number_at_risk():
    duration, event = np.array([2.0, 4.0, 4.0]), np.array([True, True, True])
    curve = kaplan_meier(duration, event)
    assert float(curve.left(4.0)) == float(curve(3.0)) == pytest.approx(2 / 3)
    assert float(curve(4.0)) == 0.0
    np.testing.assert_array_equal(number_at_risk(duration, np.array([0.0, 2.0, 3.0, 5.0])), [3, 3, 2, 0])
