"""Encoder of mutation burden alone: how many variants there are, not which; the yardstick for all that reads genes.

Dimension key: S samples, K = 1 token, D width.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP
from fusion.models.variant_rows import burden_of
from fusion.types import Samples


class BurdenEncoder(Encoder):
    """A linear map of the burden row, then a residual MLP: too few mutations and too many may both be bad.

    Args:
        burden_columns: Columns of a row that the burden row fills.
        dim: Width of a token.
        hidden: Width inside the MLP.
        dropout: Inside the MLP.
    """

    def __init__(self, *, burden_columns: Sequence[int], dim: int, hidden: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.columns = tuple(burden_columns)
        self.project = nn.Linear(len(self.columns), dim)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.project.bias)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        return self.mlp(self.project(burden_of(samples, self.columns)))[:, None]
