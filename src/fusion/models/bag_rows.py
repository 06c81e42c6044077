"""What the encoders of bags share: dropping of rows, and products within samples whose rows lie end to end.

Dimension key: R rows, F features of a row, S samples, K and V widths, N blocks of C rows.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.models.layers import segment_sum
from fusion.types import Samples

#: Rows of a block; products within a sample are made block by block, as one batched matrix product.
BLOCK = 64


class RowDropout(nn.Module):
    """Leaves a share of the rows out at each training step; a sample never loses all that it has.

    Cheaper than dropout over the elements of a bag, and a stronger regulariser.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, samples: Samples) -> tuple[Float[Tensor, "R F"], Int[Tensor, " R"]]:
        """The rows that stay, in their order, and the sample of each."""
        rows_RF, segment_R = samples.rows, samples.sample_of_row
        kept = self.kept(samples)
        return (rows_RF, segment_R) if kept is None else (rows_RF[kept], segment_R[kept])

    def kept(self, samples: Samples) -> Int[Tensor, " N"] | None:
        """Places of the rows that stay; None for all."""
        if not (self.training and self.share):
            return None
        keep_R = torch.rand(samples.rows.shape[0], device=samples.rows.device) >= self.share
        full_S = samples.offsets[1:] > samples.offsets[:-1]
        keep_R[samples.offsets[:-1][full_S]] = True
        return keep_R.nonzero().squeeze(1)


@dataclass(frozen=True)
class Blocks:
    """Rows in blocks of equal size, each of one sample; what is left of a sample's last block is zero.

    Attributes:
        place: Where each row lies in the N * C places.
        segment: Sample of each block.
        size: Rows of a block, C.
    """

    place: Int[Tensor, " R"]
    segment: Int[Tensor, " N"]
    size: int

    def lay(self, values: Float[Tensor, "R ..."]) -> Float[Tensor, "N C ..."]:
        """Rows laid in their blocks."""
        flat = values.new_zeros(self.segment.shape[0] * self.size, *values.shape[1:])
        return flat.index_copy(0, self.place, values).unflatten(0, (self.segment.shape[0], self.size))


def blocks_of(segment: Int[Tensor, " R"], count: int) -> Blocks:
    """Blocks for rows that lie sample by sample; of at most the mean rows of a sample, so that little is padded."""
    num = segment.shape[0]
    size = min(BLOCK, max(1, num // max(count, 1)))
    rows_S = segment.new_zeros(count).index_add(0, segment, torch.ones_like(segment))
    blocks_S = (rows_S + size - 1) // size
    within_R = torch.arange(num, device=segment.device) - (rows_S.cumsum(0) - rows_S)[segment]
    place_R = ((blocks_S.cumsum(0) - blocks_S)[segment] + within_R // size) * size + within_R % size
    # as many blocks as there could be: asking how many there are would make a GPU wait
    number_N = torch.arange(num // size + count, device=segment.device)
    segment_N = torch.searchsorted(blocks_S.cumsum(0), number_N, right=True).clamp(max=max(count - 1, 0))
    return Blocks(place=place_R, segment=segment_N, size=size)


def segment_outer(
    left: Float[Tensor, "R ... K"], right: Float[Tensor, "R ... V"], segment: Int[Tensor, " R"], count: int
) -> Float[Tensor, "S ... K V"]:
    """Sum over the rows of each sample of the outer product of two vectors; an empty sample sums to zero.

    Args:
        left: First vector of every row, with any axes between.
        right: Second vector.
        segment: Sample of each row, never decreasing.
        count: Number of samples.

    >>> weight, rows = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> segment_outer(weight, rows, torch.tensor([0, 0, 1]), 2)
    tensor([[[1., 2.]],
    <BLANKLINE>
            [[3., 3.]]])
    """
    blocks = blocks_of(segment, count)
    product = torch.einsum("nc...k,nc...v->n...kv", blocks.lay(left), blocks.lay(right))
    return segment_sum(product, blocks.segment, count)


def segment_apply(
    rows: Float[Tensor, "R ... K"], matrix: Float[Tensor, "S ... K V"], segment: Int[Tensor, " R"]
) -> Float[Tensor, "R ... V"]:
    """Every row times the matrix of its sample.

    >>> segment_apply(torch.ones(3, 1), torch.tensor([[[2.0]], [[5.0]]]), torch.tensor([0, 0, 1])).squeeze(1)
    tensor([2., 2., 5.])
    """
    blocks = blocks_of(segment, matrix.shape[0])
    product = torch.einsum("nc...k,n...kv->nc...v", blocks.lay(rows), matrix[blocks.segment])
    return product.flatten(0, 1)[blocks.place]
