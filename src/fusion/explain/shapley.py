"""Exact Shapley values from the worth of every coalition.

Dimension key: C = 2^M coalitions, M players, any axes behind.
"""

from math import comb

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: Beyond this many players a table of all coalitions is too large.
MAX_PLAYERS = 12


def coalitions(num_players: int) -> Bool[Tensor, "C M"]:
    """Who is in each coalition: player m is in coalition c where bit m of c is set.

    >>> coalitions(2).int()
    tensor([[0, 0],
            [1, 0],
            [0, 1],
            [1, 1]], dtype=torch.int32)

    Raises:
        ValueError: There are too many players.
    """
    if num_players > MAX_PLAYERS:
        raise ValueError(
            f"{num_players} modalities have {2**num_players} coalitions; train with at most {MAX_PLAYERS} modalities"
        )
    code_C = torch.arange(2**num_players)
    return (code_C[:, None] >> torch.arange(num_players)) & 1 == 1


def shapley_values(worth: Float[Tensor, "C ..."]) -> Float[Tensor, "M ..."]:
    """Shapley value of every player (Shapley 1953): mean over all orders of what the player adds on arrival.

    The values add up to the worth of all less the worth of none; a player that never changes the worth has zero.

    Args:
        worth: Worth of every coalition, in the order of `coalitions`.

    >>> shapley_values(torch.tensor([0.0, 1.0, 3.0, 6.0]))
    tensor([2., 4.])
    """
    num_players = worth.shape[0].bit_length() - 1
    member_CM = coalitions(num_players).to(worth.device)
    code_C = torch.arange(worth.shape[0], device=worth.device)
    values = []
    for player in range(num_players):
        without = code_C[~member_CM[:, player]]
        size = member_CM[without].sum(dim=1).tolist()
        weight = torch.tensor([1.0 / (num_players * comb(num_players - 1, s)) for s in size]).to(worth)
        values.append(torch.tensordot(weight, worth[without + (1 << player)] - worth[without], dims=1))
    return torch.stack(values) if values else worth.new_zeros(0, *worth.shape[1:])
