"""Encoder of a bag of patches by gated attention pooling (ABMIL; Ilse, Tomczak and Welling, 2018)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.bag_rows import RowDropout
from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP, segment_softmax, segment_sum
from fusion.types import Samples


class GatedAttentionEncoder(Encoder):
    """Attention-weighted mean of projected patches; all weights are equal at the start, so it begins as the mean.

    Args:
        num_features: Width of a patch embedding.
        dim: Width of a token.
        hidden: Width of the attention network and of the MLP after pooling.
        dropout: Inside the MLP.
        patch_dropout: Share of patches left out at each training step.
    """

    def __init__(
        self, *, num_features: int, dim: int, hidden: int = 16, dropout: float = 0.2, patch_dropout: float = 0.75
    ) -> None:
        super().__init__()
        self.project = nn.Linear(num_features, dim)
        self.attend = nn.Linear(dim, hidden)
        self.gate = nn.Linear(dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        self.drop = RowDropout(patch_dropout)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.score.weight)

    def attention(self, patch_RD: Float[Tensor, "R D"]) -> Float[Tensor, "R 1"]:
        """Unnormalised attention score of every projected patch."""
        return self.score(torch.tanh(self.attend(patch_RD)) * torch.sigmoid(self.gate(patch_RD)))

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        rows_RF, segment_R = self.drop(samples)
        count = samples.slot.shape[0]
        patch_RD = self.project(rows_RF)
        weight_R1 = segment_softmax(self.attention(patch_RD), segment_R, count)
        return self.mlp(segment_sum(weight_R1 * patch_RD, segment_R, count))[:, None]
