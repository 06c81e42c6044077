"""Survival metrics against R, scikit-survival, lifelines, hand-worked cases, and what must not change them."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_cohorts import gbsg2, lung_cc, veteran

from fusion.metrics.functional import (
    brier_score,
    concordance_index,
    concordance_index_uno,
    cumulative_dynamic_auc,
    integrated_brier_score,
    scaled_brier,
)
from fusion.survival import StepFunction, breslow, censoring_survival

NO_CENSORING = StepFunction(times=np.array([]), values=np.array([]), start=1.0)


def tied_cohort(seed, size=60, days=15, levels=8):
    generator = np.random.default_rng(seed)
    duration = generator.integers(1, days, size).astype(float)
    return generator.integers(0, levels, size).astype(float), duration, generator.random(size) < 0.6


def untied_cohort(seed, size=80):
    generator = np.random.default_rng(seed)
    risk = generator.standard_normal(size)
    event_time = generator.exponential(np.exp(-risk))
    censored_at = generator.exponential(2.0, size)
    return risk, np.minimum(event_time, censored_at), event_time <= censored_at


def pairs_one_by_one(risk, duration, event, weight):
    top = bottom = 0.0
    for i in range(len(risk)):
        for j in range(len(risk)):
            if event[i] and (duration[i] < duration[j] or (duration[i] == duration[j] and not event[j])):
                bottom += weight[i] * weight[j]
                top += weight[i] * weight[j] * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return top / bottom


class TestKnownAnswers:
    def test_lung_harrell(self):
        lung = lung_cc()
        assert (len(lung.event), lung.event.sum()) == (227, 164)
        assert concordance_index(lung.risk, lung.duration, lung.event) == pytest.approx(0.636200535705261, abs=1e-12)

    def test_lung_uno(self):
        lung = lung_cc()
        censoring = censoring_survival(lung.duration, lung.event)
        uno = concordance_index_uno(lung.risk, lung.duration, lung.event, censoring)
        assert uno == pytest.approx(0.625090208781565, abs=1e-12)

    def test_lung_auc(self):
        lung = lung_cc()
        censoring = censoring_survival(lung.duration, lung.event)
        area = cumulative_dynamic_auc(lung.risk, lung.duration, lung.event, [180, 365, 540], censoring)
        np.testing.assert_allclose(area, [0.697411568568, 0.642577586807, 0.665817659502], atol=1e-11)

    def test_veteran_brier(self):
        cohort, horizons = veteran(ties="breslow"), np.array([50.0, 100.0, 200.0])
        hazard = breslow(cohort.risk, cohort.duration, cohort.event)(horizons)
        survival = np.exp(-hazard * np.exp(cohort.risk)[:, None])
        censoring = censoring_survival(cohort.duration, cohort.event)
        scores = brier_score(survival, cohort.duration, cohort.event, horizons, censoring)
        np.testing.assert_allclose(scores, [0.157583574187, 0.179639139913, 0.161924582638], atol=1e-9)

    def test_gbsg2_brier(self):
        # scikit-survival weights by G(T), we by G(T-): a censoring on the day of an event moves the fifth digit.
        cohort, times = gbsg2(), np.arange(365.0, 1826.0)
        survival = np.exp(-breslow(cohort.risk, cohort.duration, cohort.event)(times) * np.exp(cohort.risk)[:, None])
        censoring = censoring_survival(cohort.duration, cohort.event)
        last = brier_score(survival[:, -1:], cohort.duration, cohort.event, [1825], censoring)
        assert last[0] == pytest.approx(0.20881843, abs=1e-4)
        integrated = integrated_brier_score(survival, cohort.duration, cohort.event, times, censoring)
        assert integrated == pytest.approx(0.1815853, abs=1e-4)


class TestAgreement:
    @pytest.mark.parametrize("seed", range(10))
    def test_harrell_with_ties(self, seed):
        from lifelines.utils import concordance_index as of_lifelines
        from sksurv.metrics import concordance_index_censored

        risk, duration, event = tied_cohort(seed)
        ours = concordance_index(risk, duration, event)
        assert ours == pytest.approx(concordance_index_censored(event, duration, risk)[0], abs=1e-9)
        assert ours == pytest.approx(of_lifelines(duration, -risk, event), abs=1e-9)

    @pytest.mark.parametrize("seed", range(5))
    def test_weighted_pairs_one_by_one(self, seed):
        risk, duration, event = tied_cohort(seed, size=41)
        weight = np.random.default_rng(seed).random(41)
        expected = pairs_one_by_one(risk, duration, event, weight)
        assert concordance_index(risk, duration, event, weight) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize("seed", range(5))
    def test_weighted_by_censoring_without_ties(self, seed):
        from sksurv.metrics import brier_score as of_sksurv
        from sksurv.metrics import concordance_index_ipcw
        from sksurv.metrics import cumulative_dynamic_auc as auc_of_sksurv
        from sksurv.metrics import integrated_brier_score as ibs_of_sksurv
        from sksurv.util import Surv

        risk, duration, event = untied_cohort(seed)
        event, duration = event & (duration < 1.25), np.minimum(duration, 1.25)  # scikit-survival asks for G > 0
        _, train_duration, train_event = untied_cohort(seed + 100)
        train, test = Surv.from_arrays(train_event, train_duration), Surv.from_arrays(event, duration)
        censoring = censoring_survival(train_duration, train_event)
        times, tau = np.array([0.2, 0.5, 1.0]), 1.2

        uno = concordance_index_uno(risk, duration, event, censoring, tau)
        assert uno == pytest.approx(concordance_index_ipcw(train, test, risk, tau)[0], abs=1e-9)
        area = cumulative_dynamic_auc(risk, duration, event, times, censoring)
        np.testing.assert_allclose(area, auc_of_sksurv(train, test, risk, times)[0], atol=1e-9)
        survival = np.exp(-times * np.exp(risk)[:, None])
        ours = brier_score(survival, duration, event, times, censoring)
        np.testing.assert_allclose(ours, of_sksurv(train, test, survival, times)[1], atol=1e-9)
        integrated = integrated_brier_score(survival, duration, event, times, censoring)
        assert integrated == pytest.approx(ibs_of_sksurv(train, test, survival, times), abs=1e-9)


class TestByHand:
    def test_ties_in_time_and_risk(self):
        # Pairs: (0,1) concordant, (0,2) tied in risk, (0,3) concordant, (1,3) discordant, (2,3) concordant;
        # (1,2): both events on day 2, not comparable.
        value = concordance_index(risk=[3, 1, 3, 2], duration=[1, 2, 2, 2], event=[1, 1, 1, 0])
        assert value == pytest.approx((1 + 0.5 + 1 + 0 + 1) / 5)

    def test_constant_risk_is_one_half(self):
        _, duration, event = tied_cohort(0)
        assert concordance_index(np.zeros(60), duration, event) == 0.5

    def test_all_censored_is_undefined(self):
        assert np.isnan(concordance_index([1, 2, 3], [1, 2, 3], [0, 0, 0]))
        assert np.isnan(cumulative_dynamic_auc([1, 2], [5, 6], [0, 0], [4], NO_CENSORING)).all()

    def test_one_event(self):
        assert concordance_index([5, 9, 1, 2], [2, 1, 3, 4], [1, 0, 0, 0]) == 1.0

    def test_one_event_at_the_end_has_no_pair(self):
        assert np.isnan(concordance_index([5, 9], [2, 1], [1, 0]))

    def test_nobody(self):
        assert np.isnan(concordance_index([], [], []))

    def test_brier(self):
        # Dead by day 5 with survival .2; alive with .9; both known, so their squared errors are averaged.
        score = brier_score([[0.2], [0.9]], [3, 8], [1, 0], [5], NO_CENSORING)
        assert score[0] == pytest.approx((0.2**2 + 0.1**2) / 2)

    def test_brier_weights_come_from_the_censoring_curve(self):
        censoring = StepFunction(times=np.array([2.0]), values=np.array([0.5]), start=1.0)
        # Event on the day of the censoring: G(T-) = 1. The survivor stands for two.
        score = brier_score([[0.2], [0.9]], [2, 8], [1, 0], [5], censoring)
        assert score[0] == pytest.approx((0.2**2 / 1.0 + 0.1**2 / 0.5) / 2)

    def test_scaled_brier_of_the_reference_is_zero(self):
        assert scaled_brier(0.2, 0.2) == 0.0


class TestRefused:
    @pytest.mark.parametrize("broken", ["risk", "duration", "event"])
    def test_nan_names_the_remedy(self, broken):
        table = {"risk": [1.0, 2.0], "duration": [1.0, 2.0], "event": [1.0, 0.0]}
        table[broken][0] = float("nan")
        with pytest.raises(ValueError, match="leave those patients out"):
            concordance_index(**table)

    def test_event_of_two(self):
        with pytest.raises(ValueError, match="recode"):
            concordance_index([1, 2], [1, 2], [1, 2])

    def test_lengths(self):
        with pytest.raises(ValueError, match="lengths differ"):
            concordance_index([1, 2], [1, 2], [1, 0, 0])

    def test_beyond_the_follow_up_of_training(self):
        censoring = StepFunction(times=np.array([4.0]), values=np.array([0.0]), start=1.0)
        with pytest.raises(ValueError, match="earlier horizon"):
            brier_score([[0.5], [0.5]], [3, 8], [1, 0], [5], censoring)
        with pytest.raises(ValueError, match="lower `tau`"):
            concordance_index_uno([1, 2], [5, 8], [1, 0], censoring)

    def test_risk_given_as_survival(self):
        with pytest.raises(ValueError, match="not the risk"):
            brier_score([[1.5]], [3], [1], [5], NO_CENSORING)


cohorts = st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 6), st.booleans()), min_size=2, max_size=25)


class TestInvariances:
    @given(cohorts)
    def test_monotone_transform_changes_nothing(self, rows):
        risk, duration, event = (np.array(column) for column in zip(*rows, strict=True))
        first, second = (concordance_index(each, duration, event) for each in (risk, np.exp(risk / 3.0) - 7))
        assert first == pytest.approx(second, nan_ok=True)

    @given(cohorts)
    def test_sign_flip_gives_the_complement(self, rows):
        risk, duration, event = (np.array(column) for column in zip(*rows, strict=True))
        first, second = (concordance_index(each, duration, event) for each in (risk, -risk))
        assert first == pytest.approx(1 - second, nan_ok=True)

    @given(cohorts, st.randoms(use_true_random=False))
    def test_order_changes_nothing(self, rows, random):
        shuffled = random.sample(rows, len(rows))
        first, second = (concordance_index(*zip(*each, strict=True)) for each in (rows, shuffled))
        assert first == pytest.approx(second, nan_ok=True)

    @given(cohorts, st.data())
    def test_weights_are_replication(self, rows, data):
        # Copies of one patient are tied in time and risk: of an event never comparable, of a censoring neither.
        weight = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
        copies = [row for row, times in zip(rows, weight, strict=True) for _ in range(times)]
        if copies:
            risk, duration, event = zip(*rows, strict=True)
            weighted = concordance_index(risk, duration, event, weight)
            assert weighted == pytest.approx(concordance_index(*zip(*copies, strict=True)), nan_ok=True)

    @given(cohorts)
    def test_uno_without_censoring_curve_is_harrell(self, rows):
        risk, duration, event = zip(*rows, strict=True)
        uno = concordance_index_uno(risk, duration, event, NO_CENSORING)
        assert uno == pytest.approx(concordance_index(risk, duration, event), nan_ok=True)

    @given(cohorts)
    def test_auc_of_no_censoring_curve_counts_pairs(self, rows):
        risk, duration, event = (np.array(column) for column in zip(*rows, strict=True))
        case, control = event & (duration <= 3), duration > 3
        order = np.sign(risk[case][:, None] - risk[control])
        expected = (0.5 + 0.5 * order).mean() if order.size else np.nan
        area = cumulative_dynamic_auc(risk, duration, event, [3], NO_CENSORING)[0]
        assert area == pytest.approx(expected, nan_ok=True)


def test_fifty_thousand_patients_with_ties_take_less_than_a_second():
    risk, duration, event = tied_cohort(seed=0, size=50_000, days=1000, levels=500)
    start = time.perf_counter()
    value = concordance_index(risk, duration, event)
    assert time.perf_counter() - start < 1.0
    assert value == pytest.approx(0.5, abs=0.01)
