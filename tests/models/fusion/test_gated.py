"""Gated fusion: gates start open at one, know what is there, and can shut a modality out."""

import torch
from test_fusion_contract import MODALITY, make_fusion, make_tokens, without

from fusion.models.fusion.gated import Gated


def test_gates_start_at_one() -> None:
    gates = make_fusion("gated", trained=False).gates(make_tokens())
    assert torch.equal(gates, torch.ones_like(gates))


def test_the_gate_of_one_modality_depends_on_what_the_others_say() -> None:
    fusion, tokens = make_fusion("gated"), make_tokens()
    assert isinstance(fusion, Gated)
    less = without(tokens, (MODALITY == 0)[None])
    there_V = tokens.mask[:, MODALITY == 0].squeeze(1)
    before, after = fusion.gates(tokens)[:, 3], fusion.gates(less)[:, 3]
    assert (before[there_V] != after[there_V]).any(dim=1).all()
    assert torch.equal(before[~there_V], after[~there_V])
    assert ((before > 0) & (before < 2)).all()


def test_a_shut_gate_lets_nothing_through() -> None:
    fusion, tokens = make_fusion("gated", trained=False), make_tokens()
    fusion.outer.bias.data.view(4, -1)[0] = -100.0
    torch.testing.assert_close(fusion(tokens), fusion(without(tokens, (MODALITY == 0)[None])))
