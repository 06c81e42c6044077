"""Fusion by attention over the tokens that exist, beside their plain sum."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.layers import AttentionBlock
from fusion.types import Tokens


class MaskedAttention(Fusion):
    """The sum of a visit's tokens, plus what self-attention makes of them, read at a query that is always there.

    The sum keeps the additive log hazard of independent assays: an absent one adds nothing, as a covariate at its mean
    would. Attention adds interactions. A weighted mean alone would rescale every effect with the number of assays.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        num_heads: Attention heads.
        num_layers: Attention blocks.
        dropout: Of attention weights.
    """

    def __init__(
        self, *, dim: int, num_modalities: int, num_heads: int = 4, num_layers: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(dim))
        self.modality = nn.Embedding(num_modalities, dim)
        self.blocks = nn.ModuleList(
            AttentionBlock(dim=dim, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )
        nn.init.normal_(self.modality.weight, std=0.1)
        nn.init.normal_(self.query, std=0.1)

    def forward(self, tokens: Tokens) -> Float[Tensor, "B T D"]:
        b, t, m, d = tokens.values.shape
        sum_BTD = (tokens.values * tokens.mask[..., None]).sum(dim=2)
        named_NMD = (tokens.values + self.modality(tokens.modality)).view(b * t, m, d)
        x_NMD = torch.cat([self.query.expand(b * t, 1, d), named_NMD], dim=1)
        mask_NM = torch.cat([x_NMD.new_ones(b * t, 1, dtype=torch.bool), tokens.mask.view(b * t, m)], dim=1)
        for block in self.blocks:
            x_NMD = block(x_NMD, mask_NM)
        return sum_BTD + (x_NMD[:, 0] - self.query).view(b, t, d)
