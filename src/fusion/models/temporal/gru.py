"""Recurrence over visits by a GRU that knows the gap in days."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.models.base import Temporal
from fusion.models.dropout import Dropout
from fusion.models.temporal.days import time_features


class GRU(Temporal):
    """`visit + W h`, where h is a GRU over the visits so far and W starts at zero.

    The input of each step is the fused visit, the days since the visit before and the days since treatment began,
    both as log(1 + days / 21). The gap to the next visit is unknown at prediction time and never enters.

    Args:
        dim: Width of a visit.
        hidden: Width of the recurrent state.
        dropout: On the state as it is read.
    """

    def __init__(self, *, dim: int, hidden: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.gru = nn.GRU(dim + 2, hidden, batch_first=True)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        state_BTH, _ = self.gru(torch.cat([visits, time_features(day)], dim=-1))
        return visits + self.out(self.dropout(state_BTH))
