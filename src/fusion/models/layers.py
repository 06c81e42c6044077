"""Small layers: sums and softmax over packed rows, and blocks that begin by adding nothing.

Blocks that begin by adding nothing (their last projection starts at zero) make a fresh network an additive linear model
of its inputs. At 100 to 300 patients that is the right place to start from: the data must earn every non-linearity.

Dimension key: R rows, S samples, N or V visits, M tokens, A modalities (groups of tokens), L queries, H heads, D width.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.dropout import Dropout


def full_precision(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Values in half precision as single; others as they are.

    >>> full_precision(torch.ones(1, dtype=torch.bfloat16)).dtype, full_precision(torch.ones(1).double()).dtype
    (torch.float32, torch.float64)
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def read_exactly(layer: nn.Module, values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """What a layer gives outside autocast: risks in bf16 would be the same for patients who are not alike."""
    with torch.autocast(values.device.type, enabled=False):
        read: Tensor = layer(full_precision(values))
    return read


def real_visits(mask: Bool[Tensor, "B T"]) -> Int[Tensor, " V"]:
    """Places, among all visits of all patients, of those that are no padding.

    >>> real_visits(torch.tensor([[True, False], [True, True]]))
    tensor([0, 2, 3])
    """
    return mask.flatten().nonzero().squeeze(1)


def spread(
    values: Shaped[Tensor, "V ..."], place: Int[Tensor, " V"], shape: Sequence[int]
) -> Shaped[Tensor, "B T ..."]:
    """Values of some visits at their places among all, zero elsewhere.

    >>> spread(torch.tensor([5.0, 7.0]), torch.tensor([0, 3]), (2, 2))
    tensor([[5., 0.],
            [0., 7.]])
    """
    empty = values.new_zeros(math.prod(shape), *values.shape[1:])
    return empty.index_copy(0, place, values).unflatten(0, tuple(shape))


def segment_sum(values: Float[Tensor, "R ..."], segment: Int[Tensor, " R"], count: int) -> Float[Tensor, "S ..."]:
    """Sum of the rows of each segment; an empty segment sums to zero. Rows in half precision are summed in single.

    >>> segment_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 0, 2]), 3)
    tensor([3., 0., 4.])
    """
    values = full_precision(values)
    total = torch.zeros(count, *values.shape[1:], dtype=values.dtype, device=values.device)
    return total.index_add(0, segment, values)


def segment_softmax(score: Float[Tensor, "R H"], segment: Int[Tensor, " R"], count: int) -> Float[Tensor, "R H"]:
    """Softmax of scores within each segment, per head; in single precision at least, as bags have thousands of rows.

    >>> segment_softmax(torch.zeros(3, 1), torch.tensor([0, 0, 1]), 2).squeeze(1)
    tensor([0.5000, 0.5000, 1.0000])
    """
    score = full_precision(score)
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
        self.dropout = Dropout(dropout)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        return x + self.outer(self.dropout(functional.selu(self.inner(x))))


def group_present(mask: Bool[Tensor, "V M"], group: Int[Tensor, " M"], count: int) -> Bool[Tensor, "V A"]:
    """True where at least one column of a group is there.

    >>> group_present(torch.tensor([[True, False, False]]), torch.tensor([0, 0, 1]), 3)
    tensor([[ True, False, False]])
    """
    belongs_MA = group[:, None] == torch.arange(count, device=group.device)
    return (mask[..., None] & belongs_MA).any(dim=1)


def group_mean(
    values: Float[Tensor, "V M D"], mask: Bool[Tensor, "V M"], group: Int[Tensor, " M"], count: int
) -> Float[Tensor, "V A D"]:
    """Mean of the columns of each group that are there; zero for a group of which none is.

    >>> values, mask = torch.tensor([[[1.0], [3.0], [7.0]]]), torch.tensor([[True, True, False]])
    >>> group_mean(values, mask, torch.tensor([0, 0, 1]), 3).squeeze(2)
    tensor([[2., 0., 0.]])
    """
    belongs_MA = group[:, None] == torch.arange(count, device=group.device)
    here_VMA = (mask[..., None] & belongs_MA).to(values.dtype)
    share_VMA = here_VMA / here_VMA.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.einsum("vma,vmd->vad", share_VMA, values)


class GroupLinear(nn.Module):
    """A linear map for each group of its own: the weights of one modality never meet another's tokens."""

    def __init__(self, *, num_groups: int, num_in: int, num_out: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_groups, num_out, num_in).uniform_(-1, 1) / num_in**0.5)
        self.bias = nn.Parameter(torch.zeros(num_groups, num_out)) if bias else None

    def forward(self, x: Float[Tensor, "V A I"]) -> Float[Tensor, "V A O"]:
        mapped_VAO = torch.einsum("vai,aoi->vao", x, self.weight)
        return mapped_VAO if self.bias is None else mapped_VAO + self.bias


class CrossAttention(nn.Module):
    """What each query reads from the tokens that it may see, by multi-head attention; starts at zero.

    Each query attends to one token more than it sees, which says nothing: one without any token to see stays finite.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}; change one of them")
        self.num_heads = num_heads
        self.dropout = Dropout(dropout)
        self.norm_query = nn.LayerNorm(dim, eps=1e-2)  # a visit with next to nothing is not blown up to unit size
        self.norm_token = nn.LayerNorm(dim, eps=1e-2)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, query: Float[Tensor, "N L D"], token: Float[Tensor, "N M D"], sees: Bool[Tensor, "N L M"]
    ) -> Float[Tensor, "N L D"]:
        """One vector per query; `sees` is True where a query may attend to a token."""
        query_NLHW = self.query(self.norm_query(query)).unflatten(-1, (self.num_heads, -1))
        key_value_NMEHW = self.key_value(self.norm_token(token)).unflatten(-1, (2, self.num_heads, -1))
        key_NMHW, value_NMHW = key_value_NMEHW.unbind(2)
        score_NLMH = torch.einsum("nlhw,nmhw->nlmh", query_NLHW, key_NMHW) / query_NLHW.shape[-1] ** 0.5
        score_NLMH = score_NLMH.masked_fill(~sees[..., None], -torch.inf)
        silent_NL1H = torch.zeros_like(score_NLMH[:, :, :1])
        weight_NLMH = torch.cat([score_NLMH, silent_NL1H], dim=2).softmax(dim=2)[:, :, :-1]
        read_NLHW = torch.einsum("nlmh,nmhw->nlhw", self.dropout(weight_NLMH), value_NMHW)
        return self.out(read_NLHW.flatten(2))


class AttentionPool(CrossAttention):
    """What one query per visit reads from the tokens that are there."""

    def forward(
        self, query_ND: Float[Tensor, "N D"], token_NMD: Float[Tensor, "N M D"], mask_NM: Bool[Tensor, "N M"]
    ) -> Float[Tensor, "N D"]:
        return super().forward(query_ND[:, None], token_NMD, mask_NM[:, None])[:, 0]
