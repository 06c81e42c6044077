"""The bag transformer equals attention written out over all pairs of patches; places matter where it is told them."""

from dataclasses import replace

import pytest
import torch
from test_bag_contract import DIM, FEATURES, bag, make_bags
from torch.nn import functional

from fusion.models.encoders.mil_transformer import MILTransformerEncoder, waves


def make_transformer(**options: int) -> MILTransformerEncoder:
    torch.manual_seed(0)
    encoder = MILTransformerEncoder(num_features=FEATURES, dim=DIM, **options)
    for parameter in encoder.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return encoder.eval()


@pytest.mark.parametrize("coordinate_columns", [0, 2])
@torch.no_grad()
def test_agrees_with_attention_over_all_pairs(coordinate_columns: int) -> None:
    encoder, samples = make_transformer(coordinate_columns=coordinate_columns, num_layers=2, num_heads=2), make_bags()
    token_SKD = encoder(samples)
    for i in (0, 1, 3, 4):
        rows_RF = bag(samples, i).rows
        patch_RD = encoder.project(rows_RF[:, : FEATURES - coordinate_columns])
        if coordinate_columns:
            patch_RD = patch_RD + encoder.position(waves(rows_RF[:, -2:]))
        for attention, mlp in zip(encoder.attention, encoder.mlps, strict=True):
            query_RD, key_RD, value_RD = attention.query_key_value(attention.norm(patch_RD)).chunk(3, dim=1)
            read = []
            for head in (slice(0, DIM // 2), slice(DIM // 2, DIM)):
                kernel_RR = (functional.elu(query_RD[:, head]) + 1) @ (functional.elu(key_RD[:, head]) + 1).T
                read.append(kernel_RR / kernel_RR.sum(dim=1, keepdim=True) @ value_RD[:, head])
            patch_RD = mlp(patch_RD + attention.out(torch.cat(read, dim=1)))
        weight_R1 = encoder.score(patch_RD).softmax(dim=0)
        expected_D = encoder.mlp((weight_R1 * patch_RD).sum(dim=0))
        torch.testing.assert_close(token_SKD[i, 0], expected_D, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_where_a_patch_lies_matters_if_it_is_told() -> None:
    samples = make_bags((40, 40))
    moved = samples.rows.clone()
    moved[:40, -2:] = moved[:40, -2:].flip(0)  # the same patches at each other's places
    encoder = make_transformer(coordinate_columns=2)
    before, after = encoder(samples), encoder(replace(samples, rows=moved))
    assert not torch.allclose(before[0], after[0], atol=1e-4)
    torch.testing.assert_close(before[1], after[1])


@torch.no_grad()
def test_fresh_it_is_blind_to_places() -> None:
    torch.manual_seed(0)
    encoder, samples = MILTransformerEncoder(num_features=FEATURES, dim=DIM, coordinate_columns=2).eval(), make_bags()
    elsewhere = torch.cat([samples.rows[:, :-2], torch.randn(len(samples.rows), 2)], dim=1)
    torch.testing.assert_close(encoder(samples), encoder(replace(samples, rows=elsewhere)))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match=r"dim 8 is not a multiple of num_heads 3; change one of them"):
        make_transformer(num_heads=3)
