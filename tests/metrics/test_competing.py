"""Scores where another cause competes, against cases worked by hand and against Aalen-Johansen."""

import numpy as np
import pytest

from fusion.metrics.competing import Competing, incidence, observed_incidence
from fusion.metrics.survival import HeldOut, Training
from fusion.survival import aalen_johansen, censoring_survival, kaplan_meier


def held_out(duration: np.ndarray, event: np.ndarray, survival: np.ndarray, times: np.ndarray) -> HeldOut:
    size = len(duration)
    training = Training(censoring=censoring_survival(duration, event), survival=kaplan_meier(duration, event))
    return HeldOut(
        patient=np.arange(size),
        fold=np.zeros(size, dtype=np.int64),
        duration=duration,
        event=event,
        risk=np.zeros(size),
        risk_group=np.zeros(size, dtype=np.int64),
        survival=survival,
        times=times,
        training={0: training},
    )


def five_patients() -> Competing:
    """Died on day 1, transplanted on day 2, left on day 3, died on day 4, still there on day 6; asked for day 5."""
    duration, times = np.array([1.0, 2.0, 3.0, 4.0, 6.0]), np.array([5.0])
    cause = np.array([1, 2, 0, 1, 0])
    survival = np.linspace(0.5, 0.9, 5)[:, None]
    return Competing(
        cause=held_out(duration, cause == 1, survival, times), either=held_out(duration, cause > 0, survival, times)
    )


def test_weights_by_hand():
    case, control = five_patients().weights
    # follow-up alone is lost on day 3, by one of the three who are left: G is 2/3 from then on
    np.testing.assert_allclose(case[:, 0], [1, 0, 0, 1.5, 0])
    np.testing.assert_allclose(control[:, 0], [0, 1, 0, 0, 1.5])


def test_brier_by_hand():
    scored = five_patients()
    # both curves are one: whoever ends, ends by the cause
    np.testing.assert_allclose(scored.probability[:, 0], [0.5, 0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(scored.brier[:, 0], [0.25, 0.16, 0, 1.5 * 0.64, 1.5 * 0.01])


def test_reference_is_aalen_johansen():
    rng = np.random.default_rng(0)
    duration, cause = rng.integers(1, 30, size=200).astype(float), rng.integers(0, 3, size=200)
    times = np.array([0.5, 3.0, 10.0, 17.5, 29.0, 40.0])
    found = observed_incidence(kaplan_meier(duration, cause == 1), kaplan_meier(duration, cause > 0), times)
    np.testing.assert_allclose(found, aalen_johansen(duration, cause, 1)(times))


def test_incidence_of_two_constant_hazards():
    times = np.arange(1.0, 400.0)
    of_cause, of_other = 0.004, 0.002
    found = incidence(np.exp(-of_cause * times)[None], np.exp(-(of_cause + of_other) * times)[None])
    np.testing.assert_allclose(found[0], of_cause / 0.006 * (1 - np.exp(-0.006 * times)))


def test_without_another_cause_incidence_is_one_minus_survival():
    curve = np.sort(np.random.default_rng(1).uniform(size=(4, 9)), axis=1)[:, ::-1]
    np.testing.assert_allclose(incidence(curve, curve), 1 - curve)
    np.testing.assert_allclose(incidence(curve, np.ones_like(curve)), 1 - curve, err_msg="models that disagree")


def test_no_incidence_exceeds_one_where_curves_reach_zero():
    found = incidence(np.array([[0.5, 0.0, 0.0]]), np.array([[0.4, 0.0, 0.0]]))
    assert np.isfinite(found).all()
    assert (found <= 1 + 1e-12).all()


def test_other_patients_are_refused():
    one = five_patients()
    with pytest.raises(ValueError, match="same patients and days"):
        Competing(cause=one.either, either=one.cause)
