"""Encoder of numbers whose effect bends: sines and cosines of learned frequencies, beside a line.

Dimension key: S samples, R rows, F features, J frequencies, W = 2 J waves, D width.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.encoders.piecewise_linear import require_one_row_each
from fusion.models.layers import ResidualMLP
from fusion.types import Samples


class PeriodicEncoder(Encoder):
    """A line and a smooth curve for each feature, summed (Gorishniy et al. 2022, periodic activations).

    The curve of a feature is a weighted sum of `sin(2 pi c x)` and `cos(2 pi c x) - 1`, which say nothing of a value of
    zero, the training mean and the blank. Its weights start at zero, so that a fresh encoder is the linear map. It is
    smoother than the piecewise linear one, needs no training values to set it up, and cannot be read off bin by bin.

    Args:
        num_features: Width of a row, in units of the training sd.
        dim: Width of a token.
        num_frequencies: Frequencies c of a feature.
        sigma: Sd of the frequencies at the start; at 0.1, half a wave fits in five sds. Large values fit noise.
        hidden: Width of a residual MLP behind, for what features do together; 0 leaves the encoder additive.
        dropout: Inside the MLP.
        feature_dropout: Share of input features hidden at each training step, line and curve together.
    """

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        num_frequencies: int = 4,
        sigma: float = 0.1,
        hidden: int = 0,
        dropout: float = 0.2,
        feature_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.feature_dropout = Dropout(feature_dropout)
        self.project = nn.Linear(num_features, dim)
        self.frequency = nn.Parameter(torch.randn(num_features, num_frequencies) * sigma)
        self.bend = nn.Parameter(torch.zeros(num_features, 2 * num_frequencies, dim))
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout) if hidden else nn.Identity()
        nn.init.zeros_(self.project.bias)

    def waves(self, rows: Float[Tensor, "R F"]) -> Float[Tensor, "R F W"]:
        """Sines and cosines of every feature, zero at zero."""
        angle_RFJ = 2 * math.pi * rows[..., None] * self.frequency
        return torch.cat([angle_RFJ.sin(), angle_RFJ.cos() - 1.0], dim=-1)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        require_one_row_each(samples)
        keep_SF = self.feature_dropout(torch.ones_like(samples.rows))
        bent_SD = torch.einsum("sfj,fjd->sd", self.waves(samples.rows) * keep_SF[..., None], self.bend)
        return self.mlp(self.project(samples.rows * keep_SF) + bent_SD)[:, None]
