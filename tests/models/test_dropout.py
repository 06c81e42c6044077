"""Dropout keeps each element with the rate asked for, by itself, and leaves the mean where it was."""

import pytest
import torch
from torch.func import vmap

from fusion.models.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_share_that_stays_and_its_scale(rate: float) -> None:
    torch.manual_seed(0)
    said = Dropout(rate)(torch.ones(1003, 997))  # no multiple of eight
    stays = said[said > 0]
    assert stays.numel() / said.numel() == pytest.approx(1 - rate, abs=0.003)  # rate in 1/256, error of a million
    assert stays.unique().numel() == 1
    assert said.mean().item() == pytest.approx(1.0, abs=0.005)


def test_neighbours_and_steps_are_drawn_apart() -> None:
    torch.manual_seed(0)
    first, second = (Dropout(0.5)(torch.ones(4096, 64)).gt(0).double() for _ in range(2))
    lags = [(first.flatten()[lag:] * first.flatten()[:-lag]).mean().item() for lag in (1, 7, 8, 64)]
    assert [*lags, (first * second).mean().item()] == pytest.approx([0.25] * 5, abs=0.005)


def test_gradient_flows_where_values_stay() -> None:
    x = torch.ones(50, 50, requires_grad=True)
    said = Dropout(0.3)(x)
    said.sum().backward()
    assert torch.equal(x.grad, said.detach())


@pytest.mark.parametrize("rate", [0.0, 0.001, 1.0])
def test_nothing_and_all(rate: float) -> None:
    """A rate below half of 1/256 is left to torch, as is none and all."""
    said = Dropout(rate)(torch.ones(10_000))
    assert said.mean().item() == pytest.approx(1 - rate, abs=0.01)
    assert torch.equal(Dropout(rate).eval()(torch.ones(3)), torch.ones(3))


def test_stacked_models_draw_apart() -> None:
    first, second = vmap(Dropout(0.5), randomness="different")(torch.ones(2, 100, 3))
    assert not torch.equal(first, second)
