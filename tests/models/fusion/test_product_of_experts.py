"""Product of experts: agrees with Bayes' rule taken one expert after the other; the more experts, the surer."""

import torch
from test_fusion_contract import DIM, MODALITY, NUM_MODALITIES, make_fusion, make_tokens, without

from fusion.models.fusion.product_of_experts import MOST, ProductOfExperts


def test_agrees_with_one_update_after_the_other() -> None:
    """From the prior, each expert moves the mean by its share of what is known so far (a Kalman update)."""
    fusion, tokens = make_fusion("product_of_experts"), make_tokens()
    assert isinstance(fusion, ProductOfExperts)
    precisions, fused = fusion.precisions(tokens), fusion(tokens)
    for visit in range(len(tokens.mask)):
        mean, variance = torch.zeros(DIM), torch.ones(DIM)
        for modality in range(NUM_MODALITIES):
            there = tokens.mask[visit] & (modality == MODALITY)
            if there.any():
                noise = 1.0 / precisions[visit, modality]
                gain = variance / (variance + noise)
                mean = mean + gain * (tokens.values[visit, there].mean(dim=0) - mean)
                variance = (1.0 - gain) * variance
        torch.testing.assert_close(fused[visit], mean)


def test_nothing_known_is_the_prior() -> None:
    fusion, tokens = make_fusion("product_of_experts"), make_tokens()
    assert not fusion(without(tokens, torch.ones_like(tokens.mask))).any()


def test_precisions_are_bounded_and_zero_where_absent() -> None:
    fusion, tokens = make_fusion("product_of_experts"), make_tokens()
    assert isinstance(fusion, ProductOfExperts)
    precisions = fusion.precisions(type(tokens)(1e4 * tokens.values, tokens.mask, MODALITY))
    present_V = tokens.mask[:, MODALITY == 0].squeeze(1)
    assert not precisions[~present_V, 0].any()
    bound = torch.tensor(MOST).exp() * 1.0001
    assert ((precisions[present_V, 0] >= 1 / bound) & (precisions[present_V, 0] <= bound)).all()
