"""Encoder of a bag of patches by gated attention pooling (ABMIL; Ilse, Tomczak and Welling, 2018).

Dimension key: R patches, F features of a patch, S samples, H hidden width, E = 2 H, K = 1 token, D width.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.bag_rows import RowDropout, segment_outer
from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP, segment_softmax
from fusion.types import Samples


class GatedAttentionEncoder(Encoder):
    """Attention-weighted mean of projected patches; all weights are equal at the start, so it begins as the mean.

    The projection is linear, so the attention network may read patches through the product of both maps, and the
    projection come after pooling. Where that is less to compute (`dim` well above `hidden`) no patch is projected.

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
        # multiplications per patch, forward and backward
        self.absorbs = 2 * num_features * 2 * hidden < 2 * num_features * dim + 3 * dim * 2 * hidden
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.score.weight)

    def attention(self, patch_RD: Float[Tensor, "R D"]) -> Float[Tensor, "R 1"]:
        """Unnormalised attention score of every projected patch."""
        return self.gated(functional.linear(patch_RD, *self.both()))

    def both(self) -> tuple[Float[Tensor, "E D"], Float[Tensor, " E"]]:
        """Attention and gate as one map, so that patches are read once."""
        return torch.cat([self.attend.weight, self.gate.weight]), torch.cat([self.attend.bias, self.gate.bias])

    def gated(self, both_RE: Float[Tensor, "R E"]) -> Float[Tensor, "R 1"]:
        """Score of what attention and gate say of a patch."""
        attend_RH, gate_RH = both_RE.chunk(2, dim=1)
        return self.score(torch.tanh(attend_RH) * torch.sigmoid(gate_RH))

    def pooled(self, rows_RF: Float[Tensor, "R F"], segment_R: Int[Tensor, " R"], count: int) -> Float[Tensor, "S D"]:
        """Weighted mean of the projected patches of each sample; zero where there is none."""
        if not self.absorbs:
            patch_RD = self.project(rows_RF)
            weight_R1 = segment_softmax(self.attention(patch_RD), segment_R, count)
            return segment_outer(weight_R1, patch_RD, segment_R, count)[:, 0]
        weight_ED, bias_E = self.both()
        shift_E = weight_ED @ self.project.bias + bias_E
        both_RE = functional.linear(rows_RF, weight_ED @ self.project.weight, shift_E)
        weight_R1 = segment_softmax(self.gated(both_RE), segment_R, count)
        mean_SF = segment_outer(weight_R1, rows_RF, segment_R, count)[:, 0]
        full_S1 = segment_R.new_zeros(count, 1).index_fill(0, segment_R, 1)
        return functional.linear(mean_SF, self.project.weight) + full_S1 * self.project.bias

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        rows_RF, segment_R = self.drop(samples)
        return self.mlp(self.pooled(rows_RF, segment_R, samples.slot.shape[0]))[:, None]
