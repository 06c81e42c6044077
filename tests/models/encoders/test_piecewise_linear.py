"""Piecewise linear encoding: bins of known training values, silent at zero, and bends that no line has."""

import itertools

import numpy as np
import pytest
import torch
from packed_samples import check_finite, stirred, taught, vectors
from torch import nn

from fusion.models.encoders.piecewise_linear import PiecewiseLinear, PiecewiseLinearEncoder
from fusion.models.encoders.vector import LinearEncoder


def normal(rows: int, features: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, features, generator=torch.Generator().manual_seed(seed))


def prepared(rows: torch.Tensor, **kwargs: object) -> PiecewiseLinearEncoder:
    encoder = PiecewiseLinearEncoder(num_features=rows.shape[1], dim=8, **kwargs)
    encoder.prepare(vectors(rows))
    return stirred(encoder)


@pytest.mark.parametrize("count", [0, 1, 6])
@pytest.mark.parametrize("hidden", [0, 4])
def test_finite_tokens_and_gradients(count: int, hidden: int) -> None:
    check_finite(prepared(normal(30, 3), hidden=hidden), vectors(normal(count, 3, seed=1)), dim=8)


def test_agrees_with_the_definition() -> None:
    """Gorishniy et al. 2022, section 3.2, one value and one bin after another, less what zero gives."""
    values = np.sort(normal(101, 1)[:, 0].numpy())
    bins = PiecewiseLinear(num_features=1, num_bins=4)
    bins.prepare(torch.from_numpy(values)[:, None], torch.ones(101, 1, dtype=torch.bool))
    edges = np.quantile(values, [0, 0.25, 0.5, 0.75, 1.0])

    def encoded(x: float) -> list[float]:
        return [min(max((x - low) / (high - low), 0.0), 1.0) for low, high in itertools.pairwise(edges)]

    for x in (-9.0, -0.4, 0.0, 0.1, 0.9, 9.0):
        expected = np.subtract(encoded(x), encoded(0.0))
        np.testing.assert_allclose(bins(torch.tensor([[x]]))[0, 0], expected, atol=1e-5)


def test_a_fresh_encoder_is_the_linear_map() -> None:
    torch.manual_seed(0)
    encoder = PiecewiseLinearEncoder(num_features=3, dim=8).eval()
    rows = normal(9, 3)
    before = encoder(vectors(rows))
    encoder.prepare(vectors(normal(50, 3, seed=1)))
    torch.testing.assert_close(encoder(vectors(rows)), before)
    torch.testing.assert_close(before[:, 0], encoder.project(rows))


def test_zero_says_nothing() -> None:
    encoder = prepared(normal(50, 3))
    torch.testing.assert_close(encoder(vectors(torch.zeros(1, 3)))[0, 0], encoder.project.bias)


def test_flags_constants_and_ties_open_no_bins() -> None:
    rows = torch.stack([torch.arange(8.0) % 2, torch.ones(8), torch.tensor([0.0] * 5 + [1.0, 2.0, 3.0])], dim=1)
    bins = prepared(rows).bins
    assert bins.low.isinf().all(dim=1).tolist() == [True, True, False]
    assert (bins.width > 0).all()
    assert bins(rows).isfinite().all()


def test_blanks_set_no_edges() -> None:
    values = normal(40, 1) + 3.0
    blank = torch.cat([torch.zeros(60, 1), values])
    rows = torch.cat([blank, (blank == 0).float()], dim=1)
    flagged, alone = prepared(rows, missing_of=(1, -1)).bins, prepared(values).bins
    torch.testing.assert_close(flagged.low[0], alone.low[0])
    torch.testing.assert_close(flagged.width[0], alone.width[0])


def test_order_of_training_samples_and_global_chance_are_irrelevant() -> None:
    rows = normal(40, 2)
    state = torch.random.get_rng_state()
    one = PiecewiseLinearEncoder(num_features=2, dim=8)
    two = PiecewiseLinearEncoder(num_features=2, dim=8)
    torch.random.set_rng_state(state)
    one.prepare(vectors(rows))
    two.prepare(vectors(rows.flip(0)))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.bins.low, two.bins.low)
    two.load_state_dict(one.state_dict())
    torch.testing.assert_close(two.eval()(vectors(rows)), one.eval()(vectors(rows)))


def test_no_training_sample_leaves_the_linear_map() -> None:
    encoder = prepared(torch.zeros(0, 2))
    rows = normal(5, 2)
    torch.testing.assert_close(encoder(vectors(rows))[:, 0], encoder.project(rows))


@pytest.mark.parametrize("seed", [0, 1])
def test_learns_what_is_bad_at_both_ends_from_200_rows_where_a_line_cannot(seed: int) -> None:
    """As of methylation in the simulator's preset `nonlinear`: the effect is |CIMP - 1|, among 7 other components."""
    rows = normal(600, 8, seed)
    label = rows[:, 0].abs() + 0.3 * normal(600, 1, seed + 9)[:, 0]
    train, test = (vectors(rows[:200]), label[:200]), (vectors(rows[200:]), label[200:])

    def score(encoder: PiecewiseLinearEncoder | LinearEncoder) -> float:
        encoder.prepare(train[0])
        return taught(encoder, train, test)

    torch.manual_seed(seed)
    assert score(LinearEncoder(num_features=8, dim=8)) < 0.05
    assert score(PiecewiseLinearEncoder(num_features=8, dim=8)) > 0.6


def test_sets_of_rows_are_refused() -> None:
    encoder = prepared(normal(9, 2))
    samples = vectors(normal(4, 2))
    with pytest.raises(ValueError, match="use a set encoder"):
        encoder(type(samples)(samples.rows, torch.tensor([0, 4]), torch.tensor([0])))


def test_few_parameters() -> None:
    encoder = PiecewiseLinearEncoder(num_features=8, dim=32)
    assert sum(p.numel() for p in encoder.parameters()) == 8 * 32 + 32 + 8 * 4 * 32
    assert isinstance(encoder.mlp, nn.Identity)
