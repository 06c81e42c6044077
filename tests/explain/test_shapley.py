"""Shapley values: against all orders, and the axioms."""

from itertools import permutations

import pytest
import torch

from fusion.explain.shapley import MAX_PLAYERS, coalitions, shapley_values


def by_orders(worth: torch.Tensor, num_players: int) -> torch.Tensor:
    """Mean over all orders of what a player adds on arrival."""
    values = torch.zeros(num_players, dtype=worth.dtype)
    orders = list(permutations(range(num_players)))
    for order in orders:
        code = 0
        for player in order:
            values[player] += worth[code | (1 << player)] - worth[code]
            code |= 1 << player
    return values / len(orders)


@pytest.mark.parametrize("num_players", [1, 2, 3, 5])
def test_equals_the_mean_over_all_orders(num_players: int):
    worth = torch.randn(2**num_players, dtype=torch.float64)
    torch.testing.assert_close(shapley_values(worth), by_orders(worth, num_players))


def test_axioms():
    worth = torch.randn(16, 3, 2, dtype=torch.float64)
    value = shapley_values(worth)
    torch.testing.assert_close(value.sum(dim=0), worth[-1] - worth[0])
    member = coalitions(4)
    without = torch.arange(16)[~member[:, 2]]
    worth[without + 4] = worth[without]  # player 2 changes nothing
    assert (shapley_values(worth)[2] == 0).all()
    swapped = torch.stack(
        [
            worth[c - member[c, 0].int() - 2 * member[c, 1].int() + 2 * member[c, 0].int() + member[c, 1].int()]
            for c in range(16)
        ]
    )
    torch.testing.assert_close(shapley_values(worth + swapped)[0], shapley_values(worth + swapped)[1])
    other = torch.randn_like(worth)
    torch.testing.assert_close(shapley_values(worth + other), shapley_values(worth) + shapley_values(other))


def test_too_many_players_are_refused():
    with pytest.raises(ValueError, match="at most"):
        coalitions(MAX_PLAYERS + 1)
