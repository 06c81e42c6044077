"""Fusion through a bottleneck: a few latent tokens carry what modalities tell each other (Nagrani et al. 2021).

Dimension key: V visits, M tokens, L latents, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.layers import CrossAttention, ResidualMLP
from fusion.types import Tokens


class LatentBottleneck(Fusion):
    """Latents read from all tokens, every token reads from the latents and goes through an MLP, and tokens are summed.

    What passes between modalities has to fit into `num_latents` vectors: less room for chance interactions than in
    full self-attention, and a cost that grows with tokens times latents (as in Perceiver, Jaegle et al. 2021), which
    counts once a modality has many tokens. A fresh network is the plain sum of the tokens.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        num_latents: Number of latent tokens.
        num_heads: Attention heads.
        hidden: Width inside the MLP.
        dropout: Of attention weights and inside the MLP.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_modalities: int,
        num_latents: int = 4,
        num_heads: int = 4,
        hidden: int = 32,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.modality = nn.Embedding(num_modalities, dim)
        self.latent = nn.Parameter(torch.randn(num_latents, dim))
        self.gather = CrossAttention(dim=dim, num_heads=num_heads, dropout=dropout)
        self.spread = CrossAttention(dim=dim, num_heads=num_heads, dropout=dropout)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.normal_(self.modality.weight, std=0.1)

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        num_visits, num_latents = len(tokens.mask), len(self.latent)
        named_VMD = tokens.values + self.modality(tokens.modality)
        latent_VLD = self.latent.expand(num_visits, -1, -1)
        sees_VLM = tokens.mask[:, None].expand(-1, num_latents, -1)
        latent_VLD = latent_VLD + self.gather(latent_VLD, named_VMD, sees_VLM)
        token_VMD = self.mlp(tokens.values + self.spread(named_VMD, latent_VLD, torch.ones_like(sees_VLM).mT))
        return (token_VMD * tokens.mask[..., None]).sum(dim=1)
