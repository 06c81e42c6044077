"""Periodic encoding: linear at the start, silent at zero, and bends that no line has."""

import math

import pytest
import torch
from packed_samples import check_finite, stirred, taught, vectors

from fusion.models.encoders.periodic import PeriodicEncoder
from fusion.models.encoders.vector import LinearEncoder


def normal(rows: int, features: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, features, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [0, 1, 6])
@pytest.mark.parametrize("hidden", [0, 4])
def test_finite_tokens_and_gradients(count: int, hidden: int) -> None:
    encoder = stirred(PeriodicEncoder(num_features=3, dim=8, hidden=hidden))
    check_finite(encoder, vectors(normal(count, 3)), dim=8)


def test_agrees_with_the_definition() -> None:
    encoder = stirred(PeriodicEncoder(num_features=2, dim=8, num_frequencies=3))
    x = 0.7
    for j, c in enumerate(encoder.frequency[1].tolist()):
        waves = encoder.waves(torch.tensor([[0.0, x]]))[0, 1]
        assert waves[j].item() == pytest.approx(math.sin(2 * math.pi * c * x), abs=1e-5)
        assert waves[3 + j].item() == pytest.approx(math.cos(2 * math.pi * c * x) - 1, abs=1e-5)


def test_a_fresh_encoder_is_the_linear_map_and_zero_says_nothing() -> None:
    encoder = PeriodicEncoder(num_features=3, dim=8).eval()
    rows = normal(9, 3)
    torch.testing.assert_close(encoder(vectors(rows))[:, 0], encoder.project(rows))
    encoder = stirred(encoder)
    torch.testing.assert_close(encoder(vectors(torch.zeros(1, 3)))[0, 0], encoder.project.bias)


def test_learns_what_is_bad_at_both_ends_from_200_rows_where_a_line_cannot() -> None:
    rows = normal(600, 8)
    label = rows[:, 0].abs() + 0.3 * normal(600, 1, seed=9)[:, 0]
    train, test = (vectors(rows[:200]), label[:200]), (vectors(rows[200:]), label[200:])
    torch.manual_seed(0)
    assert taught(LinearEncoder(num_features=8, dim=8), train, test) < 0.05
    assert taught(PeriodicEncoder(num_features=8, dim=8), train, test) > 0.6
