"""A product of two learned read-outs, which a linear layer cannot make and an MLP is slow to learn from few patients.

Dimension key: N rows, F features, K products, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class GatedProduct(nn.Module):
    """`W3 [tanh(W1 x + b) * W2 x]`, of low rank; W3 starts at zero, so that it adds nothing yet learns at once.

    A factorisation machine (Rendle, 2010) whose first factor saturates: close to zero it is a product of two
    features, far from it the sign of the one times the other (an effect of T cells that turns with the subtype).

    Args:
        num_features: Width of a row.
        dim: Width of what is added.
        rank: Number of products.
    """

    def __init__(self, *, num_features: int, dim: int, rank: int) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank {rank} leaves no product; set it to 1 or more, or choose an encoder without one")
        self.gate = nn.Linear(num_features, rank)
        self.value = nn.Linear(num_features, rank, bias=False)
        self.out = nn.Linear(rank, dim, bias=False)
        nn.init.zeros_(self.gate.bias)
        nn.init.zeros_(self.out.weight)

    def forward(self, row_NF: Float[Tensor, "N F"]) -> Float[Tensor, "N D"]:
        return self.out(torch.tanh(self.gate(row_NF)) * self.value(row_NF))
