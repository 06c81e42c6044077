"""Small layers: sums and softmax over packed rows, and blocks that begin by adding nothing.

Blocks that begin by adding nothing (their last projection starts at zero) make a fresh network an additive linear model
of its inputs. At 100 to 300 patients that is the right place to start from: the data must earn every non-linearity.

Dimension key: R rows, S samples, N visits, M tokens, D width.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional


def segment_sum(values: Float[Tensor, "R ..."], segment: Int[Tensor, " R"], count: int) -> Float[Tensor, "S ..."]:
    """Sum of the rows of each segment; an empty segment sums to zero.

    >>> segment_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 0, 2]), 3)
    tensor([3., 0., 4.])
    """
    total = torch.zeros(count, *values.shape[1:], dtype=values.dtype, device=values.device)
    return total.index_add(0, segment, values)


def segment_softmax(score: Float[Tensor, "R H"], segment: Int[Tensor, " R"], count: int) -> Float[Tensor, "R H"]:
    """Softmax of scores within each segment, per head.

    >>> segment_softmax(torch.zeros(3, 1), torch.tensor([0, 0, 1]), 2).squeeze(1)
    tensor([0.5000, 0.5000, 1.0000])
    """
    top = torch.full((count, score.shape[1]), -torch.inf, dtype=score.dtype, device=score.device)
    top = top.scatter_reduce(0, segment[:, None].expand_as(score), score.detach(), reduce="amax")
    weight = torch.exp(score - top[segment])
    return weight / segment_sum(weight, segment, count)[segment]


class ResidualMLP(nn.Module):
    """`x + W2 selu(W1 x)` with dropout, where W2 starts at zero (self-normalising, Klambauer et al. 2017)."""

    def __init__(self, *, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, hidden)
        self.outer = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        return x + self.outer(self.dropout(functional.selu(self.inner(x))))


class AttentionPool(nn.Module):
    """What one query per visit reads from the tokens that are there, by multi-head attention; starts at zero.

    The query attends to one token more than there are, which says nothing: a visit without any token stays finite.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}; change one of them")
        self.num_heads = num_heads
        self.dropout = nn.Dropout(dropout)
        self.norm_query = nn.LayerNorm(dim, eps=1e-2)  # a visit with next to nothing is not blown up to unit size
        self.norm_token = nn.LayerNorm(dim, eps=1e-2)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, query_ND: Float[Tensor, "N D"], token_NMD: Float[Tensor, "N M D"], mask_NM: Bool[Tensor, "N M"]
    ) -> Float[Tensor, "N D"]:
        num, tokens, dim = token_NMD.shape
        width = dim // self.num_heads
        query_NHW = self.query(self.norm_query(query_ND)).view(num, self.num_heads, width)
        key, value = self.key_value(self.norm_token(token_NMD)).view(num, tokens, 2, self.num_heads, width).unbind(2)
        score_NMH = torch.einsum("nhw,nmhw->nmh", query_NHW, key) / width**0.5
        score_NMH = score_NMH.masked_fill(~mask_NM[..., None], -torch.inf)
        silent_N1H = score_NMH.new_zeros(num, 1, self.num_heads)
        weight_NMH = torch.cat([score_NMH, silent_N1H], dim=1).softmax(dim=1)[:, :-1]
        read_NHW = torch.einsum("nmh,nmhw->nhw", self.dropout(weight_NMH), value)
        return self.out(read_NHW.reshape(num, dim))
