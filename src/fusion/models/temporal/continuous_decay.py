"""A bank of leaky memories over continuous time: a diagonal linear state space read through a gate.

Dimension key: B patients, T visits, D width, H states.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.base import Temporal
from fusion.models.temporal.days import CYCLE, Decay, gap_days, time_features


def decay_scan(values: Float[Tensor, "B T H"], kept: Float[Tensor, "B T H"]) -> Float[Tensor, "B T H"]:
    """Running sum that keeps a share of itself at each step: `sum[t] = kept[t] * sum[t - 1] + values[t]`.

    Done by doubling: after k rounds each step holds the sum over the last 2^k steps. That is log2(T) rounds over all
    visits at once, memory linear in T, and no division by a product of shares, which would overflow after years.

    >>> decay_scan(torch.tensor([[[8.0], [0.0], [1.0]]]), torch.full((1, 3, 1), 0.5)).flatten()
    tensor([8., 4., 3.])
    """
    span = 1
    while span < values.shape[1]:
        reached = values[:, span:] + kept[:, span:] * values[:, :-span]
        values = torch.cat([values[:, :span], reached], dim=1)
        kept = torch.cat([kept[:, :span], kept[:, span:] * kept[:, :-span]], dim=1)
        span *= 2
    return values


class ContinuousDecay(Temporal):
    """`visit + W (gate * selu(h))`, where `h = exp(-rate * gap) h + u(visit)` between visits; W starts at zero.

    The state obeys the linear equation dh/dt = -rate h between visits and takes up each visit as it comes, the
    diagonal real case of a structured state space (S4D, Gu et al. 2022), at irregular days as in ODE-RNN (Rubanova
    et al. 2019) but solved in closed form. Its half-lives are learned, and start spread
    evenly on a log scale from `shortest` to `longest`, so that a visit finds last week's and last year's course side
    by side. The gate looks at the visit, as in Mamba (Gu and Dao 2023).

    Args:
        dim: Width of a visit.
        hidden: Number of states.
        shortest: Least half-life in days, before training.
        longest: Greatest half-life in days, before training.
        dropout: On the state as it is read.
    """

    def __init__(
        self, *, dim: int, hidden: int = 16, shortest: float = 7.0, longest: float = 365.0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        if not 0 < shortest <= longest:
            raise ValueError(f"half-lives go from shortest > 0 to longest, got {shortest:g} to {longest:g}; swap them")
        spread_H = torch.linspace(0.0, 1.0, hidden)
        self.decay = Decay(half_life=shortest * (longest / shortest) ** spread_H)
        self.inputs = nn.Linear(dim + 2, hidden)
        self.gate = nn.Linear(dim + 2, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        said_BTE = torch.cat([visits, time_features(day)], dim=-1)
        # a long memory sums many visits: so scaled, a steady course with a visit each cycle keeps its size
        scale_H = -torch.expm1(-CYCLE * self.decay.rate())
        state_BTH = decay_scan(self.inputs(said_BTE) * scale_H, self.decay(gap_days(day)))
        read_BTH = functional.selu(state_BTH) * self.gate(said_BTE).sigmoid()
        return visits + self.out(self.dropout(read_BTH))
