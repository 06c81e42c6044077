"""A bank of leaky memories over continuous time: a diagonal linear state space read through a gate.

Dimension key: B patients, T visits, V real visits of all patients, D width, H states.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fusion.models.base import Temporal
from fusion.models.dropout import Dropout
from fusion.models.temporal.days import CYCLE, Decay, gap_days, time_features
from fusion.models.temporal.packed_visits import PackedVisits


class DecayScan(torch.autograd.Function):
    """`decay_scan`, forward and backward by hand: autograd would fill an array as large as all visits at every step."""

    @staticmethod
    def forward(values: Float[Tensor, "... V H"], kept: Float[Tensor, "... V H"], sizes: Sequence[int]) -> Tensor:
        state = values.clone()
        for before, now in _steps(sizes):
            state.narrow(-2, *now).addcmul_(kept.narrow(-2, *now), state.narrow(-2, *before))
        return state

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Sequence[int]], output: Tensor) -> None:
        ctx.sizes = inputs[2]
        ctx.save_for_backward(inputs[1], output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Float[Tensor, "... V H"]) -> tuple[Tensor, Tensor, None]:
        kept, state = ctx.saved_tensors
        value_slope, steps = slope.clone(), _steps(ctx.sizes)
        for before, now in reversed(steps):
            value_slope.narrow(-2, *before).addcmul_(kept.narrow(-2, *now), value_slope.narrow(-2, *now))
        first = torch.zeros_like(state.narrow(-2, 0, ctx.sizes[0] if len(ctx.sizes) else 0))
        state_before = torch.cat([first, *(state.narrow(-2, *before) for before, _ in steps)], dim=-2)
        return value_slope, value_slope * state_before, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], values: Tensor, kept: Tensor, sizes: Sequence[int]
    ) -> tuple[Tensor, Any]:
        values, kept = (
            each.expand(info.batch_size, *each.shape) if dim is None else each.movedim(dim, 0)
            for each, dim in zip((values, kept), in_dims[:2], strict=True)
        )
        return DecayScan.apply(values, kept, sizes), 0


def _steps(sizes: Sequence[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Start and length, among the packed visits, of a step and of its patients one step before."""
    start = [0, *accumulate(sizes)]
    return [((start[t - 1], sizes[t]), (start[t], sizes[t])) for t in range(1, len(sizes)) if sizes[t]]


def decay_scan(
    values: Float[Tensor, "... V H"], kept: Float[Tensor, "... V H"], sizes: Sequence[int]
) -> Float[Tensor, "... V H"]:
    """Running sum of each patient that keeps a share of itself: `sum[t] = kept[t] * sum[t - 1] + values[t]`.

    Memory is linear in the visits, and nothing is divided by a product of shares, which would overflow after years.

    Args:
        values: What each visit adds, packed (`PackedVisits`).
        kept: What is kept at each visit of the sum before it; that of a first visit is not read.
        sizes: Patients at each step.

    >>> decay_scan(torch.tensor([[8.0], [0.0], [1.0]]), torch.full((3, 1), 0.5), [1, 1, 1]).flatten()
    tensor([8., 4., 3.])
    """
    state: Tensor = DecayScan.apply(values, kept, sizes)
    return state


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
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        at = PackedVisits.of(mask)
        said_VE = at.pack(torch.cat([visits, time_features(day)], dim=-1))
        # a long memory sums many visits: so scaled, a steady course with a visit each cycle keeps its size
        scale_H = -torch.expm1(-CYCLE * self.decay.rate())
        kept_VH = self.decay(at.pack(gap_days(day)[..., None])[:, 0])
        state_VH = decay_scan((self.inputs(said_VE) * scale_H).type_as(kept_VH), kept_VH, at.sizes)
        read_VH = functional.selu(state_VH) * self.gate(said_VE).sigmoid()
        return visits + at.unpack(self.out(self.dropout(read_VH)))
