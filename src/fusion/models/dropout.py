"""Dropout that draws eight elements at once on a CPU, where torch's draw costs more than the product it regularises."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

#: A draw has one byte: rates are whole numbers of 1/256.
LEVELS = 256


def draw_kept(shape: torch.Size, kept: int) -> Bool[Tensor, "..."]:
    """True with probability `kept` / 256, each element by itself.

    >>> round(draw_kept(torch.Size([1000, 1000]), 64).float().mean().item(), 2)
    0.25
    """
    count = math.prod(shape)
    words = torch.randint(-(2**63), 2**63 - 1, (-(-count // 8),))
    return words.view(torch.uint8)[:count].view(shape) < kept


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`; on a CPU its rate is rounded to 1/256, and what stays is scaled by the rounded rate."""

    def forward(self, input: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        kept = round(LEVELS * (1.0 - self.p))
        if not self.training or not 0 < kept < LEVELS or input.device.type != "cpu":
            return functional.dropout(input, self.p, self.training)
        return input * draw_kept(input.shape, kept).to(input.dtype).mul_(LEVELS / kept)
