"""Late fusion: whatever it has learned, it is a sum over modalities."""

import torch
from test_fusion_contract import MODALITY, NUM_MODALITIES, make_fusion, make_tokens, without


def test_a_trained_fusion_is_the_sum_of_what_modalities_say_alone() -> None:
    fusion, tokens = make_fusion("late"), make_tokens()
    alone = [fusion(without(tokens, (index != MODALITY)[None])) for index in range(NUM_MODALITIES)]
    torch.testing.assert_close(fusion(tokens), torch.stack(alone).sum(dim=0))


def test_what_a_modality_says_alone_is_not_linear() -> None:
    fusion, tokens = make_fusion("late"), make_tokens()
    there = without(tokens, (MODALITY != 0)[None])
    twice = type(tokens)(2.0 * there.values, there.mask, MODALITY)
    none = fusion(without(tokens, torch.ones_like(tokens.mask)))
    assert not none.any()
    assert not torch.allclose(fusion(twice), 2.0 * fusion(there))
