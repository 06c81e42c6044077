"""Recurrence over visits by an LSTM that forgets the short-term part of its memory over the gap in days.

Dimension key: B patients, T visits, D width, H units of the state.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.models.base import Temporal
from fusion.models.dropout import Dropout
from fusion.models.temporal.days import Decay, gap_days, time_features


class DecayLSTM(Temporal):
    """`visit + W h`, where h is an LSTM whose cell memory partly decays over the gap before each visit (T-LSTM).

    A learned map reads the short-term part out of the memory; only that part fades, what is left stays for good
    (Baytas et al. 2017). Here each unit fades with its own learned half-life rather than by one fixed function of
    the gap. The map starts as the identity: until the data say otherwise, nearly all of the memory is short-term.

    Args:
        dim: Width of a visit.
        hidden: Width of the recurrent state.
        half_life: Days after which half of the short-term memory is left, before training.
        dropout: On the state as it is read.
    """

    def __init__(self, *, dim: int, hidden: int = 16, half_life: float = 42.0, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = hidden
        self.decay = Decay(half_life=torch.full((hidden,), float(half_life)))
        self.inputs = nn.Linear(dim + 2, 4 * hidden)
        self.gates = nn.Linear(hidden, 4 * hidden, bias=False)
        self.short_term = nn.Linear(hidden, hidden)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, dim)
        for weight in (*self.inputs.parameters(), *self.gates.parameters()):
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)  # as torch's LSTM starts
        nn.init.eye_(self.short_term.weight)
        nn.init.zeros_(self.short_term.bias)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        seen_TBG = self.inputs(torch.cat([visits, time_features(day)], dim=-1).transpose(0, 1))
        lost_TBH = (1 - self.decay(gap_days(day).T)).type_as(seen_TBG)
        weight_HG = self.gates.weight.T
        state_BH = memory_BH = seen_TBG.new_zeros(len(visits), self.hidden)
        states = []
        for seen_BG, lost_BH in zip(seen_TBG.unbind(), lost_TBH.unbind(), strict=True):
            memory_BH = memory_BH - lost_BH * self.short_term(memory_BH).tanh()
            gates_BG = torch.addmm(seen_BG, state_BH, weight_HG)
            sigmoid_BG, candidate_BH = gates_BG.split([3 * self.hidden, self.hidden], dim=-1)
            write_BH, keep_BH, read_BH = sigmoid_BG.sigmoid().chunk(3, dim=-1)
            memory_BH = torch.addcmul(keep_BH * memory_BH, write_BH, candidate_BH.tanh())
            state_BH = read_BH * memory_BH.tanh()
            states.append(state_BH)
        return visits + self.out(self.dropout(torch.stack(states, dim=1)))
