"""Mean pooling equals a loop over the samples."""

import torch
from test_bag_contract import bag, make_bags, make_encoder


@torch.no_grad()
def test_agrees_with_a_loop() -> None:
    encoder, samples = make_encoder("mean_pool"), make_bags()
    for i, token_KD in enumerate(encoder(samples)):
        rows_RF = bag(samples, i).rows
        mean_F = rows_RF.mean(dim=0) if len(rows_RF) else torch.zeros(rows_RF.shape[1])
        torch.testing.assert_close(token_KD[0], encoder.mlp(encoder.project(mean_F)), rtol=1e-4, atol=1e-5)
