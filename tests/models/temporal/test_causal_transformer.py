"""Attention over visits agrees with a loop, and fades with the lag in days."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fusion.models.temporal.causal_transformer import CausalTransformer
from fusion.models.temporal.days import time_features

DIM, HEADS = 6, 2


def trained() -> CausalTransformer:
    torch.manual_seed(0)
    module = CausalTransformer(dim=DIM, num_heads=HEADS)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module.eval()


def one_by_one(module: CausalTransformer, visits: Tensor, day: Tensor) -> Tensor:
    width, out = DIM // HEADS, torch.zeros_like(visits)
    time = time_features(day)
    query_key = module.query_key(torch.cat([module.norm(visits), time], dim=-1))
    value = module.value(torch.cat([visits, time], dim=-1))
    slope = functional.softplus(module.start_H + module.shift_H)
    for b in range(visits.shape[0]):
        for t in range(visits.shape[1]):
            read = torch.zeros(DIM)
            for h in range(HEADS):
                part = slice(h * width, (h + 1) * width)
                key = query_key[b, : t + 1, DIM:][:, part]
                score = key @ query_key[b, t, :DIM][part] / width**0.5
                score = score - slope[h] * torch.log1p((day[b, t] - day[b, : t + 1]) / 21)
                weight = score.exp() / (1 + score.exp().sum())
                read[part] = weight @ value[b, : t + 1, part]
            out[b, t] = module.mlp(visits[b, t] + module.out(read))
    return out


def test_agrees_with_a_loop_over_patients_visits_and_heads() -> None:
    module, visits = trained(), torch.randn(3, 5, DIM)
    day = (60 * torch.rand(3, 5)).cumsum(dim=1)
    with torch.no_grad():
        out = module(visits, day, torch.ones(3, 5, dtype=torch.bool))
        torch.testing.assert_close(out, one_by_one(module, visits, day))


def test_score_falls_with_the_lag_and_not_at_all_on_one_day() -> None:
    fading = trained().fading(torch.tensor([[0.0, 7.0, 7.0, 5000.0]]))
    assert (fading[0, :, 3].diff()[:, [0, 2]] < 0).all()  # the further back, the more is taken
    assert not fading[0, :, 1, 1:3].any()
    assert fading.max() < 40


def test_heads_divide_the_width() -> None:
    with pytest.raises(ValueError, match="multiple of num_heads"):
        CausalTransformer(dim=6, num_heads=4)
