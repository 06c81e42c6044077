"""Calibration: known distortions are measured as such, and D-calibration and net benefit agree with known answers."""

import numpy as np
import pytest
from known_cohorts import veteran

from fusion.metrics.binomial import inverse, transform
from fusion.metrics.calibration import (
    calibration,
    calibration_curve,
    calibration_distance,
    d_calibration,
    net_benefit,
    response_calibration_curve,
)
from fusion.metrics.functional import censoring_weights
from fusion.survival import breslow, censoring_survival

HORIZON = 365.0


@pytest.fixture(scope="module")
def cohort():
    """Proportional hazards, a third censored: true probability of an event by a year."""
    generator = np.random.default_rng(1)
    size = 6000
    rate = np.exp(0.9 * generator.standard_normal(size)) / 500
    event_time, censored_at = generator.exponential(1 / rate), generator.uniform(100, 1500, size)
    duration, event = np.minimum(event_time, censored_at), event_time <= censored_at
    return 1 - np.exp(-rate * HORIZON), duration, event, censoring_survival(duration, event)


def measured(cohort, probability):
    _, duration, event, censoring = cohort
    case, control = (each[:, 0] for each in censoring_weights(duration, event, np.array([HORIZON]), censoring))
    result = calibration(probability, case, control, np.ones((1, len(duration))), "cloglog")
    return {name: value[0] for name, value in result.items()}


def test_the_truth_is_calibrated(cohort):
    result = measured(cohort, cohort[0])
    assert result["calibration_slope"] == pytest.approx(1, abs=0.06)
    assert result["calibration_intercept"] == pytest.approx(0, abs=0.06)
    assert result["observed_expected"] == pytest.approx(1, abs=0.04)


def test_doubled_log_hazard_halves_the_slope(cohort):
    overfitted = inverse("cloglog", 2 * transform("cloglog", cohort[0]))
    assert measured(cohort, overfitted)["calibration_slope"] == pytest.approx(0.5, abs=0.03)
    _, duration, event, censoring = cohort
    assert calibration_curve(overfitted, duration, event, HORIZON, censoring).ici > 0.05


def test_halved_hazard_shows_in_the_intercept(cohort):
    too_low = inverse("cloglog", transform("cloglog", cohort[0]) - np.log(2))
    result = measured(cohort, too_low)
    assert result["calibration_intercept"] == pytest.approx(np.log(2), abs=0.06)
    assert result["calibration_slope"] == pytest.approx(1, abs=0.06)
    assert result["observed_expected"] > 1.3


def test_curve_of_the_truth_is_the_diagonal(cohort):
    probability, duration, event, censoring = cohort
    curve = calibration_curve(probability, duration, event, HORIZON, censoring)
    np.testing.assert_allclose(curve.observed, curve.predicted, atol=0.04)
    np.testing.assert_allclose(curve.smooth_observed, curve.smooth_predicted, atol=0.04)
    assert (curve.low <= curve.observed).all()
    assert (curve.observed <= curve.high).all()
    assert curve.ici < 0.015
    assert curve.e50 <= curve.e90


def test_curve_of_equal_predictions_has_one_group(cohort):
    _, duration, event, censoring = cohort
    curve = calibration_curve(np.full(len(duration), 0.4), duration, event, HORIZON, censoring)
    assert len(curve.predicted) == 1
    np.testing.assert_allclose(curve.smooth_observed, curve.observed[0], atol=0.01)


def test_response_curve():
    generator = np.random.default_rng(0)
    probability = generator.uniform(0.05, 0.95, 4000)
    curve = response_calibration_curve(probability, generator.random(4000) < probability)
    np.testing.assert_allclose(curve.observed, curve.predicted, atol=0.04)
    assert curve.ici < 0.02


@pytest.mark.parametrize(
    ("link", "slope", "intercept"),
    [("cloglog", 1.93418561816954, 0.582305037785763), ("logit", 2.48700425466875, 0.753298000297949)],
)
def test_slope_and_intercept_of_veteran_in_r(link, slope, intercept):
    cohort = veteran(ties="efron")
    karno, dead = cohort.design[cohort.event, 0], (cohort.duration[cohort.event] <= 100).astype(np.float64)
    chance = inverse("logit", 1.5 - 0.03 * karno)
    found = calibration(chance, dead, 1 - dead, np.ones((1, len(dead))), link)
    assert found["calibration_slope"][0] == pytest.approx(slope, abs=1e-6)
    assert found["calibration_intercept"][0] == pytest.approx(intercept, abs=1e-6)


def test_distance_of_equal_predictions_by_hand():
    # Three of four have the event and all were given .6.
    case = np.array([1.0, 1.0, 1.0, 0.0])
    for link in ("logit", "cloglog"):
        assert calibration_distance(np.full(4, 0.6), case, 1 - case, link) == pytest.approx((0.15,) * 3, abs=1e-6)
    nobody = np.zeros(0)
    assert np.isnan(calibration_distance(nobody, nobody, nobody, "logit")).all()


def test_nobody_is_undefined():
    nobody = np.zeros(0)
    result = calibration(nobody, nobody, nobody, np.ones((1, 0)), "cloglog")
    assert all(np.isnan(value).all() for value in result.values())


def test_d_calibration_of_veteran():
    cohort = veteran(ties="efron")
    hazard = breslow(cohort.risk, cohort.duration, cohort.event)(cohort.duration)
    statistic, p = d_calibration(np.exp(-hazard * np.exp(cohort.risk)), cohort.event)
    assert (statistic, p) == (pytest.approx(8.04323708, abs=1e-4), pytest.approx(0.529794906, abs=1e-5))


def test_d_calibration_tells_truth_from_optimism(cohort):
    probability, duration, event, _ = cohort
    rate = -np.log1p(-probability) / HORIZON
    assert d_calibration(np.exp(-rate * duration), event)[1] > 0.01
    assert d_calibration(np.exp(-0.6 * rate * duration), event)[1] < 1e-6


def test_d_calibration_spreads_the_censored():
    # Censored at S = .25 with 4 bins: all of its mass lies in the lowest bin; the events fill the other three.
    survival = np.array([0.2, 0.3, 0.6, 0.9])
    event = np.array([False, True, True, True])
    assert d_calibration(survival, event, bins=4)[0] == pytest.approx(0)


def test_net_benefit_by_hand():
    probability, label = np.array([0.9, 0.6, 0.4, 0.1]), np.array([1.0, 0.0, 1.0, 0.0])
    benefit = net_benefit(probability, label, 1 - label, np.array([0.2, 0.5]))
    np.testing.assert_allclose(benefit, [[2 / 4 - 1 / 4 * 0.25, 1 / 4 - 1 / 4 * 1.0]])


def test_net_benefit_of_treating_all_by_censoring_weights(cohort):
    _, duration, event, censoring = cohort
    case, control = (each[:, 0] for each in censoring_weights(duration, event, np.array([HORIZON]), censoring))
    share = case.mean()
    benefit = net_benefit(np.ones(len(duration)), case, control, np.array([0.25]))
    assert benefit[0, 0] == pytest.approx(share - (1 - share) / 3, abs=2e-3)
