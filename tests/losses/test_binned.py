"""Piecewise hazards, MTLR and DeepHit agree with slow plain references."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import competing, exponential

from fusion.losses.cuts import days_in_bins, marginal_incidence, mortality_cuts
from fusion.losses.deephit import DeepHit, ranking_loss
from fusion.losses.incidence import incidence_nll, probabilities
from fusion.losses.mtlr import MTLR
from fusion.losses.pc_hazard import PCHazard, pc_hazard_nll
from fusion.survival import aalen_johansen
from fusion.types import Outcome

TIMES = torch.tensor([0.0, 30.0, 90.0, 180.0, 365.0, 600.0, 5000.0])


def two_causes(num_bins: int = 10, ranking: float = 0.2) -> DeepHit:
    return DeepHit(num_causes=2, num_bins=num_bins, ranking=ranking)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 1000))
def test_piecewise_likelihood_is_the_definition(n: int, k: int, seed: int):
    """Day by day: the log hazard at the event less the integral of the hazard, by small steps."""
    rng = np.random.default_rng(seed)
    cuts = np.cumsum(rng.integers(1, 4, k)).astype(float)
    duration = rng.integers(1, int(cuts[-1]) + 1, n).astype(float)
    event, log_rates = rng.random(n) < 0.5, rng.normal(size=(n, k))
    total = 0.0
    for row, time, died in zip(log_rates, duration, event, strict=True):
        days = np.searchsorted(cuts, np.arange(1, time + 1))  # the bin of every whole day that was lived
        total += np.exp(row[days]).sum() - (row[days[-1]] if died else 0.0)
    bins = torch.tensor(np.searchsorted(cuts, duration))
    days = days_in_bins(torch.tensor(cuts), torch.tensor(duration))
    found = pc_hazard_nll(torch.tensor(log_rates), days, bins, torch.tensor(event))
    assert float(found) == pytest.approx(total / n, abs=1e-10)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 8), st.integers(1, 3), st.integers(1, 4), st.integers(0, 1000))
def test_likelihood_of_cause_and_bin_is_the_definition(n: int, j: int, k: int, seed: int):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, j, k))
    bins, cause = rng.integers(0, k, n), rng.integers(0, j + 1, n)
    bins[cause == 0] -= rng.integers(0, 2, (cause == 0).sum())
    total = 0.0
    for row, bin_, which in zip(logits, bins, cause, strict=True):
        whole = 1.0 + np.exp(row).sum()
        mine = np.exp(row[which - 1, bin_]) if which else 1.0 + np.exp(row[:, bin_ + 1 :]).sum()
        total -= np.log(mine / whole)
    found = incidence_nll(torch.tensor(logits), torch.tensor(bins), torch.tensor(cause))
    assert float(found) == pytest.approx(total / n, abs=1e-10)
    incidence, survival = probabilities(torch.tensor(logits))
    torch.testing.assert_close(incidence.sum(dim=1) + survival, torch.ones(n, k).double())


def test_mtlr_is_the_definition_of_yu():
    """Score of the sequence that turns from "later" to "by now" at bin k, over all K + 1 such sequences."""
    outcome, loss = exponential(patients=100), MTLR(num_bins=4)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    loss.level.zero_()
    outputs = torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(0))
    sequences = [[0.0] * k + [1.0] * (4 - k) for k in range(5)]
    score = torch.tensor(sequences) @ outputs[0, 0]
    survival = 1.0 - score.softmax(dim=0).cumsum(dim=0)[:4]
    torch.testing.assert_close(loss.predict(outputs, loss.cuts).survival[0, 0], survival)


def test_ranking_is_the_definition_of_lee():
    rng = np.random.default_rng(1)
    n, k, sigma = 12, 4, 0.2
    incidence = np.sort(rng.random((n, k)), axis=1)
    bins, event, weight = rng.integers(0, k, n), rng.random(n) < 0.6, rng.random(n)
    duration = bins + rng.random(n)
    total = pairs = 0.0
    for i, j in product(range(n), range(n)):
        if event[i] and duration[j] > duration[i]:
            gap = incidence[i, bins[i]] - incidence[j, bins[i]]
            total += weight[i] * weight[j] * np.exp(-gap / sigma)
            pairs += weight[i] * weight[j]
    found = ranking_loss(
        *(torch.tensor(values) for values in (incidence, duration, bins, event)),
        sigma=sigma,
        weight=torch.tensor(weight),
    )
    assert float(found) == pytest.approx(total / pairs)


@pytest.mark.parametrize("make", [DeepHit, two_causes])
def test_ranking_pulls_while_training_only(make):
    outcome, loss, without = competing(), make(), make(ranking=0.0)
    weight = torch.ones_like(outcome.duration)
    loss.prepare(outcome, weight)
    without.load_state_dict({**loss.state_dict()})
    outputs = torch.randn(*outcome.duration.shape, loss.num_outputs, generator=torch.Generator().manual_seed(0))
    assert float(loss(outputs, outcome, weight)) > float(without(outputs, outcome, weight)) + 0.01
    torch.testing.assert_close(loss.eval()(outputs, outcome, weight), without(outputs, outcome, weight))


def test_marginal_incidence_is_aalen_johansen():
    outcome = competing()
    duration, cause = outcome.duration[:, 0], outcome.cause[:, 0]
    cuts = mortality_cuts(duration, cause > 0, torch.ones_like(duration), 8)
    found = marginal_incidence(cuts, duration, cause, torch.ones_like(duration), 2).cumsum(dim=1)
    for which in (1, 2):
        curve = aalen_johansen(duration.double().numpy(), cause.numpy(), of=which)
        np.testing.assert_allclose(found[which - 1].numpy(), curve(cuts.numpy()), atol=1e-8)


def test_zeros_predict_aalen_johansen_and_all_sums_to_one():
    outcome, loss = competing(), two_causes()
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    prediction = loss.predict(torch.zeros(1, 1, loss.num_outputs), TIMES)
    for which in (1, 2):
        curve = aalen_johansen(outcome.duration[:, 0].double().numpy(), outcome.cause[:, 0].numpy(), of=which)
        found = prediction.incidence[0, 0, which - 1].numpy()
        np.testing.assert_allclose(found, curve(TIMES.double().numpy()), atol=0.02)
    drawn = loss.predict(2.0 * torch.randn(5, 3, loss.num_outputs), TIMES)
    torch.testing.assert_close(drawn.incidence.sum(dim=2) + drawn.survival, torch.ones(5, 3, len(TIMES)))
    assert (drawn.incidence.diff(dim=-1) >= -1e-6).all()
    assert (drawn.incidence[..., 0] == 0.0).all()


def test_risk_is_that_of_the_first_cause():
    outcome, loss = competing(), two_causes(num_bins=4)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    first, second = torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)
    first[..., :4], second[..., 4:] = 2.0, 2.0
    neither, more, other = (loss.predict(o, TIMES).risk for o in (torch.zeros(1, 1, 8), first, second))
    assert other < neither < more


def test_learns_which_cause_a_covariate_bears_on():
    generator = torch.Generator().manual_seed(2)
    covariate = (torch.rand(1500, 1, generator=generator) < 0.5).float()
    outcome, loss = competing(log_hazard=1.0 * covariate), two_causes(num_bins=6, ranking=0.0)
    weight = torch.ones_like(outcome.duration)
    loss.prepare(outcome, weight)
    slope = torch.zeros(loss.num_outputs, requires_grad=True)
    level = torch.zeros(loss.num_outputs, requires_grad=True)
    optimizer = torch.optim.Adam([slope, level], lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        loss(level + covariate[..., None] * slope, outcome, weight).backward()
        optimizer.step()
    outputs = torch.stack([level, level + slope]).detach()[:, None]
    incidence = loss.predict(outputs, torch.tensor([200.0])).incidence[:, 0, :, 0]
    rate = torch.tensor([[1 / 300, 1 / 600], [np.e / 300, 1 / 600]])
    truth = rate / rate.sum(1, keepdim=True) * (1 - torch.exp(-200 * rate.sum(1, keepdim=True)))
    torch.testing.assert_close(incidence, truth.float(), atol=0.06, rtol=0.0)


def test_more_causes_than_foreseen_are_refused():
    outcome = competing()
    outcome = Outcome(outcome.duration, outcome.event, outcome.at_risk, cause=outcome.cause + outcome.event)
    with pytest.raises(ValueError, match="num_causes"):
        two_causes().prepare(outcome, torch.ones_like(outcome.duration))


def test_rates_of_the_training_part_are_events_over_days():
    duration = torch.tensor([[10.0], [10.0], [20.0], [20.0]])
    event = torch.tensor([[True], [True], [True], [True]])
    loss = PCHazard(num_bins=2)
    loss.prepare(Outcome(duration, event, torch.ones_like(event)), torch.ones_like(duration))
    used = torch.isfinite(loss.cuts)
    assert loss.cuts[used].tolist() == [10.0, 20.0]
    expected = torch.tensor([(2 + 0.5 * 40 / 60) / 40, (2 + 0.5 * 20 / 60) / 20])
    torch.testing.assert_close(loss.level[0, used].exp(), expected)
