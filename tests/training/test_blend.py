"""Weights of plain models and network: the better one is believed, none is negative, and the prior holds the rest."""

import torch

from fusion.losses.cox import cox_nll
from fusion.training.blend import Blend, blended, choose_blend

PATIENTS = 150


def simulated(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True log hazard, time and event of patients with one visit."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(PATIENTS, 1, generator=generator)
    duration = torch.empty(PATIENTS, 1).exponential_(generator=generator) * torch.exp(-truth)
    return truth, duration, torch.rand(PATIENTS, 1, generator=generator) < 0.8


def chosen(plain: torch.Tensor, network: torch.Tensor, *, trust: float, direction: float = 1.0) -> Blend:
    _, duration, event = simulated()

    def total(outputs: torch.Tensor) -> torch.Tensor:
        return event.sum() * cox_nll(direction * outputs[:, 0, 0], duration[:, 0], event[:, 0])

    prior = torch.full((2, len(plain)), 1.0 / (len(plain) + 1))
    return choose_blend(
        total, plain, network, prior=prior, network_prior=1.0 / (len(plain) + 1), trust=trust, direction=direction
    )


def test_noise_is_not_believed_and_what_is_true_is():
    truth, _, _ = simulated()
    noise = torch.randn(PATIENTS, 1, generator=torch.Generator().manual_seed(5))
    weights = chosen(torch.stack([noise]), truth[..., None], trust=0.1)
    assert weights.network > 0.7
    assert weights.plain[0, 0] < 0.2
    weights = chosen(torch.stack([truth]), noise[..., None], trust=0.1)
    assert weights.plain[0, 0] > 0.7
    assert weights.network < 0.2


def test_no_weight_is_negative():
    truth, _, _ = simulated()
    weights = chosen(torch.stack([-truth, truth]), torch.zeros(PATIENTS, 1, 1), trust=0.1)
    assert weights.plain.min() >= 0
    assert weights.plain[0, 0] < 0.1


def test_full_trust_leaves_the_size_alone_to_choose():
    truth, _, _ = simulated()
    weights = chosen(torch.stack([truth, truth + 1.0]), truth[..., None], trust=1e7)
    assert torch.allclose(weights.plain[0], torch.tensor(weights.network), rtol=1e-2)
    assert 0.6 < weights.plain[0].sum() + weights.network < 1.4  # together they are the truth


def test_nothing_is_shrunk_to_nothing_by_noise_alone():
    noise = torch.randn(3, PATIENTS, 1, generator=torch.Generator().manual_seed(7))
    weights = chosen(noise[:2], noise[2][..., None], trust=100.0)
    assert weights.plain.sum() < 0.3


def test_direction_turns_the_plain_models_round():
    truth, _, _ = simulated()
    silent = torch.zeros(PATIENTS, 1, 1)
    up, down = chosen(truth[None], silent, trust=1.0), chosen(truth[None], silent, trust=1.0, direction=-1.0)
    torch.testing.assert_close(up.plain, down.plain, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(blended(truth[None], silent, up, 1.0), -blended(truth[None], silent, up, -1.0))
