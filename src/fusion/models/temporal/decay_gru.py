"""Recurrence over visits by a GRU whose state fades over the days in which nothing was seen.

Dimension key: B patients, T visits, V real visits of all patients, N patients with a visit at a step, D width, H units
of the state, G = 2 H.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.models.base import Temporal
from fusion.models.dropout import Dropout
from fusion.models.temporal.days import Decay, gap_days, time_features
from fusion.models.temporal.packed_visits import PackedVisits


class DecayGRU(Temporal):
    """`visit + W h`, where h is a GRU whose state decays to zero over the gap before each visit; W starts at zero.

    A plain GRU has to learn from the size of a gap how much to forget; here forgetting by the calendar is built in,
    with one learned half-life per unit, as for the hidden state of GRU-D (Che et al. 2018). It knows the same days as
    `GRU`. The products with the visits are taken for all of them at once, and for none that is padding; only what
    depends on the state is a loop.

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
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, dim)
        for weight in (*self.inputs.parameters(), *self.gates.parameters(), *self.recall.parameters()):
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)  # as torch's GRU starts
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        at = PackedVisits.of(mask)
        seen_VG = self.inputs(at.pack(torch.cat([visits, time_features(day)], dim=-1)))
        kept_VH = self.decay(at.pack(gap_days(day)[..., None])[:, 0]).type_as(seen_VG)
        gates_VG, fresh_VH = seen_VG.split([2 * self.hidden, self.hidden], dim=-1)
        weight_HG = self.gates.weight.T
        state_NH = seen_VG.new_zeros(len(visits), self.hidden)
        states = []
        for gates_NG, fresh_NH, kept_NH in zip(*map(at.steps, (gates_VG, fresh_VH, kept_VH)), strict=True):
            faded_NH = state_NH[: len(kept_NH)] * kept_NH
            reset_NH, hold_NH = torch.addmm(gates_NG, faded_NH, weight_HG).sigmoid().chunk(2, dim=-1)
            candidate_NH = torch.addcmul(fresh_NH, reset_NH, self.recall(faded_NH)).tanh()
            state_NH = torch.lerp(candidate_NH, faded_NH, hold_NH)
            states.append(state_NH)
        state_VH = torch.cat([seen_VG.new_zeros(0, self.hidden), *states])
        return visits + at.unpack(self.out(self.dropout(state_VH)))
