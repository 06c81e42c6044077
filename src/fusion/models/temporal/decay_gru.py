"""Recurrence over visits by a GRU whose state fades over the days in which nothing was seen.

Dimension key: B patients, T visits, D width, H units of the state.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.models.base import Temporal
from fusion.models.temporal.days import Decay, gap_days, time_features


class DecayGRU(Temporal):
    """`visit + W h`, where h is a GRU whose state decays to zero over the gap before each visit; W starts at zero.

    A plain GRU has to learn from the size of a gap how much to forget; here forgetting by the calendar is built in,
    with one learned half-life per unit, as for the hidden state of GRU-D (Che et al. 2018). It knows the same days as
    `GRU`. The products with the visits are taken for all of them at once; only what depends on the state is a loop.

    Args:
        dim: Width of a visit.
        hidden: Width of the recurrent state.
        half_life: Days after which half of the state is left, before training.
        dropout: On the state as it is read.
    """

    def __init__(self, *, dim: int, hidden: int = 16, half_life: float = 42.0, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = hidden
        self.decay = Decay(half_life=torch.full((hidden,), float(half_life)))
        self.inputs = nn.Linear(dim + 2, 3 * hidden)
        self.gates = nn.Linear(hidden, 2 * hidden, bias=False)
        self.recall = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, dim)
        for weight in (*self.inputs.parameters(), *self.gates.parameters(), *self.recall.parameters()):
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)  # as torch's GRU starts
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        seen_TBG = self.inputs(torch.cat([visits, time_features(day)], dim=-1).transpose(0, 1))
        kept_TBH = self.decay(gap_days(day).T).type_as(seen_TBG)
        gates_TBG, fresh_TBH = seen_TBG.split([2 * self.hidden, self.hidden], dim=-1)
        weight_HG = self.gates.weight.T
        state_BH = seen_TBG.new_zeros(len(visits), self.hidden)
        states = []
        for gates_BG, fresh_BH, kept_BH in zip(gates_TBG.unbind(), fresh_TBH.unbind(), kept_TBH.unbind(), strict=True):
            faded_BH = state_BH * kept_BH
            reset_BH, hold_BH = torch.addmm(gates_BG, faded_BH, weight_HG).sigmoid().chunk(2, dim=-1)
            candidate_BH = torch.addcmul(fresh_BH, reset_BH, self.recall(faded_BH)).tanh()
            state_BH = torch.lerp(candidate_BH, faded_BH, hold_BH)
            states.append(state_BH)
        return visits + self.out(self.dropout(torch.stack(states, dim=1)))
