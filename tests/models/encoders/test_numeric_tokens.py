"""Numeric tokens: each covariate moves its own token, a blank is a token of its own, the sum begins as a line."""

import pytest
import torch
from packed_samples import check_finite, stirred, taught, vectors

from fusion.data.modalities.covariate_columns import covariate_columns
from fusion.models.encoders.numeric_tokens import NumericTokensEncoder

#: A number with a flag, a category of three levels with a flag, a number without.
SIZES = covariate_columns([("age", "age:missing"), ("s=A", "s=B", "s=C", "s:missing"), ("ldh",)])
AGE, AGE_BLANK, LEVEL, LEVEL_BLANK, LDH = 0, 1, slice(2, 5), 5, 6


def rows(count: int = 60, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    table = torch.zeros(count, 7)
    table[:, AGE], table[:, LDH] = torch.randn(2, count, generator=generator)
    level = torch.randint(0, 4, (count,), generator=generator)
    table[:, 2:6] = torch.eye(4)[level]
    table[:, AGE_BLANK] = (torch.rand(count, generator=generator) < 0.3).float()
    table[:, AGE] *= 1 - table[:, AGE_BLANK]
    return table


def make(num_bins: int = 4) -> NumericTokensEncoder:
    encoder = NumericTokensEncoder(num_features=7, dim=8, num_bins=num_bins, **SIZES)
    encoder.prepare(vectors(rows()))
    return stirred(encoder)


@pytest.mark.parametrize("count", [0, 1, 6])
@pytest.mark.parametrize("num_bins", [0, 4])
def test_finite_tokens_and_gradients(count: int, num_bins: int) -> None:
    check_finite(make(num_bins), vectors(rows(count)), dim=8)


def test_agrees_with_a_loop_over_covariates() -> None:
    encoder, table = make(), rows(9, seed=1)
    curve = encoder.bins(table)
    tokens = encoder(vectors(table))
    assert encoder.num_tokens == 3
    for s, row in enumerate(table):
        for k, (flag, columns) in enumerate([(AGE_BLANK, [AGE]), (LEVEL_BLANK, [2, 3, 4]), (None, [LDH])]):
            expected = encoder.bias[k]
            for f in columns:
                expected = expected + row[f] * encoder.weight[f] + curve[s, f] @ encoder.bend[f]
            if flag is not None and row[flag] == 1:
                expected = encoder.blank[k]
            torch.testing.assert_close(tokens[s, k], expected, atol=1e-5, rtol=1e-5)


def test_a_covariate_moves_its_own_token_alone() -> None:
    encoder, table = make(), rows(1)
    table[:, AGE_BLANK] = 0.0
    for column, token in ((AGE, 0), (AGE_BLANK, 0), (LEVEL_BLANK, 1), (LDH, 2)):
        changed = table.clone()
        changed[:, column] = 1.0 - changed[:, column]
        moved = (encoder(vectors(changed)) - encoder(vectors(table))).abs().amax(dim=2)[0] > 0
        assert moved.tolist() == [k == token for k in range(3)]


def test_what_stands_in_place_of_a_blank_is_not_read() -> None:
    encoder, table = make(), rows(4)
    table[:, AGE_BLANK] = 1.0
    other = table.clone()
    other[:, AGE] = 7.0
    torch.testing.assert_close(encoder(vectors(other)), encoder(vectors(table)))


def test_fresh_tokens_sum_up_to_a_line() -> None:
    encoder = NumericTokensEncoder(num_features=7, dim=8, **SIZES).eval()
    table = rows(9)
    encoder.prepare(vectors(table))
    table[:, [AGE_BLANK, LEVEL_BLANK]] = 0.0
    torch.testing.assert_close(encoder(vectors(table)).sum(dim=1), table @ encoder.weight)


def test_a_column_is_a_token_where_nothing_is_told() -> None:
    encoder = stirred(NumericTokensEncoder(num_features=5, dim=8))
    assert encoder.num_tokens == 5
    check_finite(encoder, vectors(torch.randn(3, 5)), dim=8)


def test_learns_the_blank_and_the_bend() -> None:
    """A blank is worse than any value, and both ends of the third covariate are bad."""
    table = rows(500, seed=3)
    label = 2.0 * table[:, AGE_BLANK] + table[:, LDH].abs()
    train, test = (vectors(table[:200]), label[:200]), (vectors(table[200:]), label[200:])
    encoder = NumericTokensEncoder(num_features=7, dim=8, **SIZES)
    encoder.prepare(train[0])
    assert taught(encoder, train, test) > 0.9
