"""What every encoder of bags promises: order and company change nothing, empty bags are finite, a fresh one is linear.

Dimension key: R patches, F features of a patch, S samples, K tokens, D width.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import nn

from fusion.models.base import Encoder
from fusion.models.encoders.gated_attention import GatedAttentionEncoder
from fusion.models.encoders.latent_attention import LatentAttentionEncoder
from fusion.models.encoders.mean_pool import MeanPoolEncoder
from fusion.models.encoders.mil_transformer import MILTransformerEncoder
from fusion.models.encoders.prototype_pool import PrototypePoolEncoder
from fusion.types import Samples

FEATURES, DIM = 6, 8
MAKERS: dict[str, Callable[..., Encoder]] = {
    "gated_attention": GatedAttentionEncoder,
    "latent_attention": LatentAttentionEncoder,
    "mean_pool": MeanPoolEncoder,
    "mil_transformer": MILTransformerEncoder,
    "prototype_pool": lambda **sizes: PrototypePoolEncoder(num_prototypes=3, components=4, **sizes),
    "prototype_pool_within": lambda **sizes: PrototypePoolEncoder(
        num_prototypes=3, components=4, within_components=2, **sizes
    ),
}

every_encoder = pytest.mark.parametrize("name", MAKERS)


def make_bags(counts: tuple[int, ...] = (5, 1, 0, 190, 3), seed: int = 0, width: int = FEATURES) -> Samples:
    g = torch.Generator().manual_seed(seed)
    offsets = torch.tensor([0, *counts]).cumsum(0)
    rows = torch.randn(int(offsets[-1]), width, generator=g) + 3 * torch.randint(
        0, 2, (int(offsets[-1]), 1), generator=g
    )
    return Samples(rows, offsets, 2 * torch.arange(len(counts)))


def bag(samples: Samples, index: int) -> Samples:
    """One sample alone."""
    rows = samples.rows[samples.offsets[index] : samples.offsets[index + 1]]
    return Samples(rows, torch.tensor([0, len(rows)]), samples.slot[index : index + 1])


def make_encoder(name: str, *, trained: bool = True, width: int = FEATURES) -> Encoder:
    """An encoder that has seen other bags; parameters that start at zero would hide most of it from the tests."""
    torch.manual_seed(0)
    encoder = MAKERS[name](num_features=width, dim=DIM)
    encoder.prepare(make_bags((60, 40, 20, 50), seed=9, width=width))
    if trained:
        for parameter in encoder.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return encoder.eval()


@every_encoder
@torch.no_grad()
def test_tokens_of_every_sample(name: str) -> None:
    encoder, samples = make_encoder(name), make_bags()
    assert encoder(samples).shape == (5, encoder.num_tokens, DIM)
    assert torch.equal(encoder(samples), encoder(samples))


@every_encoder
@torch.no_grad()
def test_the_order_of_patches_changes_nothing(name: str) -> None:
    encoder, samples = make_encoder(name), make_bags()
    turned = torch.cat([bag(samples, i).rows.flip(0) for i in range(5)])
    torch.testing.assert_close(encoder(replace(samples, rows=turned)), encoder(samples), rtol=1e-4, atol=1e-5)


@every_encoder
@torch.no_grad()
def test_other_samples_change_nothing(name: str) -> None:
    encoder, samples = make_encoder(name), make_bags()
    together = encoder(samples)
    for i in range(5):
        torch.testing.assert_close(encoder(bag(samples, i)), together[i : i + 1], rtol=1e-4, atol=1e-5)


@every_encoder
@pytest.mark.parametrize("counts", [(), (0,), (0, 0, 4), (4, 0)])
@pytest.mark.parametrize("training", [False, True])
def test_nothing_to_read_is_finite_also_in_its_gradient(name: str, counts: tuple[int, ...], training: bool) -> None:
    encoder = make_encoder(name).train(training)
    samples = make_bags(counts)
    rows = samples.rows.clone().requires_grad_()
    token_SKD = encoder(replace(samples, rows=rows))
    assert token_SKD.shape == (len(counts), encoder.num_tokens, DIM)
    assert token_SKD.isfinite().all()
    token_SKD.square().sum().backward()
    for tensor in (rows, *encoder.parameters()):
        assert tensor.grad is None or tensor.grad.isfinite().all()


@every_encoder
@torch.no_grad()
def test_it_needs_no_preparation_to_be_finite(name: str) -> None:
    encoder = MAKERS[name](num_features=FEATURES, dim=DIM).eval()
    assert encoder(make_bags()).isfinite().all()
    encoder.prepare(make_bags(()))
    assert encoder(make_bags()).isfinite().all()
    encoder.prepare(make_bags((0, 2, 0)))
    assert encoder(make_bags()).isfinite().all()


@every_encoder
@torch.no_grad()
def test_preparation_travels_with_the_weights_and_draws_nothing(name: str) -> None:
    encoder, fresh = make_encoder(name), MAKERS[name](num_features=FEATURES, dim=DIM).eval()
    fresh.load_state_dict(encoder.state_dict())
    assert torch.equal(fresh(make_bags()), encoder(make_bags()))
    before = torch.get_rng_state()
    encoder.prepare(make_bags(seed=4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["gated_attention", "latent_attention", "mean_pool", "mil_transformer"])
@torch.no_grad()
def test_a_fresh_one_is_a_linear_map_of_the_mean_patch(name: str) -> None:
    encoder, samples = make_encoder(name, trained=False), make_bags()
    expected_SD = torch.stack([encoder.project(bag(samples, i).rows.mean(dim=0)) for i in (0, 1, 3, 4)])
    torch.testing.assert_close(encoder(samples)[[0, 1, 3, 4], 0], expected_SD, rtol=1e-4, atol=1e-5)
    assert (encoder(samples)[:, 1:] == 0).all()


@every_encoder
def test_every_parameter_learns(name: str) -> None:
    encoder = make_encoder(name)
    encoder(make_bags()).square().sum().backward()
    for parameter, tensor in encoder.named_parameters():
        assert tensor.grad is not None, parameter
        assert tensor.grad.abs().sum() > 0, parameter


def needles(num: int, seed: int, patches: int = 80) -> tuple[Samples, torch.Tensor]:
    """Bags of two common kinds in changing parts; half of the bags have a third kind in 6 % of their patches.

    Every slide has its own stain, which moves all its patches and so hides the third kind from the mean.
    """
    g = torch.Generator().manual_seed(seed)
    label_S = torch.arange(num) % 2
    share_SR = torch.rand(num, patches, generator=g)
    kind_SR = (share_SR < 0.3 + 0.4 * torch.rand(num, 1, generator=g)).long()
    kind_SR[:, : int(0.06 * patches)] = torch.where(label_S == 1, 2, kind_SR[:, 0])[:, None]
    centre_KF = torch.zeros(3, FEATURES)
    centre_KF[0, 0], centre_KF[1, 1], centre_KF[2, 2] = 4.0, 4.0, 4.0
    stain_S1F = 0.5 * torch.randn(num, 1, FEATURES, generator=g)
    row_SRF = centre_KF[kind_SR] + stain_S1F + 0.7 * torch.randn(num, patches, FEATURES, generator=g)
    return Samples(row_SRF.flatten(0, 1), patches * torch.arange(num + 1), torch.arange(num)), label_S.float()


def auroc_of_needles(encoder: Encoder, steps: int = 150) -> float:
    """Area under the curve on new bags, after a few steps of training."""
    torch.manual_seed(1)
    samples, label_S = needles(120, seed=0)
    encoder.prepare(samples)
    head = nn.Linear(DIM, 1)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-2, weight_decay=0.1)
    encoder.train()
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(head(encoder(samples).sum(dim=1)).squeeze(1), label_S)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    encoder.eval()
    new, truth_S = needles(200, seed=1)
    with torch.no_grad():
        score_S = head(encoder(new).sum(dim=1)).squeeze(1)
    rank_S, positive_S = rankdata(score_S.numpy()), truth_S.numpy() == 1
    positives = positive_S.sum()
    return float((rank_S[positive_S].sum() - positives * (positives + 1) / 2) / (positives * (~positive_S).sum()))


def test_needles_are_found_where_the_mean_hides_them() -> None:
    torch.manual_seed(0)
    mean = auroc_of_needles(MeanPoolEncoder(num_features=FEATURES, dim=DIM))
    shares = auroc_of_needles(PrototypePoolEncoder(num_features=FEATURES, dim=DIM, num_prototypes=6, components=6))
    latents = auroc_of_needles(LatentAttentionEncoder(num_features=FEATURES, dim=DIM))
    assert mean < 0.75
    assert shares > 0.95
    assert latents > mean + 0.15


@every_encoder
def test_patches_are_dropped_in_training_alone(name: str) -> None:
    encoder, samples = make_encoder(name), make_bags()
    with torch.no_grad():
        quiet = encoder(samples)
        for module in encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        encoder.train()
        noisy = encoder(samples)
        if isinstance(encoder, PrototypePoolEncoder):  # it leaves parts of bags out
            encoder.patch_dropout = 0.0
        else:
            encoder.drop.share = 0.0
        whole = encoder(samples)
    assert not np.allclose(noisy[3], quiet[3])
    torch.testing.assert_close(noisy[[1, 2]], quiet[[1, 2]])  # one patch and none: nothing can be dropped
    torch.testing.assert_close(whole, quiet)
