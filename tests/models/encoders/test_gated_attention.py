"""Gated attention equals the formula of Ilse et al., sample by sample."""

import torch
from test_bag_contract import bag, make_bags, make_encoder


@torch.no_grad()
def test_agrees_with_a_loop() -> None:
    encoder, samples = make_encoder("gated_attention"), make_bags()
    for i, token_KD in enumerate(encoder(samples)):
        patch_RD = encoder.project(bag(samples, i).rows)
        gated = torch.tanh(encoder.attend(patch_RD)) * torch.sigmoid(encoder.gate(patch_RD))
        weight_R1 = encoder.score(gated).softmax(dim=0)
        torch.testing.assert_close(token_KD[0], encoder.mlp((weight_R1 * patch_RD).sum(dim=0)), rtol=1e-4, atol=1e-5)
