"""The losses of all members at once: whom a member leaves out has weight 0 in its loss and is as if absent."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from composed import ROOT
from hydra.utils import instantiate
from omegaconf import OmegaConf
from outcomes import competing, exponential

from fusion.data.dataset import select_target
from fusion.losses.base import ResponseLoss, SurvivalLoss
from fusion.types import Outcome, Response

PATIENTS, MEMBERS = 40, 3
Loss = SurvivalLoss | ResponseLoss

every_loss = pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs" / "loss").glob("*.yaml")))


def made(name: str) -> Loss:
    """A loss as its config has it."""
    loss: Loss = instantiate(OmegaConf.load(ROOT / "configs" / "loss" / f"{name}.yaml"))
    return loss


def target_for(loss: Loss) -> Outcome | Response:
    """Outcomes of two visits, with ties, causes, sites and open intervals, or labels of which some are not known."""
    generator = torch.Generator().manual_seed(0)
    shape = (PATIENTS, 2)
    if isinstance(loss, ResponseLoss):
        label = torch.randint(loss.num_classes, (*shape, 1), generator=generator)
        possible = torch.arange(4) == label if loss.num_classes == 4 else None
        return Response(
            label=label[..., 0].clamp_max(1), known=torch.rand(shape, generator=generator) < 0.8, possible=possible
        )
    outcome = exponential(patients=PATIENTS)
    duration = (outcome.duration / 60).ceil() * 60
    return replace(
        outcome,
        duration=duration,
        cause=competing(patients=PATIENTS).cause.expand(shape).clamp_min(1) * outcome.event,
        last_free=(duration - 30 * torch.randint(2, shape, generator=generator)).clamp_min(0.0),
        stratum=(torch.arange(PATIENTS) % 2)[:, None].expand(shape),
    )


def prepared(name: str) -> tuple[Loss, Outcome | Response]:
    loss = made(name)
    target = target_for(loss)
    loss.prepare(target, torch.ones(PATIENTS, 2))  # type: ignore[arg-type]
    return loss.double(), target


def drawn(loss: Loss) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(MEMBERS, PATIENTS, 2, loss.num_outputs, generator=generator, dtype=torch.float64)


def shares() -> torch.Tensor:
    """0 where a member leaves a patient out: every fifth one, and those with the longest and shortest follow-up too."""
    return (torch.arange(PATIENTS) % 5 != torch.arange(MEMBERS)[:, None]).double()


def gradient(loss: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss.sum(), outputs)[0]


@every_loss
def test_a_patient_left_out_is_as_if_absent(name: str):
    loss, target = prepared(name)
    outputs, share = drawn(loss).requires_grad_(True), shares()
    weight = torch.rand(PATIENTS, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = loss.each(outputs, target, weight * share[..., None])  # type: ignore[arg-type]
    grad = gradient(found, outputs)
    for member in range(MEMBERS):
        there = share[member].nonzero().squeeze(1)
        own = outputs.detach()[member, there].requires_grad_(True)
        alone = loss(own, select_target(target, there), weight[there])  # type: ignore[arg-type]
        torch.testing.assert_close(found[member], alone, rtol=1e-9, atol=1e-9, check_dtype=False)
        torch.testing.assert_close(grad[member, there], gradient(alone, own), rtol=1e-7, atol=1e-9)
        assert (grad[member][share[member] == 0] == 0).all()
        assert (grad[member, there] != 0).any()


@every_loss
@pytest.mark.parametrize("level", [-1e4, 1e4])
def test_what_a_member_says_of_them_is_not_looked_at(name: str, level: float):
    """Nothing holds down the outputs for patients that a member does not train on, so they may be of any size."""
    loss, target = prepared(name)
    share = shares()[..., None]
    usual = drawn(loss).float()
    far = torch.where(share[..., None] > 0, usual, level).requires_grad_(True)
    each = partial(loss.float().each, weight=share.float().expand(MEMBERS, PATIENTS, 2))
    found = each(far, target)  # type: ignore[arg-type]
    torch.testing.assert_close(found, each(usual, target))  # type: ignore[arg-type]
    usual.requires_grad_(True)
    grad, expected = gradient(found, far), gradient(each(usual, target), usual)  # type: ignore[arg-type]
    torch.testing.assert_close(grad, expected)
    assert torch.isfinite(grad).all()


@every_loss
def test_a_member_that_leaves_out_everyone_is_a_zero(name: str):
    loss, target = prepared(name)
    outputs, share = drawn(loss).requires_grad_(True), shares()
    share[1] = 0.0
    found = loss.each(outputs, target, share[..., None].expand(-1, -1, 2))  # type: ignore[arg-type]
    grad = gradient(found, outputs)
    assert float(found[1].detach()) == 0.0
    assert (grad[1] == 0).all()
    assert torch.isfinite(grad).all()
    assert torch.isfinite(found).all()
