"""Where a loss has a level, the scale of the outputs and the level settle together."""

from dataclasses import replace

import pytest
import torch
from aids import latent_state, make_batch, make_model

from fusion.losses.levels import AroundLevel
from fusion.losses.pc_hazard import PCHazard
from fusion.losses.weights import visit_weights
from fusion.training.ensemble import Ensemble
from fusion.types import Outcome

PATIENTS = 400


class SettledOnce(PCHazard):
    """Scale first, at the level of all patients alike; then the level."""

    rounds = 1


def least(make: type[AroundLevel], monkeypatch: pytest.MonkeyPatch) -> float:
    """By how much the calibrated outputs would still have to be scaled for the likelihood to be greatest."""
    batch, loss = make_batch(PATIENTS, complete=True), make(num_bins=1)
    generator = torch.Generator().manual_seed(0)
    log_hazard = 1.5 * latent_state(PATIENTS, 0)[:, :1].expand(-1, 3)
    duration = -torch.rand(PATIENTS, 3, generator=generator).log() * 100 * torch.exp(-log_hazard) + 0.1
    outcome = Outcome(duration.clamp_max(200.0), batch.visit_mask & (duration < 200.0), batch.visit_mask)
    batch = replace(batch, targets={"os": outcome})
    said = (log_hazard + 0.5 * torch.randn(PATIENTS, 3, generator=generator))[..., None]
    monkeypatch.setattr("fusion.training.ensemble.held_out_outputs", lambda *_: {"os": said})
    ensemble = Ensemble(make_member=make_model, losses={"os": loss}, task_weights={"os": 1.0}, num_members=2, seed=0)
    ensemble.prepare(batch)
    outputs = ensemble.calibrate(batch, torch.arange(PATIENTS) % 2)["os"]
    weight = visit_weights(batch.day, outcome.at_risk)
    scales = torch.linspace(0.7, 1.5, 41)
    losses = []
    for scale in scales:  # each at the level that suits it best
        loss.calibrate(scale * outputs, outcome, batch.day)
        losses.append(loss(scale * outputs, outcome, weight))
    return float(scales[torch.stack(losses).argmin()])


def test_scale_and_level_settle_together(monkeypatch: pytest.MonkeyPatch):
    assert least(PCHazard, monkeypatch) == pytest.approx(1.0, abs=0.021)
    assert abs(least(SettledOnce, monkeypatch) - 1.0) > 0.03
