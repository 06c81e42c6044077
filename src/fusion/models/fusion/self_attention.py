"""Fusion by self-attention: a small Transformer encoder over the tokens of a visit (Vaswani et al. 2017, pre-norm).

Dimension key: V visits, M tokens, D width.
"""

from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.layers import CrossAttention, ResidualMLP
from fusion.types import Tokens


class SelfAttention(Fusion):
    """Every token reads from all tokens of its visit, goes through an MLP, and the tokens are summed.

    Which modality a token comes from is added where attention looks, not to what is summed: a fresh network is the
    plain sum of the tokens. Against `MaskedAttention`, where the sum alone asks, each token asks for itself.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        num_layers: Layers of attention and MLP.
        num_heads: Attention heads.
        hidden: Width inside the MLPs.
        dropout: Of attention weights and inside the MLPs.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_modalities: int,
        num_layers: int = 1,
        num_heads: int = 4,
        hidden: int = 32,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.modality = nn.Embedding(num_modalities, dim)
        self.attend = nn.ModuleList(
            CrossAttention(dim=dim, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )
        self.mlp = nn.ModuleList(ResidualMLP(dim=dim, hidden=hidden, dropout=dropout) for _ in range(num_layers))
        nn.init.normal_(self.modality.weight, std=0.1)

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        name_MD = self.modality(tokens.modality)
        sees_VMM = tokens.mask[:, None].expand(-1, tokens.mask.shape[1], -1)
        token_VMD = tokens.values
        for attend, mlp in zip(self.attend, self.mlp, strict=True):
            named_VMD = token_VMD + name_MD
            token_VMD = mlp(token_VMD + attend(named_VMD, named_VMD, sees_VMM))
        return (token_VMD * tokens.mask[..., None]).sum(dim=1)
