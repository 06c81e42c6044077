"""Projected patches read by the questions of their sample, forward and backward by hand for a CPU.

A CPU spends as long on fetching fresh memory as on products. By hand the only thing as long as the bags is their
projection: what flows back is made sample by sample in one small product and used up at once, where autograd would keep
five arrays of that size.

Dimension key: R patches, F features of a patch, S samples, L questions of a sample, D width, N patches of a piece.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Patches of a piece at most: what is made of them stays in the processor's cache.
PIECE = 2048


class ProjectAndRead(torch.autograd.Function):
    """`softmax(query h') h` for each sample, with h = relu(rows W' + b); zero where a sample has no rows."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Float[Tensor, "R F"],
        weight: Float[Tensor, "D F"],
        bias: Float[Tensor, " D"],
        query: Float[Tensor, "S L D"],
        counts: list[int],
    ) -> Float[Tensor, "S L D"]:
        patch_RD = torch.addmm(bias, rows, weight.T).relu_()
        exact = torch.promote_types(rows.dtype, torch.float32)
        shares, answers = [], []
        for query_LD, patch_ND in zip(query.unbind(), patch_RD.split(counts), strict=True):
            share_LN = (query_LD @ patch_ND.T).softmax(dim=1, dtype=exact)
            shares.append(share_LN)
            answers.append(share_LN.to(rows.dtype) @ patch_ND)
        ctx.counts = counts
        ctx.save_for_backward(rows, weight, query, patch_RD, *shares)
        return torch.stack(answers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_SLD: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, query, patch_RD, *shares = ctx.saved_tensors
        exact = shares[0].dtype if shares else weight.dtype
        query_slope, weight_slope = torch.zeros_like(query), torch.zeros_like(weight, dtype=exact)
        bias_slope = weight_slope.new_zeros(len(weight))
        row_slopes: list[Tensor] = []
        samples = zip(slope_SLD, query, shares, patch_RD.split(ctx.counts), rows.split(ctx.counts), strict=True)
        for number, (slope_LD, query_LD, share_LN, patch_ND, row_NF) in enumerate(samples):
            pull_LN = (slope_LD @ patch_ND.T).to(exact)
            score_LN = share_LN * (pull_LN - (pull_LN * share_LN).sum(dim=1, keepdim=True))
            query_slope[number] = score_LN.to(query.dtype) @ patch_ND
            # what a patch is pulled by as a key and as a value, in one product
            both_EN, both_ED = torch.cat([score_LN, share_LN]).to(query.dtype), torch.cat([query_LD, slope_LD])
            for both_En, patch_nD, row_nF in zip(
                both_EN.split(PIECE, dim=1), patch_ND.split(PIECE), row_NF.split(PIECE), strict=True
            ):
                # of ReLU, in one pass over both
                back_nD = torch.ops.aten.threshold_backward(both_En.T @ both_ED, patch_nD, 0)
                bias_slope += back_nD.sum(dim=0, dtype=exact)
                if weight_slope.dtype == rows.dtype:
                    weight_slope.addmm_(back_nD.T, row_nF)
                else:
                    weight_slope += back_nD.T @ row_nF
                if ctx.needs_input_grad[0]:
                    row_slopes.append(back_nD @ weight)
        row_slope = torch.cat([rows[:0], *row_slopes]) if ctx.needs_input_grad[0] else None
        return row_slope, weight_slope.to(weight.dtype), bias_slope.to(weight.dtype), query_slope, None


def project_and_read(
    rows: Float[Tensor, "R F"],
    weight: Float[Tensor, "D F"],
    bias: Float[Tensor, " D"],
    query: Float[Tensor, "S L D"],
    counts: list[int],
) -> Float[Tensor, "S L D"]:
    """What the questions of each sample read from its projected and rectified rows, which are keys and values at once.

    Args:
        rows: Patches, sample by sample.
        weight: Of the projection.
        bias: Of the projection.
        query: Questions, the projection of the keys and the scale folded into them.
        counts: Patches of each sample.

    >>> one = torch.ones(1, 1)
    >>> project_and_read(torch.tensor([[1.0], [3.0], [5.0]]), one, torch.zeros(1), torch.zeros(2, 1, 1), [2, 1])
    tensor([[[2.]],
    <BLANKLINE>
            [[5.]]])
    """
    if torch.is_autocast_enabled(rows.device.type):
        half = torch.get_autocast_dtype(rows.device.type)
        rows, weight, bias, query = rows.to(half), weight.to(half), bias.to(half), query.to(half)
    answer: Tensor = ProjectAndRead.apply(rows, weight, bias, query, counts)
    return answer
