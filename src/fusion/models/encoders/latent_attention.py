"""Encoder of a bag of patches by a few learned queries that each read it their own way (Perceiver; Jaegle et al. 2021).

Dimension key: R patches, F features of a patch, S samples, L latents, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.bag_rows import RowDropout, segment_outer
from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP, segment_softmax
from fusion.types import Samples


class LatentAttentionEncoder(Encoder):
    """Cross-attention from `num_latents` queries to the patches of each sample; every latent gives a token.

    Keys and values are absorbed: `query . W x = (W' query) . x`, so one vector as wide as a patch stands for a query
    and its keys, and values are projected after pooling. No patch is ever projected, which leaves `num_latents`
    instead of `dim` numbers to compute for each. A latent has one head; for more heads take more latents.

    The first latent begins as the plain mean. The others begin with a view of their own and a weight of zero.

    Args:
        num_features: Width of a patch embedding.
        dim: Width of a token.
        num_latents: Queries, and tokens given.
        hidden: Width inside the MLP after pooling.
        dropout: Inside the MLP.
        patch_dropout: Share of patches left out at each training step.
    """

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        num_latents: int = 4,
        hidden: int = 16,
        dropout: float = 0.2,
        patch_dropout: float = 0.75,
    ) -> None:
        super().__init__()
        self.num_tokens = num_latents
        self.drop = RowDropout(patch_dropout)
        self.query = nn.Parameter(torch.randn(num_features, num_latents) / num_features**0.5)
        self.project = nn.Linear(num_features, dim)
        self.read = nn.Parameter(torch.zeros(num_latents, dim))
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.project.bias)
        with torch.no_grad():
            self.query[:, 0] = 0.0
            self.read[0] = 1.0

    def attention(self, samples: Samples) -> Float[Tensor, "R L"]:
        """Weight of every patch for each latent; those of a sample sum to one."""
        return segment_softmax(samples.rows @ self.query, samples.sample_of_row, samples.slot.shape[0])

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        rows_RF, segment_R = self.drop(samples)
        count = samples.slot.shape[0]
        weight_RL = segment_softmax(rows_RF @ self.query, segment_R, count)
        pooled_SLF = segment_outer(weight_RL, rows_RF, segment_R, count)
        return self.mlp(self.project(pooled_SLF) * self.read)
