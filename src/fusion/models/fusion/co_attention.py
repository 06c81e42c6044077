"""Fusion by co-attention: the other modalities ask, the tokens of a bag-like modality answer (MCAT, Chen et al. 2021).

Dimension key: V visits, M tokens, D width.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.layers import CrossAttention, ResidualMLP
from fusion.types import Tokens


def who_asks_whom(modality: Int[Tensor, " M"]) -> Bool[Tensor, "M M"]:
    """True where the token of the row may read from that of the column.

    Bag-like is a modality with more than one token. Tokens read from bag-like modalities other than their own; where
    none is bag-like, from all modalities but their own.

    >>> import torch
    >>> who_asks_whom(torch.tensor([0, 1, 2, 2])).int()
    tensor([[0, 0, 1, 1],
            [0, 0, 1, 1],
            [0, 0, 0, 0],
            [0, 0, 0, 0]], dtype=torch.int32)
    >>> who_asks_whom(torch.tensor([0, 1])).int()
    tensor([[0, 1],
            [1, 0]], dtype=torch.int32)
    """
    same_MM = modality[:, None] == modality
    bag_M = same_MM.sum(dim=1) > 1
    return (bag_M | ~bag_M.any()) & ~same_MM


class CoAttention(Fusion):
    """Tokens of the other modalities read from those of a slide; an MLP sees each with what it read; all are summed.

    It works over the K tokens into which the slide's encoder has put it (latents, prototypes), not over every patch as
    in the paper: choose an encoder with several tokens for the slide. Modalities of one token meet only through the
    bag. If no modality has several tokens, each attends to all others. A fresh network is the plain sum of the tokens.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        num_heads: Attention heads.
        hidden: Width inside the MLP.
        dropout: Of attention weights and inside the MLP.
    """

    def __init__(
        self, *, dim: int, num_modalities: int, num_heads: int = 4, hidden: int = 32, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.modality = nn.Embedding(num_modalities, dim)
        self.attend = CrossAttention(dim=dim, num_heads=num_heads, dropout=dropout)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.normal_(self.modality.weight, std=0.1)

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        named_VMD = tokens.values + self.modality(tokens.modality)
        sees_VMM = who_asks_whom(tokens.modality) & tokens.mask[:, None]
        token_VMD = self.mlp(tokens.values + self.attend(named_VMD, named_VMD, sees_VMM))
        return (token_VMD * tokens.mask[..., None]).sum(dim=1)
