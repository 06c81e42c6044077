"""The interaction encoder: additive at the start, and a product of two features learned where a line cannot."""

import pytest
import torch
from packed_samples import check_finite, stirred, taught, vectors

from fusion.models.encoders.interaction import InteractionEncoder
from fusion.models.encoders.vector import LinearEncoder
from fusion.models.products import GatedProduct
from fusion.types import Samples


@pytest.mark.parametrize("count", [0, 1, 6])
def test_finite_tokens_and_gradients(count: int) -> None:
    encoder = stirred(InteractionEncoder(num_features=4, dim=8))
    check_finite(encoder, vectors(torch.randn(count, 4)), dim=8)


def test_a_fresh_encoder_is_its_linear_map() -> None:
    encoder = InteractionEncoder(num_features=4, dim=8).eval()
    rows = torch.randn(5, 4)
    torch.testing.assert_close(encoder(vectors(rows))[:, 0], rows @ encoder.project.weight.T)


def test_the_product_adds_nothing_yet_has_a_gradient() -> None:
    product = GatedProduct(num_features=3, dim=4, rank=2)
    added = product(torch.randn(6, 3))
    assert (added == 0).all()
    added.sum().backward()
    assert product.out.weight.grad.abs().min() > 0


def test_the_product_agrees_with_a_plain_sum() -> None:
    product = GatedProduct(num_features=3, dim=2, rank=4)
    torch.nn.init.normal_(product.out.weight)
    row = torch.randn(3)
    expected = torch.zeros(2)
    for k in range(4):
        gate, value = product.gate.weight[k] @ row, product.value.weight[k] @ row
        expected += product.out.weight[:, k] * torch.tanh(gate) * value
    torch.testing.assert_close(product(row[None])[0], expected)


def toy(count: int, seed: int) -> tuple[Samples, torch.Tensor]:
    """T cells help in one subtype and harm in the other: no main effect, among six features that say nothing."""
    rows = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return vectors(rows), rows[:, 2] * rows[:, 5].sign()


def test_a_sign_that_turns_an_effect_is_learned_but_not_by_a_line() -> None:
    torch.manual_seed(0)
    train, test = toy(200, 0), toy(500, 1)
    assert taught(LinearEncoder(num_features=8, dim=16), train, test) < 0.1
    assert taught(InteractionEncoder(num_features=8, dim=16), train, test) > 0.5


def test_refuses_sets_and_a_rank_of_nothing() -> None:
    samples = Samples(torch.zeros(3, 4), torch.tensor([0, 3]), torch.tensor([0]))
    with pytest.raises(ValueError, match="use a set encoder"):
        InteractionEncoder(num_features=4, dim=8)(samples)
    with pytest.raises(ValueError, match="set it to 1 or more"):
        InteractionEncoder(num_features=4, dim=8, rank=0)
