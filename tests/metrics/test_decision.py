"""Net benefit agrees with hand-worked cases and with Kaplan-Meier, and never passes that of knowing the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines.datasets import load_lung

from fusion.metrics.decision import decision_statistics
from fusion.metrics.functional import censoring_weights
from fusion.survival import censoring_survival

KM_AT_A_YEAR = 0.409241624460064  # R survival, lung


def test_treating_all_is_kaplan_meier():
    table = load_lung()
    duration, event = table["time"].to_numpy(dtype=np.float64), table["status"].to_numpy() == 1
    horizon = np.array([365.0])
    case, control = (
        each[:, 0] for each in censoring_weights(duration, event, horizon, censoring_survival(duration, event))
    )
    once = np.ones((1, len(duration)))
    found = decision_statistics(np.full(len(duration), 0.6), case, control, once, thresholds=(0.5, 0.75))
    all_half = (1 - KM_AT_A_YEAR) - KM_AT_A_YEAR
    assert found["net_benefit_treat_all/0.5"][0] == pytest.approx(all_half, abs=1e-6)
    assert found["net_benefit/0.5"][0] == pytest.approx(all_half, abs=1e-6)
    assert found["net_benefit/0.75"][0] == 0.0
    assert found["net_benefit_treat_all/0.75"][0] == pytest.approx((1 - KM_AT_A_YEAR) - 3 * KM_AT_A_YEAR, abs=1e-6)


def test_by_hand_under_weights():
    # One true positive (drawn twice) and one false positive at a threshold of .25, whose odds are a third.
    probability, label = np.array([0.9, 0.3, 0.1]), np.array([1.0, 0.0, 1.0])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])
    found = decision_statistics(probability, label, 1 - label, weights, at="/365", thresholds=(0.25,))
    np.testing.assert_allclose(found["net_benefit/365/0.25"], [(1 - 1 / 3) / 3, (2 - 1 / 3) / 3])


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=1, max_size=25),
    st.sampled_from([0.1, 0.25, 0.5, 0.75]),
)
def test_no_model_beats_the_truth_or_the_share_of_cases(patients, threshold):
    probability = np.array([chance for chance, _ in patients])
    label = np.array([float(truth) for _, truth in patients])
    once = np.ones((1, len(patients)))
    name = f"net_benefit/{threshold:g}"
    found = decision_statistics(probability, label, 1 - label, once, thresholds=(threshold,))[name][0]
    known = decision_statistics(label, label, 1 - label, once, thresholds=(threshold,))[name][0]
    assert known == pytest.approx(label.mean())
    assert found <= known + 1e-12
