"""Interval-censored likelihood: agrees with an integral of the density, and finds the hazard that scans blur."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from outcomes import exponential
from scipy.integrate import quad

from fusion.losses.cuts import bins_of, days_in_bins
from fusion.losses.interval_hazard import IntervalHazard, interval_nll
from fusion.losses.pc_hazard import PCHazard
from fusion.types import Outcome

CUTS = torch.tensor([50.0, 120.0, 300.0], dtype=torch.float64)


def seen_at_scans(outcome: Outcome, every: float) -> Outcome:
    """An event counts from the next scan on; follow-up ends with the last scan."""
    last = (outcome.duration / every).floor() * every
    found = torch.where(outcome.event, (outcome.duration / every).ceil() * every, outcome.duration)
    return replace(outcome, duration=found, last_free=torch.where(outcome.event, torch.minimum(last, found), found))


def test_chance_of_an_interval_is_the_integral_of_the_density():
    rng = np.random.default_rng(0)
    for _ in range(10):
        log_rates = rng.normal(-5, 1, 3)
        left, right = np.sort(rng.uniform(0, 300, 2))

        rates = np.exp(log_rates)

        def hazard(day: float, rates: np.ndarray = rates) -> float:
            return float(rates[np.searchsorted(CUTS.numpy(), day)])

        def density(day: float, hazard=hazard) -> float:
            breaks = [cut for cut in CUTS.tolist() if cut < day]
            return hazard(day) * np.exp(-quad(hazard, 0, day, points=breaks or None)[0])

        inside = [cut for cut in CUTS.tolist() if left < cut < right]
        chance = quad(density, left, right, points=inside or None)[0]
        ends = torch.tensor([[left], [right]], dtype=torch.float64)
        free, until = days_in_bins(CUTS, ends[0]), days_in_bins(CUTS, ends[1])
        bins, event = bins_of(CUTS, ends[1], torch.tensor([True]))
        found = interval_nll(torch.tensor(log_rates)[None], free, until - free, bins, event)
        assert float(torch.exp(-found)) == pytest.approx(chance, rel=1e-6)


def test_gradient_where_exact_censored_and_interval_meet():
    log_rates = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    right = torch.tensor([100.0, 100.0, 200.0]).double()
    left = torch.tensor([40.0, 100.0, 200.0]).double()
    free = days_in_bins(CUTS, left)
    bins, event = bins_of(CUTS, right, torch.tensor([True, True, False]))
    open_ = days_in_bins(CUTS, right) - free
    assert torch.autograd.gradcheck(lambda x: interval_nll(x, free, open_, bins, event), (log_rates,))


@pytest.mark.parametrize("unknown", [True, False])
def test_exact_days_give_piecewise_hazards(unknown: bool):
    outcome = exponential()
    if not unknown:
        outcome = replace(outcome, last_free=outcome.duration)
    weight = torch.rand(outcome.duration.shape)
    loss, exact = IntervalHazard(), PCHazard()
    loss.prepare(outcome, weight)
    exact.prepare(outcome, weight)
    used = torch.isfinite(exact.cuts)
    # half an event is held to another point
    torch.testing.assert_close(loss.level[:, used], exact.level[:, used], atol=2e-2, rtol=0.0)
    outputs = 0.3 * torch.randn(*outcome.duration.shape, 10)
    exact.load_state_dict(loss.state_dict())
    torch.testing.assert_close(loss(outputs, outcome, weight), exact(outputs, outcome, weight))


def test_rare_scans_do_not_feign_longer_control():
    truth = exponential(patients=3000, visits=1)
    outcome = seen_at_scans(truth, every=90.0)
    weight, times = torch.ones_like(truth.duration), torch.tensor([60.0, 200.0, 400.0])
    survival = {}
    for loss in (IntervalHazard(), PCHazard()):
        loss.prepare(outcome, weight)
        survival[type(loss)] = loss.predict(torch.zeros(1, 1, 10), times).survival[0, 0]
    expected = torch.exp(-times / 300)
    torch.testing.assert_close(survival[IntervalHazard], expected, atol=0.03, rtol=0.0)
    assert (survival[PCHazard] > expected + 0.04).any()


def test_found_later_than_any_in_training_counts_as_free_until_the_scan_before():
    outcome, loss = exponential(), IntervalHazard()
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    one, yes = torch.ones(1, 1), torch.tensor([[True]])
    late = Outcome(1e5 * one, yes, yes, last_free=100 * one)
    censored = Outcome(100 * one, ~yes, yes)
    outputs = torch.zeros(1, 1, 10)
    torch.testing.assert_close(loss(outputs, late, one), loss(outputs, censored, one))
