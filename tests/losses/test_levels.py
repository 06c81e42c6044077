"""Levels: first visits and later ones have their own, they are fitted around outputs, bins share a hazard ratio."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from outcomes import competing, dying_early, exponential

from fusion.losses.cuts import pooled
from fusion.losses.deephit import DeepHit
from fusion.losses.discrete import LogisticHazard
from fusion.losses.interval_hazard import IntervalHazard
from fusion.losses.levels import FEWEST_LATER, AroundLevel, rows_of_kinds
from fusion.losses.lognormal_aft import LogNormalAFT
from fusion.losses.mtlr import MTLR
from fusion.losses.pc_hazard import PCHazard
from fusion.losses.weibull_aft import WeibullAFT
from fusion.losses.weights import visit_weights
from fusion.survival import kaplan_meier
from fusion.training.blend import Blend, blended
from fusion.types import Outcome

Make = Callable[[], AroundLevel]
BINNED: list[Make] = [LogisticHazard, PCHazard, IntervalHazard, MTLR, DeepHit]
every_level = pytest.mark.parametrize("make", [*BINNED, WeibullAFT])


def days(outcome: Outcome) -> torch.Tensor:
    return 42.0 * torch.arange(outcome.duration.shape[1]).expand_as(outcome.duration)


def prepared(make: Make, outcome: Outcome) -> AroundLevel:
    loss = make()
    loss.prepare(outcome, visit_weights(days(outcome), outcome.at_risk))
    return loss


@every_level
def test_first_visits_and_later_ones_have_levels_of_their_own(make: Make):
    outcome = dying_early()
    loss = prepared(make, outcome)
    for _ in range(2):  # as prepared, and as calibrated
        first, second, third = loss.predict(torch.zeros(1, 3, loss.num_outputs), torch.tensor([60.0])).survival[0, :, 0]
        if make is not WeibullAFT:  # of which no form has a fifth die early and all others late
            assert float(first) == pytest.approx(0.8 * math.exp(-60 / 2000), abs=0.04)
        assert float(first) < 0.9
        assert float(second) == float(third) == pytest.approx(math.exp(-60 / 2000), abs=0.02)
        loss.calibrate(torch.zeros(*outcome.duration.shape, loss.num_outputs), outcome, days(outcome))


@every_level
def test_the_mean_of_the_curves_is_what_happened(make: Make):
    """However far from zero the mean of the outputs is; and the mean of curves is not the curve of the mean."""
    log_hazard = torch.randn(2000, 2, generator=torch.Generator().manual_seed(3))
    outcome = exponential(log_hazard)
    loss = prepared(make, outcome)
    outputs = (0.5 + (-log_hazard if make is WeibullAFT else log_hazard))[..., None].expand(2000, 2, loss.num_outputs)
    if make is MTLR:
        outputs = outputs / loss.num_outputs  # they are summed
    times = torch.tensor([90.0, 200.0, 400.0])
    rows = outcome.at_risk[:, 0]
    curve = kaplan_meier(outcome.duration[rows, 0].double().numpy(), outcome.event[rows, 0].numpy())
    truth = curve(times.double().numpy())
    before = loss.predict(outputs, times).survival[:, 0].mean(dim=0)
    loss.calibrate(outputs, outcome, days(outcome))
    after = loss.predict(outputs, times).survival[:, 0].mean(dim=0)
    np.testing.assert_allclose(after.numpy(), truth, atol=0.03)
    assert np.abs(before.numpy() - truth).max() > 0.06


@pytest.mark.parametrize("make", [PCHazard, IntervalHazard, DeepHit])
def test_what_all_bins_share_is_a_log_hazard_ratio(make: Make):
    """So a plain model can speak through the loss: `direction`."""
    loss = prepared(make, exponential())
    cuts = loss.cuts[torch.isfinite(loss.cuts)].float()
    plain, more = (loss.predict(torch.full((1, 2, loss.num_outputs), shift), cuts).survival for shift in (0.0, 0.7))
    assert (torch.as_tensor(loss.direction) == 1.0).all()
    torch.testing.assert_close(more, plain ** math.exp(0.7), atol=1e-4, rtol=1e-4)


def test_causes_share_a_log_hazard_ratio_each():
    """Twice the hazard of the second cause: the first comes less, as its hazard meets fewer."""
    outcome = exponential()
    cause = torch.where(torch.rand(outcome.duration.shape, generator=torch.Generator().manual_seed(0)) < 0.5, 1, 2)
    loss = DeepHit(num_causes=2, num_bins=10)
    loss.prepare(replace(outcome, cause=cause * outcome.event), torch.ones_like(outcome.duration))
    cuts = loss.cuts.float()
    shift = torch.tensor([0.0, math.log(2.0)]).repeat_interleave(10).expand(1, 2, 20)
    before, after = (loss.predict(outputs, cuts) for outputs in (torch.zeros(1, 2, 20), shift))
    hazard = loss.level[0].exp()
    expected = torch.exp(-(hazard[0] + 2 * hazard[1]).cumsum(0))
    torch.testing.assert_close(after.survival[0, 0], expected, atol=1e-4, rtol=1e-4)
    assert (after.incidence[0, 0, 0] < before.incidence[0, 0, 0]).all()
    assert (after.incidence[0, 0, 1] > before.incidence[0, 0, 1]).all()


@pytest.mark.parametrize("make", [LogisticHazard, PCHazard, DeepHit])
def test_a_bin_can_still_go_its_own_way(make: Make):
    """Coordinates, not a constraint: an output far enough from the others moves its bin alone."""
    loss = prepared(make, exponential())
    outputs = torch.zeros(1, 1, loss.num_outputs)
    outputs[..., 2] = 40.0
    outputs -= 40.0 / loss.num_outputs
    times = torch.cat([torch.zeros(1), loss.cuts[:4].float()])
    plain, moved = (-loss.predict(given, times).survival[0, 0].log().diff() for given in (0 * outputs, outputs))
    np.testing.assert_allclose((moved[[0, 1, 3]] / plain[[0, 1, 3]]).log().numpy(), 0.0, atol=0.45)
    assert moved[2] > 2.0 * plain[2]


def test_plain_models_speak_of_the_first_cause():
    outcome = competing()
    loss = DeepHit(num_causes=2, num_bins=10)
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    said = blended(torch.ones(1, 1, 1), torch.zeros(1, 1, 20), Blend(torch.full((2, 1), 0.7), 1.0), loss.direction)
    after = loss.predict(said, loss.cuts.float())
    hazard = loss.level[0].exp()
    expected = torch.exp(-(math.exp(0.7) * hazard[0] + hazard[1]).cumsum(0))
    torch.testing.assert_close(after.survival[0, 0], expected, atol=1e-4, rtol=1e-4)


def test_bins_that_are_not_used_have_no_say():
    used = torch.tensor([True, True, False])
    ends = [pooled(torch.tensor([1.0, 2.0, last]), used, 0.1)[:2] for last in (0.0, 100.0)]
    torch.testing.assert_close(*ends)


def test_few_events_after_later_visits_tell_nothing_of_their_own():
    outcome = dying_early()
    weight = torch.ones_like(outcome.duration)
    with_event = torch.nonzero(outcome.at_risk[:, 1] & outcome.event[:, 1])[:, 0]
    for patients, own in ((FEWEST_LATER - 1, False), (FEWEST_LATER, True)):
        rare = outcome.event.clone()
        rare[:, 1:] = False
        rare[with_event[:patients], 1] = True
        first, later = rows_of_kinds(replace(outcome, event=rare), weight)
        assert not first[:, 1:].any()
        assert bool(later[:, 0].any()) != own
        assert (later[:, 1:] == outcome.at_risk[:, 1:]).all()


@pytest.mark.parametrize("make", [LogisticHazard, PCHazard, DeepHit, WeibullAFT, LogNormalAFT])
def test_more_log_hazard_in_the_direction_of_the_loss_is_more_risk(make: Make):
    """Plain models speak in log hazards, through losses that do not."""
    loss = prepared(make, exponential())
    plain, more = (
        loss.predict(loss.direction * torch.full((1, 2, loss.num_outputs), shift), torch.tensor([90.0, 300.0]))
        for shift in (0.0, 0.7)
    )
    assert (more.risk > plain.risk + 0.3).all()
    ratio = more.survival.log() / plain.survival.log()
    assert ((ratio > 1.3) & (ratio < 3.0)).all()
