"""Signature tokens: one token per column, whose sum is a linear map of the row."""

import pytest
import torch
from packed_samples import check_finite, stirred, vectors

from fusion.models.encoders.signature_tokens import SignatureTokensEncoder
from fusion.types import Samples


@pytest.mark.parametrize("count", [0, 1, 6])
def test_finite_tokens_and_gradients(count: int) -> None:
    check_finite(stirred(SignatureTokensEncoder(num_features=4, dim=8)), vectors(torch.randn(count, 4)), dim=8)


def test_a_token_depends_on_its_column_alone() -> None:
    encoder = stirred(SignatureTokensEncoder(num_features=4, dim=8))
    rows = torch.randn(3, 4)
    other = rows.clone()
    other[:, 2] += 1.0
    moved = (encoder(vectors(rows)) - encoder(vectors(other))).abs().amax(dim=(0, 2))
    assert (moved > 0).tolist() == [False, False, True, False]


def test_the_sum_of_fresh_tokens_is_a_linear_map() -> None:
    encoder = SignatureTokensEncoder(num_features=4, dim=8).eval()
    rows = torch.randn(5, 4)
    torch.testing.assert_close(encoder(vectors(rows)).sum(dim=1), rows @ encoder.weight)


def test_refuses_sets() -> None:
    samples = Samples(torch.zeros(3, 4), torch.tensor([0, 3]), torch.tensor([0]))
    with pytest.raises(ValueError, match="use a set encoder"):
        SignatureTokensEncoder(num_features=4, dim=8)(samples)
