"""Discrete-time hazards agree with their definition, and untrained they predict Kaplan-Meier."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.losses.discrete import LogisticHazard, logistic_hazard_nll
from fusion.survival import kaplan_meier
from fusion.types import Outcome


def by_hand(logits: np.ndarray, bins: np.ndarray, event: np.ndarray) -> float:
    """Row by row: log S(before the bin) + log hazard, or log S(through the bin)."""
    total = 0.0
    for row, last, died in zip(logits, bins, event, strict=True):
        hazard = 1 / (1 + np.exp(-row))
        survived = last if died else last + 1
        total += np.log(1 - hazard[:survived]).sum() + (np.log(hazard[last]) if died else 0.0)
    return -total / len(logits)


def outcome_of(patients: int = 300, visits: int = 2, scale: float = 300.0) -> Outcome:
    generator = torch.Generator().manual_seed(1)
    duration = (-torch.rand(patients, visits, generator=generator).log() * scale).ceil()
    censored = torch.rand(patients, visits, generator=generator) * 900
    at_risk = torch.rand(patients, visits, generator=generator) < 0.9
    return Outcome(duration=torch.minimum(duration, censored), event=duration <= censored, at_risk=at_risk)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 10), st.integers(1, 6), st.integers(0, 1000))
def test_likelihood_is_the_definition(n, k, seed):
    rng = np.random.default_rng(seed)
    logits, bins, event = rng.normal(size=(n, k)), rng.integers(0, k, n), rng.random(n) < 0.5
    loss = logistic_hazard_nll(torch.tensor(logits), torch.tensor(bins), torch.tensor(event))
    assert float(loss) == pytest.approx(by_hand(logits, bins, event), abs=1e-10)


def test_weights_are_replication():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator).double()
    bins, event = torch.tensor([0, 3, 2, 1, -1, 2]), torch.tensor([True, False, True, True, False, False])
    weight = torch.tensor([1, 2, 0, 3, 1, 2])
    replicated = [column.repeat_interleave(weight, dim=0) for column in (logits, bins, event)]
    loss = logistic_hazard_nll(logits, bins, event, weight=weight.double())
    torch.testing.assert_close(loss, logistic_hazard_nll(*replicated))


def test_gradient_and_connected_zero():
    logits = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    bins, event = torch.tensor([0, 1, 2, 2, -1]), torch.tensor([True, False, True, False, False])
    assert torch.autograd.gradcheck(lambda x: logistic_hazard_nll(x, bins, event), (logits,))
    empty = logistic_hazard_nll(logits[:0], bins[:0], event[:0])
    empty.backward()
    assert float(empty.detach()) == 0.0


def test_cuts_share_the_mortality_equally():
    outcome, loss = outcome_of(), LogisticHazard(num_bins=5)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    rows = outcome.at_risk
    curve = kaplan_meier(outcome.duration[rows].double().numpy(), outcome.event[rows].numpy())
    steps = -np.diff(np.concatenate([[1.0], curve(loss.cuts.double().numpy())]))
    np.testing.assert_allclose(steps, steps.mean(), atol=0.03)
    assert (loss.cuts.diff() > 0).all()


def test_untrained_head_predicts_kaplan_meier():
    outcome, loss = outcome_of(), LogisticHazard(num_bins=20)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    rows = outcome.at_risk
    curve = kaplan_meier(outcome.duration[rows].double().numpy(), outcome.event[rows].numpy())
    times = torch.tensor([0.0, 50.0, 150.0, 400.0, 700.0])
    survival = loss.predict(torch.zeros(1, 1, 20), times).survival[0, 0]
    np.testing.assert_allclose(survival.numpy(), curve(times.double().numpy()), atol=0.03)


def test_curve_falls_inside_bins_and_is_held_beyond_the_last():
    outcome, loss = outcome_of(), LogisticHazard(num_bins=4)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    last = float(loss.cuts[3])
    times = torch.cat([torch.linspace(0, last, 200), torch.tensor([last + 1, last * 9])])
    survival = loss.predict(torch.randn(2, 3, 4), times).survival
    assert (survival[..., 0] == 1.0).all()
    assert (survival[..., :200].diff(dim=-1) < 0).all()
    torch.testing.assert_close(survival[..., 199:200].expand(2, 3, 2), survival[..., 200:])


def test_higher_hazards_are_a_higher_risk():
    outcome, loss = outcome_of(), LogisticHazard(num_bins=4)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    risk = loss.predict(torch.tensor([-40.0, -1.0, 0.0, 1.0, 40.0])[None, :, None].repeat(1, 1, 4), outcome.duration[0])
    assert (risk.risk.diff() > 0).all()
    assert torch.isfinite(risk.risk).all()


def test_visits_not_at_risk_change_nothing():
    outcome, loss = outcome_of(), LogisticHazard(num_bins=4)
    weight = torch.rand(outcome.duration.shape)
    loss.prepare(outcome, weight)
    outputs = torch.randn(*outcome.duration.shape, 4)
    changed = torch.where(outcome.at_risk[..., None], outputs, torch.full_like(outputs, 9.0))
    torch.testing.assert_close(loss(changed, outcome, weight), loss(outputs, outcome, weight))


def test_few_event_times_leave_bins_unused():
    duration = torch.tensor([[10.0], [20.0], [20.0], [30.0]])
    event = torch.tensor([[True], [True], [False], [False]])
    outcome = Outcome(duration, event, torch.ones_like(event))
    loss = LogisticHazard(num_bins=6)
    loss.prepare(outcome, torch.ones_like(duration))
    assert loss.cuts.tolist() == [10.0, 20.0] + [float("inf")] * 4
    outputs = torch.zeros(4, 1, 6, requires_grad=True)
    loss(outputs, outcome, torch.ones_like(duration)).backward()
    assert (outputs.grad[..., 2:] == 0).all()
    assert torch.isfinite(loss.predict(outputs, torch.tensor([5.0, 15.0, 99.0])).survival).all()


def test_later_event_than_any_in_training_survived_every_bin():
    outcome, loss = outcome_of(), LogisticHazard(num_bins=4)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    ones = torch.ones(1, 1)
    late = [Outcome(1e5 * ones, torch.tensor([[died]]), torch.tensor([[True]])) for died in (True, False)]
    losses = [loss(torch.zeros(1, 1, 4), outcome, ones) for outcome in late]
    torch.testing.assert_close(losses[0], losses[1])


def test_state_and_order_of_life():
    outcome, fitted, fresh = outcome_of(), LogisticHazard(num_bins=4), LogisticHazard(num_bins=4)
    times, outputs = torch.tensor([90.0, 180.0]), torch.randn(2, 2, 4)
    with pytest.raises(ValueError, match="prepare"):
        fresh.predict(outputs, times)
    fitted.prepare(outcome, torch.ones_like(outcome.duration))
    fresh.load_state_dict(fitted.state_dict())
    torch.testing.assert_close(fresh.predict(outputs, times).survival, fitted.predict(outputs, times).survival)


def test_training_part_without_event_predicts_survival_near_one():
    outcome, loss = outcome_of(), LogisticHazard(num_bins=4)
    censored = Outcome(outcome.duration, torch.zeros_like(outcome.event), outcome.at_risk)
    loss.prepare(censored, torch.ones_like(outcome.duration))
    assert torch.isfinite(loss(torch.zeros(*outcome.duration.shape, 4), censored, torch.ones_like(outcome.duration)))
    assert (loss.predict(torch.zeros(1, 1, 4), torch.tensor([500.0])).survival > 0.99).all()
    nobody = Outcome(outcome.duration, outcome.event, torch.zeros_like(outcome.at_risk))
    with pytest.raises(ValueError, match="at risk"):
        loss.prepare(nobody, torch.ones_like(outcome.duration))
