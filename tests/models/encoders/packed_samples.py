"""Packed samples for the tests of encoders, and what any encoder has to keep to."""

import torch

from fusion.models.base import Encoder
from fusion.types import Samples


def vectors(rows: torch.Tensor) -> Samples:
    """One row per sample."""
    return Samples(rows, torch.arange(len(rows) + 1), torch.arange(len(rows)))


def sets(rows: list[list[list[float]]], width: int) -> Samples:
    """A set of rows per sample, any of them empty."""
    counts = torch.tensor([len(sample) for sample in rows], dtype=torch.long)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    flat = [row for sample in rows for row in sample]
    return Samples(torch.tensor(flat, dtype=torch.float).reshape(-1, width), offsets, torch.arange(len(rows)))


def stirred(encoder: Encoder) -> Encoder:
    """The encoder as after training: what starts at zero would hide most of it from a test."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return encoder.eval()


def check_finite(encoder: Encoder, samples: Samples, dim: int) -> None:
    """Right shape, finite tokens and gradients, in training and out of it; the same answer twice out of it."""
    for training in (True, False):
        encoder.train(training).zero_grad()
        token_SKD = encoder(samples)
        assert token_SKD.shape == (len(samples.slot), encoder.num_tokens, dim)
        assert token_SKD.isfinite().all()
        token_SKD.square().sum().backward()
        gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
    torch.testing.assert_close(encoder(samples), encoder(samples), rtol=0, atol=0)


def taught(encoder: Encoder, train: tuple[Samples, torch.Tensor], test: tuple[Samples, torch.Tensor]) -> float:
    """Squared correlation of new labels with a linear read-out of the tokens, both trained on `train`."""
    torch.manual_seed(0)
    samples, label = train
    head = torch.nn.Linear(encoder.num_tokens * encoder(samples).shape[-1], 1)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=2e-2, weight_decay=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (head(encoder(samples).flatten(1)).squeeze(1) - label).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        found = head(encoder.eval()(test[0]).flatten(1)).squeeze(1)
    return float(torch.corrcoef(torch.stack([found, test[1]]))[0, 1].nan_to_num() ** 2)
