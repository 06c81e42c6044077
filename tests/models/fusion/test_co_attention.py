"""Co-attention: single tokens meet the slide, and each other only through it."""

import torch
from test_fusion_contract import MODALITY, make_fusion, make_tokens, without

from fusion.types import Tokens


def effect_of(fusion: torch.nn.Module, tokens: Tokens, modality: int, given: tuple[int, ...]) -> torch.Tensor:
    """What a modality adds where of the others those of `given` are there."""
    others = ~torch.isin(MODALITY, torch.tensor([modality, *given]))[None]
    with_it = without(tokens, others)
    return fusion(with_it) - fusion(without(with_it, (modality == MODALITY)[None]))


def test_single_tokens_meet_the_slide_and_not_each_other() -> None:
    fusion, tokens = make_fusion("co_attention"), make_tokens()
    torch.testing.assert_close(effect_of(fusion, tokens, 0, (1, 2, 3)), effect_of(fusion, tokens, 0, (1,)))
    both_V = tokens.mask[:, MODALITY == 0].any(dim=1) & tokens.mask[:, MODALITY == 1].any(dim=1)
    apart = effect_of(fusion, tokens, 0, (1,)) - effect_of(fusion, tokens, 0, ())
    assert (apart[both_V].abs().amax(dim=1) > 1e-4).all()


def test_where_no_modality_has_several_tokens_all_meet() -> None:
    fusion, tokens = make_fusion("co_attention"), make_tokens()
    columns = [0, 2, 4]
    single = Tokens(tokens.values[:, columns], tokens.mask[:, columns], MODALITY[columns])
    pair, one, other = [0, 1], [0], [1]
    part = {
        str(c): fusion(without(single, ~torch.isin(torch.arange(3), torch.tensor(c))[None])) for c in (pair, one, other)
    }
    both_V = single.mask[:, pair].all(dim=1)
    meeting = part["[0, 1]"] - part["[0]"] - part["[1]"]
    assert both_V.any()
    assert (meeting[both_V].abs().amax(dim=1) > 1e-4).all()
