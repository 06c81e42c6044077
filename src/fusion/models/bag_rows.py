"""What the encoders of bags share: dropping of rows, and products within samples whose rows lie end to end.

No bag is padded, and no row is copied but a few at the edges of samples. On a CPU a product is made sample by sample:
a large product each, and a loop costs nothing beside it. On a GPU, or where samples are small, it is made window by
window in two batched products, whatever the number of samples (`bag_windows.py`).

Dimension key: R rows, F features of a row, S samples, K and V widths, L queries.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.models.bag_windows import window_apply, window_outer
from fusion.models.layers import segment_softmax
from fusion.types import Samples

#: Multiplications per sample from which on a loop over samples on a CPU is the faster way.
LARGE = 1 << 17


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
        if kept is not None:
            rows_RF, segment_R = rows_RF[kept], segment_R[kept]
        return working_precision(rows_RF), segment_R

    def kept(self, samples: Samples) -> Int[Tensor, " N"] | None:
        """Places of the rows that stay; None for all."""
        if not (self.training and self.share):
            return None
        keep_R = torch.rand(samples.rows.shape[0], device=samples.rows.device) >= self.share
        full_S = samples.offsets[1:] > samples.offsets[:-1]
        keep_R[samples.offsets[:-1][full_S]] = True
        return keep_R.nonzero().squeeze(1)


def working_precision(rows: Float[Tensor, "R F"]) -> Float[Tensor, "R F"]:
    """Rows that lie in half precision as the weights are; under autocast as they lie, since products take them so."""
    if torch.is_autocast_enabled(rows.device.type):
        return rows
    return rows.to(torch.promote_types(rows.dtype, torch.get_default_dtype()))


def by_sample(num_products: int, count: int, device: torch.device) -> bool:
    """Whether a loop over samples is the way to make this many multiplications for `count` samples."""
    return device.type == "cpu" and count > 0 and num_products >= count * LARGE


def split_samples(values: Float[Tensor, "R ..."], segment: Int[Tensor, " R"], count: int) -> tuple[Tensor, ...]:
    """Rows of each sample. Slices would make the backward pass fill the whole pack with zeros once per sample."""
    return values.split(segment.bincount(minlength=count).tolist())


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
    left = left.to(right.dtype)
    if not by_sample(left.numel() * right.shape[-1], count, left.device):
        return window_outer(left, right, segment, count)
    pairs = zip(split_samples(left, segment, count), split_samples(right, segment, count), strict=True)
    return torch.stack([one.movedim(0, -1) @ other.movedim(0, -2) for one, other in pairs])


def segment_apply(
    rows: Float[Tensor, "R ... K"], matrix: Float[Tensor, "S ... K V"], segment: Int[Tensor, " R"]
) -> Float[Tensor, "R ... V"]:
    """Every row times the matrix of its sample.

    >>> segment_apply(torch.ones(3, 1), torch.tensor([[[2.0]], [[5.0]]]), torch.tensor([0, 0, 1])).squeeze(1)
    tensor([2., 2., 5.])
    """
    count = matrix.shape[0]
    if not by_sample(rows.numel() * matrix.shape[-1], count, rows.device):
        return window_apply(rows, matrix, segment)
    pairs = zip(split_samples(rows, segment, count), matrix.unbind(), strict=True)
    return torch.cat([(row.movedim(0, -2) @ one).movedim(-2, 0) for row, one in pairs])


def read_bags(
    query: Float[Tensor, "S L F"], rows: Float[Tensor, "R F"], segment: Int[Tensor, " R"]
) -> Float[Tensor, "S L F"]:
    """What each query of a sample reads from its rows by attention; zero where the sample has none.

    Rows are keys and values at once: fold the projection of the keys, and the scale, into the queries beforehand, and
    project what was read, so that no keys and values as many as patches are ever made.

    >>> read_bags(torch.zeros(1, 1, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
    tensor([[[0.5000, 0.5000]]])
    """
    count = query.shape[0]
    if not by_sample(rows.numel() * query.shape[1], count, rows.device):
        weight_RL = segment_softmax(segment_apply(rows, query.mT, segment), segment, count)
        return segment_outer(weight_RL, rows, segment, count)
    # softmax in fp32 also where products are in bf16
    exact = torch.promote_types(query.dtype, torch.float32)
    pairs = zip(query.unbind(), split_samples(rows, segment, count), strict=True)
    return torch.stack([(one @ row.T).softmax(dim=1, dtype=exact).to(row.dtype) @ row for one, row in pairs])
