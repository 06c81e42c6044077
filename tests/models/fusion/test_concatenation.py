"""Concatenation: absence is not the same as a token of zeros."""

import torch
from test_fusion_contract import DIM, MODALITY, make_fusion, make_tokens, without

from fusion.models.fusion.concatenation import Concatenation
from fusion.types import Tokens


def test_absence_can_be_told_from_a_token_of_zeros() -> None:
    fusion = make_fusion("concatenation")
    zeros = torch.zeros(1, 2, DIM)
    there = Tokens(zeros, torch.tensor([[True, True]]), torch.tensor([0, 1]))
    absent = Tokens(zeros, torch.tensor([[True, False]]), torch.tensor([0, 1]))
    assert not torch.allclose(fusion(there), fusion(absent))


def test_a_modality_counts_once_however_many_tokens_it_has() -> None:
    fusion, tokens = Concatenation(dim=DIM, num_modalities=4).eval(), make_tokens()
    slide_only = without(tokens, (MODALITY != 1)[None])
    mean = slide_only.values.sum(dim=1) / slide_only.mask.sum(dim=1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(fusion(slide_only), mean)
