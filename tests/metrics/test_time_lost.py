"""Restricted means agree with R and lifelines, under weights, ties and no event at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines.datasets import load_lung
from lifelines.utils import restricted_mean_survival_time as lifelines_rmst

from fusion.metrics.time_lost import restricted_means, rmst_difference
from fusion.survival import kaplan_meier, restricted_mean


@pytest.fixture(scope="module")
def lung():
    """Durations, events, and men as high risk, women as low: R's women minus men."""
    table = load_lung()[["time", "status", "sex"]].dropna()
    duration, event = table["time"].to_numpy(dtype=np.float64), table["status"].to_numpy() == 1
    return duration, event, np.where(table["sex"].to_numpy() == 2, 0, 2)


def test_women_against_men_in_r(lung):
    duration, event, group = lung
    found = rmst_difference(np.ones((1, len(duration))), duration, event, group, 365.0)
    assert found[0] == pytest.approx(55.9703243399798, abs=1e-6)


def test_all_of_lung_in_r_and_in_lifelines(lung):
    from lifelines import KaplanMeierFitter

    duration, event, _ = lung
    found = restricted_means(np.ones((1, len(duration))), duration, event, 365.0)[0]
    assert found == pytest.approx(263.221866482, abs=1e-6)
    assert found == pytest.approx(lifelines_rmst(KaplanMeierFitter().fit(duration, event), t=365), abs=1e-6)


def test_weights_are_replication(lung):
    duration, event, _ = lung
    weights = np.random.default_rng(0).multinomial(len(duration), np.full(len(duration), 1 / len(duration)), size=3)
    found = restricted_means(weights.astype(float), duration, event, 500.0)
    for value, weight in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(len(duration)), weight)
        assert value == pytest.approx(restricted_mean(kaplan_meier(duration[rows], event[rows]), 500.0))


def test_a_group_that_is_not_followed_to_tau_is_undefined():
    duration, event, group = np.array([10.0, 20.0, 5.0]), np.array([True, False, True]), np.array([0, 0, 2])
    once = np.ones((1, 3))
    assert rmst_difference(once, duration, event, group, 5.0)[0] == pytest.approx(0.0)
    assert np.isnan(rmst_difference(once, duration, event, group, 6.0)).all()
    assert np.isnan(rmst_difference(once, duration, event, np.array([0, 0, 1]), 5.0)).all()
    assert np.isnan(restricted_means(np.zeros((1, 3)), duration, event, 5.0)).all()


@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=20),
    st.integers(1, 40),
)
def test_it_lies_between_zero_and_tau_and_grows_with_it(patients, tau):
    duration = np.array([float(day) for day, _ in patients])
    event = np.array([happened for _, happened in patients])
    once = np.ones((1, len(patients)))
    value = restricted_means(once, duration, event, float(tau))[0]
    assert 0.0 <= value <= tau + 1e-9
    assert restricted_means(once, duration, event, tau + 1.0)[0] >= value - 1e-9
    if not event.any():
        assert value == pytest.approx(tau)
