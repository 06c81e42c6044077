"""Products within samples window by window: the pack is cut every C rows, wherever samples begin and end.

A block is a view of C rows and counts for the sample of its first row alone. What of a sample lies before its first
block is its head, gathered apart, and the rows behind the last whole block are one window more. So nothing is padded,
at most C rows per sample are copied, and the sizes of all tensors follow from the number of rows and samples: a GPU
never waits for the CPU to count.

Dimension key: R rows, S samples, K and V widths, N blocks or windows of C rows.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.models.layers import segment_sum

#: Rows of a block at least and at most.
LEAST, MOST = 8, 256


@dataclass(frozen=True)
class Windows:
    """Where the rows of a pack are looked up.

    Attributes:
        size: Rows of a window, C.
        sample: Sample of each whole block.
        inside: True where a row of a block is of the block's sample.
        head_sample: Sample of each head, and of the window behind the last block.
        head: Rows of each head; some row where there are fewer than C.
        real: True where a row of a head is one.
    """

    size: int
    sample: Int[Tensor, " N"]
    inside: Bool[Tensor, "N C"]
    head_sample: Int[Tensor, " heads"]
    head: Int[Tensor, "heads C"]
    real: Bool[Tensor, "heads C"]

    @property
    def num_rows(self) -> int:
        """Rows in whole blocks."""
        return self.inside.numel()

    def blocks(self, values: Float[Tensor, "R ..."]) -> Float[Tensor, "N C ..."]:
        """Whole blocks of rows, as a view."""
        return values[: self.num_rows].unflatten(0, (self.sample.shape[0], self.size))


def windows_of(segment: Int[Tensor, " R"], count: int) -> Windows:
    """Windows for rows that lie sample by sample; there are to be some rows."""
    num, device = segment.shape[0], segment.device
    size = min(max(1 << (num // max(8 * count, 1)).bit_length(), LEAST), MOST, num)
    blocks = num // size
    sample_N = segment[: blocks * size : size]
    inside_NC = segment[: blocks * size].view(blocks, size) == sample_N[:, None]

    rows_S = segment.new_zeros(count).index_add(0, segment, torch.ones_like(segment))
    end_S = rows_S.cumsum(0)
    last = segment[min(blocks * size, num - 1)][None]
    head_sample = torch.cat([torch.arange(count, device=device), last])
    begin = torch.cat([end_S - rows_S, last.new_full((1,), blocks * size)])
    stop = torch.minimum(end_S[head_sample], (begin // size + 1) * size)
    # a sample that begins with a block, or with the window behind the last one, has no head
    headless = (begin % size == 0) & (torch.arange(count + 1, device=device) < count)
    stop = torch.where(headless, begin, stop)
    row_NC = begin[:, None] + torch.arange(size, device=device)
    return Windows(
        size=size,
        sample=sample_N,
        inside=inside_NC,
        head_sample=head_sample,
        head=row_NC.clamp(max=num - 1),
        real=row_NC < stop[:, None],
    )


def window_outer(
    left: Float[Tensor, "R ... K"], right: Float[Tensor, "R ... V"], segment: Int[Tensor, " R"], count: int
) -> Float[Tensor, "S ... K V"]:
    """Sum over the rows of each sample of the outer product of two vectors."""
    if not segment.shape[0]:
        return left.new_zeros(count, *left.shape[1:], right.shape[-1])
    at = windows_of(segment, count)
    whole = _product(_masked(at.blocks(left), at.inside), at.blocks(right))
    heads = _product(_masked(left[at.head], at.real), right[at.head])
    return segment_sum(torch.cat([whole, heads]), torch.cat([at.sample, at.head_sample]), count)


def window_apply(
    rows: Float[Tensor, "R ... K"], matrix: Float[Tensor, "S ... K V"], segment: Int[Tensor, " R"]
) -> Float[Tensor, "R ... V"]:
    """Every row times the matrix of its sample."""
    num = segment.shape[0]
    if not num:
        return rows.new_zeros(0, *rows.shape[1:-1], matrix.shape[-1])
    at = windows_of(segment, matrix.shape[0])
    whole = torch.einsum("nc...k,n...kv->nc...v", at.blocks(rows), matrix[at.sample]).flatten(0, 1)
    heads = torch.einsum("nc...k,n...kv->nc...v", rows[at.head], matrix[at.head_sample])
    # what is no row of a head is written behind the last row, and left there
    to = torch.where(at.real, at.head, num).flatten()
    padded = torch.cat([whole, whole.new_empty(num + 1 - at.num_rows, *whole.shape[1:])])
    return padded.index_copy(0, to, heads.flatten(0, 1))[:num]


def _masked(values: Float[Tensor, "N C ..."], kept: Bool[Tensor, "N C"]) -> Float[Tensor, "N C ..."]:
    return values * kept.view(*kept.shape, *[1] * (values.dim() - 2))


def _product(left: Float[Tensor, "N C ... K"], right: Float[Tensor, "N C ... V"]) -> Float[Tensor, "N ... K V"]:
    return torch.einsum("nc...k,nc...v->n...kv", left, right)
