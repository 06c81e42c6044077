"""What the temporal modules know of time: days since the visit before, since day 0, and how fast a memory fades.

Dimension key: B patients, T visits, H units of a state.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

#: Days that make one unit of time on a log scale: a cycle of treatment.
CYCLE = 21.0


def gap_days(day: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Days since the visit before; zero at the first. The gap to the next visit is unknown at prediction time.

    >>> gap_days(torch.tensor([[0.0, 21.0, 21.0, 84.0]]))
    tensor([[ 0., 21.,  0., 63.]])
    """
    return torch.diff(day, dim=1, prepend=day[:, :1]).clamp(min=0)


def time_features(day: Float[Tensor, "B T"]) -> Float[Tensor, "B T 2"]:
    """Days since the visit before and since day 0, both as log(1 + days / 21).

    >>> time_features(torch.tensor([[0.0, 21.0]]))
    tensor([[[0.0000, 0.0000],
             [0.6931, 0.6931]]])
    """
    return torch.log1p(torch.stack([gap_days(day), day], dim=-1) / CYCLE)


class Decay(nn.Module):
    """Share of each unit of a memory that is left after some days: `exp(-rate * days)`, with learned rates.

    A rate is the softplus of its start plus a learned shift. The shift begins at zero, so that weight decay draws a
    half-life back to where it began and not to a memory of less than a day.

    Args:
        half_life: Days at which half is left, per unit, before training.
    """

    start: Tensor

    def __init__(self, *, half_life: Float[Tensor, " H"]) -> None:
        super().__init__()
        if not bool((half_life > 0).all()):
            raise ValueError(f"a half-life is above zero days, got {half_life.min().item():g}; raise it")
        self.register_buffer("start", (math.log(2) / half_life).expm1().log(), persistent=False)  # softplus undone
        self.shift = nn.Parameter(torch.zeros_like(half_life))

    def rate(self) -> Float[Tensor, " H"]:
        """Share lost per day, at the limit of a short time."""
        return functional.softplus(self.start + self.shift)

    def forward(self, days: Float[Tensor, "..."]) -> Float[Tensor, "... H"]:
        return torch.exp(-days[..., None] * self.rate())
