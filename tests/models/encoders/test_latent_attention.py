"""Latent attention equals cross-attention written out, one sample and one latent at a time."""

import torch
from test_bag_contract import DIM, FEATURES, bag, make_bags, make_encoder

from fusion.models.encoders.latent_attention import LatentAttentionEncoder


@torch.no_grad()
def test_agrees_with_a_loop_that_projects_every_patch() -> None:
    encoder, samples = make_encoder("latent_attention"), make_bags()
    token_SKD = encoder(samples)
    for i in (0, 1, 3, 4):
        rows_RF = bag(samples, i).rows
        for k in range(encoder.num_tokens):
            weight_R = (rows_RF @ encoder.query[:, k]).softmax(dim=0)
            read_D = (weight_R[:, None] * encoder.project(rows_RF)).sum(dim=0)
            torch.testing.assert_close(token_SKD[i, k], encoder.mlp(read_D * encoder.read[k]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_attention_of_a_sample_sums_to_one() -> None:
    encoder, samples = make_encoder("latent_attention"), make_bags()
    weight_RL = encoder.attention(samples)
    torch.testing.assert_close(weight_RL[6:196].sum(dim=0), torch.ones(4))


def test_every_latent_gives_a_token() -> None:
    encoder = LatentAttentionEncoder(num_features=FEATURES, dim=DIM, num_latents=7)
    assert encoder.num_tokens == 7
    assert encoder(make_bags()).shape == (5, 7, DIM)
