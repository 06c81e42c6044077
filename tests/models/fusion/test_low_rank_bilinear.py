"""Low-rank fusion: agrees with a loop over modalities; an absent one has the factor one; many stay finite."""

import torch
from test_fusion_contract import DIM, MODALITY, NUM_MODALITIES, make_fusion, make_tokens

from fusion.models.fusion.low_rank_bilinear import LowRankBilinear
from fusion.types import Tokens


def test_agrees_with_a_loop_over_modalities() -> None:
    fusion, tokens = make_fusion("low_rank_bilinear"), make_tokens()
    assert isinstance(fusion, LowRankBilinear)
    products = fusion.products(tokens)
    for visit in range(len(tokens.mask)):
        expected = torch.ones(products.shape[1])
        for modality in range(NUM_MODALITIES):
            there = tokens.mask[visit] & (modality == MODALITY)
            if there.any():
                mean = tokens.values[visit, there].mean(dim=0)
                weight, bias = fusion.factor.weight[modality], fusion.factor.bias[modality]
                expected = expected * (1.0 + 0.5 * torch.tanh(weight @ mean + bias))
        torch.testing.assert_close(products[visit], expected - 1.0)


def test_twelve_modalities_of_large_tokens_stay_finite() -> None:
    fusion = make_fusion("low_rank_bilinear", num_modalities=12)
    values = (1e3 * torch.randn(6, 12, DIM)).requires_grad_()
    fused = fusion(Tokens(values, torch.ones(6, 12, dtype=torch.bool), torch.arange(12)))
    fused.sum().backward()
    assert torch.isfinite(fused).all()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
    assert fusion.products(Tokens(values, torch.ones(6, 12, dtype=torch.bool), torch.arange(12))).max() < 1.5**12
