"""Pairwise products: the short form agrees with a loop over all pairs of tokens."""

import itertools

import torch
from test_fusion_contract import MODALITY, make_fusion, make_tokens, without

from fusion.models.fusion.pairwise_products import PairwiseProducts


def test_agrees_with_a_loop_over_pairs() -> None:
    fusion, tokens = make_fusion("pairwise_products"), make_tokens()
    assert isinstance(fusion, PairwiseProducts)
    pairs = fusion.pairs(tokens.values * tokens.mask[..., None], tokens.modality)
    for visit in range(len(tokens.mask)):
        there = tokens.mask[visit].nonzero().squeeze(1).tolist()
        factor = {m: fusion.factor.weight[MODALITY[m]] @ tokens.values[visit, m] for m in there}
        expected = sum((factor[i] * factor[j] for i, j in itertools.combinations(there, 2)), torch.zeros(16))
        torch.testing.assert_close(pairs[visit], expected, atol=1e-5, rtol=1e-5)


def test_a_lone_token_has_no_partner() -> None:
    fusion, tokens = make_fusion("pairwise_products"), make_tokens()
    alone = without(tokens, (MODALITY != 0)[None])
    torch.testing.assert_close(fusion(alone), alone.values.sum(dim=1))


def test_tokens_of_one_modality_meet() -> None:
    """Two pathways of one sample may act together."""
    fusion, tokens = make_fusion("pairwise_products"), make_tokens()
    slide = without(tokens, (MODALITY != 1)[None])
    several_V = slide.mask.sum(dim=1) > 1
    meeting = fusion(slide) - slide.values.sum(dim=1)
    assert several_V.any()
    assert (meeting[several_V] != 0).all()
    assert not meeting[~several_V].any()
