"""Fusion by pairwise products: every pair of tokens may act together (factorisation machine, Rendle 2010).

Dimension key: V visits, M tokens, R rank, D width.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.dropout import Dropout
from fusion.models.layers import GroupLinear
from fusion.types import Tokens


class PairwiseProducts(Fusion):
    """The sum of the tokens, plus a map of the products of all pairs of tokens, summed over pairs, for each rank.

    With `z = W t` of each token, `((sum z)^2 - sum z^2) / 2` is the sum over pairs at the cost of a sum over tokens.
    It has second order and no other: what a Cox model with interaction terms would have, also between tokens of one
    modality, such as two pathways. `W` is the modality's own. The map starts at zero: a fresh network is the plain sum
    of the tokens. Products are not bounded; where inputs have outliers, `LowRankBilinear` is safer.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        rank: Number of products of each pair.
        dropout: Of the summed products.
    """

    def __init__(self, *, dim: int, num_modalities: int, rank: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.factor = GroupLinear(num_groups=num_modalities, num_in=dim, num_out=rank, bias=False)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(rank, dim, bias=False)
        nn.init.zeros_(self.out.weight)

    def pairs(self, token: Float[Tensor, "V M D"], modality: Int[Tensor, " M"]) -> Float[Tensor, "V R"]:
        """Sum over pairs of tokens of the products of their factors; tokens that are not there are zero."""
        factor_VMR = torch.einsum("vmd,mrd->vmr", token, self.factor.weight[modality])
        return 0.5 * (factor_VMR.sum(dim=1).square() - factor_VMR.square().sum(dim=1))

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        token_VMD = tokens.values * tokens.mask[..., None]
        return token_VMD.sum(dim=1) + self.out(self.dropout(self.pairs(token_VMD, tokens.modality)))
