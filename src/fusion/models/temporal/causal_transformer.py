"""One layer of causal self-attention over visits that knows how long ago each of them was.

Dimension key: B patients, T visits asking, S visits asked, H heads, W width of a head, D width.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.base import Temporal
from fusion.models.dropout import Dropout
from fusion.models.layers import ResidualMLP
from fusion.models.temporal.days import CYCLE, time_features


class CausalTransformer(Temporal):
    """A pre-norm Transformer layer (Vaswani et al. 2017) whose attention fades with the lag; both steps start at zero.

    Each visit asks itself and all before it. A score falls by `slope * log(1 + lag / 21)`, with a learned slope above
    zero for each head: the weight of a visit falls as a power of its age, from heads that look far back to heads that
    look at the last weeks. (ALiBi, Press et al. 2022, in days instead of positions.) Day and gap are also
    part of what a visit asks and is asked. The norm stands before queries and keys alone: what is read keeps its size,
    since how large a tumour was is the point. Every visit may also attend to nothing, so a first visit need not read
    itself.

    Args:
        dim: Width of a visit.
        num_heads: Heads of the attention.
        hidden: Width of the MLP after it.
        dropout: On attention weights and inside the MLP.
    """

    start_H: Tensor

    def __init__(self, *, dim: int, num_heads: int = 4, hidden: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}; change one of them")
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim, eps=1e-2)  # a visit with next to nothing is not blown up to unit size
        self.query_key = nn.Linear(dim + 2, 2 * dim)
        self.value = nn.Linear(dim + 2, dim)
        slope_H = 2.0 ** -torch.arange(num_heads)  # 1, 1/2, 1/4, ...
        self.register_buffer("start_H", slope_H.expm1().log(), persistent=False)  # softplus undone
        self.shift_H = nn.Parameter(torch.zeros(num_heads))  # weight decay draws a slope back to its start
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(dim, dim)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        heads = (self.num_heads, visits.shape[-1] // self.num_heads)
        time_BT2 = time_features(day)
        asking_BTE = torch.cat([self.norm(visits), time_BT2], dim=-1)
        query_BTHW, key_BSHW = self.query_key(asking_BTE).unflatten(-1, (2, *heads)).unbind(2)
        value_BSHW = self.value(torch.cat([visits, time_BT2], dim=-1)).unflatten(-1, heads)
        score_BHTS = torch.einsum("bthw,bshw->bhts", query_BTHW, key_BSHW) / heads[1] ** 0.5
        score_BHTS = score_BHTS - self.fading(day)
        past_TS = mask.new_ones(mask.shape[1], mask.shape[1]).tril()
        asked_BTS = mask[:, None, :] & past_TS
        score_BHTS = score_BHTS.masked_fill(~asked_BTS[:, None], -torch.inf)
        silent_BHT1 = score_BHTS.new_zeros(*score_BHTS.shape[:-1], 1)
        weight_BHTS = torch.cat([score_BHTS, silent_BHT1], dim=-1).softmax(dim=-1)[..., :-1]
        read_BTHW = torch.einsum("bhts,bshw->bthw", self.dropout(weight_BHTS), value_BSHW)
        read_BTD: Tensor = self.mlp(visits + self.out(read_BTHW.flatten(2)))
        return read_BTD

    def fading(self, day: Float[Tensor, "B T"]) -> Float[Tensor, "B H T T"]:
        """What the lag between two visits takes from their score, per head."""
        lag_BTS = (day[:, :, None] - day[:, None, :]).clamp(min=0)
        slope_H = functional.softplus(self.start_H + self.shift_H)
        return torch.einsum("h,bts->bhts", slope_H, torch.log1p(lag_BTS / CYCLE))
