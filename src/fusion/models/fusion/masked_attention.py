"""Fusion by attention over the tokens that exist, beside their plain sum."""

from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.layers import AttentionPool, ResidualMLP
from fusion.types import Tokens


class MaskedAttention(Fusion):
    """The sum of a visit's tokens, plus what the sum reads from them by attention, plus an MLP of the whole.

    The sum keeps the additive log hazard of independent assays: an absent one adds nothing, as a covariate at its mean
    would. A weighted mean alone would rescale every effect with the number of assays. Attention, asked by the sum, and
    the MLP add interactions between assays; both add nothing at the start.

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
        self.attend = AttentionPool(dim=dim, num_heads=num_heads, dropout=dropout)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.normal_(self.modality.weight, std=0.1)

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        sum_VD = (tokens.values * tokens.mask[..., None]).sum(dim=1)
        named_VMD = tokens.values + self.modality(tokens.modality)
        return self.mlp(sum_VD + self.attend(sum_VD, named_VMD, tokens.mask))
