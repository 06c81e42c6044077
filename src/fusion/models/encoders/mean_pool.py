"""Encoder of a set of rows by their plain mean, the yardstick of every other way to pool."""

from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.bag_rows import RowDropout
from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP, segment_sum
from fusion.types import Samples


class MeanPoolEncoder(Encoder):
    """Mean of the rows, a linear map, and a residual MLP that starts as the identity.

    Args:
        num_features: Width of a row.
        dim: Width of a token.
        hidden: Width inside the MLP.
        dropout: Inside the MLP.
        patch_dropout: Share of rows left out at each training step.
    """

    def __init__(
        self, *, num_features: int, dim: int, hidden: int = 16, dropout: float = 0.2, patch_dropout: float = 0.85
    ) -> None:
        super().__init__()
        self.drop = RowDropout(patch_dropout)
        self.project = nn.Linear(num_features, dim)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.project.bias)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        rows_RF, segment_R = self.drop(samples)
        count = samples.slot.shape[0]
        number_S = segment_sum(rows_RF.new_ones(rows_RF.shape[0]), segment_R, count)
        mean_SF = segment_sum(rows_RF, segment_R, count) / number_S.clamp(min=1.0)[:, None]
        return self.mlp(self.project(mean_SF))[:, None]
