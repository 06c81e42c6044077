"""Encoder of an assay that is one vector per sample: clinical, expression, methylation, plasma, labs."""

from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.layers import ResidualMLP
from fusion.types import Samples


class VectorEncoder(Encoder):
    """A linear map to the model's width, then a self-normalising residual MLP that starts as the identity.

    Args:
        num_features: Width of a row.
        dim: Width of a token.
        hidden: Width inside the MLP; 0 leaves the encoder linear.
        dropout: Inside the MLP.
        feature_dropout: Share of input features hidden at each training step.
    """

    def __init__(
        self, *, num_features: int, dim: int, hidden: int = 32, dropout: float = 0.2, feature_dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.feature_dropout = Dropout(feature_dropout)
        self.project = nn.Linear(num_features, dim)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout) if hidden else nn.Identity()
        nn.init.zeros_(self.project.bias)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        if samples.rows.shape[0] != samples.slot.shape[0]:
            raise ValueError("a vector assay has one row per sample; use a set encoder for sets of rows")
        return self.mlp(self.project(self.feature_dropout(samples.rows)))[:, None]


class LinearEncoder(VectorEncoder):
    """The linear map alone."""

    def __init__(self, *, num_features: int, dim: int, feature_dropout: float = 0.1) -> None:
        super().__init__(num_features=num_features, dim=dim, hidden=0, dropout=0.0, feature_dropout=feature_dropout)
