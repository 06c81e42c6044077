"""Attention over risks: weights sum to one over what is there, and the head's risk is the weighted mean of risks."""

import torch
from test_fusion_contract import DIM, MODALITY, NUM_MODALITIES, make_fusion, make_tokens, without
from torch import nn

from fusion.models.fusion.risk_attention import RiskAttention
from fusion.models.layers import group_present


def test_weights_sum_to_one_over_what_is_there() -> None:
    fusion, tokens = make_fusion("risk_attention"), make_tokens()
    assert isinstance(fusion, RiskAttention)
    weights, present = fusion.weights(tokens), group_present(tokens.mask, MODALITY, NUM_MODALITIES)
    assert torch.equal(weights > 0, present)
    torch.testing.assert_close(weights.sum(dim=1), present.any(dim=1).float())


def test_the_risk_is_the_weighted_mean_of_the_risks_of_modalities_alone() -> None:
    fusion, tokens, head = make_fusion("risk_attention"), make_tokens(), nn.Linear(DIM, 1, bias=False)
    assert isinstance(fusion, RiskAttention)
    alone = [head(fusion(without(tokens, (index != MODALITY)[None]))) for index in range(NUM_MODALITIES)]
    risks = torch.cat(alone, dim=1)
    mean = (fusion.weights(tokens) * risks).sum(dim=1, keepdim=True)
    torch.testing.assert_close(head(fusion(tokens)), mean)


def test_a_fresh_fusion_is_the_mean_over_modalities() -> None:
    fusion, tokens = make_fusion("risk_attention", trained=False), make_tokens()
    single = without(tokens, (MODALITY == 1)[None])
    mean = single.values.sum(dim=1) / single.mask.sum(dim=1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(fusion(single), mean)
