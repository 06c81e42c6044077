"""Latent bottleneck: modalities meet through the latents and nowhere else."""

import torch
from test_fusion_contract import MODALITY, make_fusion, make_tokens, without

from fusion.models.fusion.latent_bottleneck import LatentBottleneck


def test_with_latents_that_read_nothing_modalities_do_not_meet() -> None:
    fusion, tokens = make_fusion("latent_bottleneck"), make_tokens()
    assert isinstance(fusion, LatentBottleneck)

    def meeting() -> torch.Tensor:
        alone = [fusion(without(tokens, (index != MODALITY)[None])) for index in range(4)]
        return fusion(tokens) - torch.stack(alone).sum(dim=0)

    assert meeting().abs().max() > 1e-2
    torch.nn.init.zeros_(fusion.gather.out.weight)
    torch.testing.assert_close(meeting(), torch.zeros_like(meeting()), atol=1e-5, rtol=0)


def test_latents_differ_at_the_start() -> None:
    """Equal latents would read the same and stay equal for ever."""
    fusion = make_fusion("latent_bottleneck", trained=False)
    assert torch.cdist(fusion.latent, fusion.latent)[~torch.eye(4, dtype=torch.bool)].min() > 1.0
