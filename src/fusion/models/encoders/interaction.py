"""Encoder of a vector assay that also knows products of its features: one signature may turn what another means.

Dimension key: S samples, K = 1 token, D width.
"""

from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.layers import ResidualMLP
from fusion.models.products import GatedProduct
from fusion.types import Samples


class InteractionEncoder(Encoder):
    """A linear map, a residual MLP, and a low-rank second-order term beside them, which starts at zero.

    Args:
        num_features: Width of a row.
        dim: Width of a token.
        rank: Products of two read-outs.
        hidden: Width inside the MLP; 0 leaves it out.
        dropout: Inside the MLP.
        feature_dropout: Share of input features hidden at each training step.
    """

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        rank: int = 8,
        hidden: int = 32,
        dropout: float = 0.2,
        feature_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.feature_dropout = Dropout(feature_dropout)
        self.project = nn.Linear(num_features, dim)
        self.product = GatedProduct(num_features=num_features, dim=dim, rank=rank)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout) if hidden else nn.Identity()
        nn.init.zeros_(self.project.bias)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        if samples.rows.shape[0] != samples.slot.shape[0]:
            raise ValueError("a vector assay has one row per sample; use a set encoder for sets of rows")
        row_SF = self.feature_dropout(samples.rows)
        return (self.mlp(self.project(row_SF)) + self.product(row_SF))[:, None]
