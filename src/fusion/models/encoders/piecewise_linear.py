"""Encoder of numbers whose effect bends: piecewise linear between quantiles of the training values, beside a line.

Dimension key: S samples, R rows, F features, J bins, D width.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.layers import ResidualMLP
from fusion.types import Samples


def quantile_edges(values: Float[Tensor, " R"], num_bins: int) -> Float[Tensor, " E"]:
    """Edges of at most `num_bins` bins with about as many values in each; none where the values have no middle.

    Equal quantiles are one edge, so that a value shared by many opens no empty bin. Two distinct values, as of a flag,
    have nothing between them that a line would miss.

    >>> quantile_edges(torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]), 2)
    tensor([0., 2., 4.])
    >>> quantile_edges(torch.tensor([0.0, 1.0, 1.0]), 2)
    tensor([])
    """
    known = values.sort().values
    if len(known.unique()) < 3:
        return known.new_zeros(0)
    place = torch.linspace(0, len(known) - 1, num_bins + 1, device=known.device).round().long()
    edges = known[place].unique()
    return edges if len(edges) > 2 else known.new_zeros(0)


class PiecewiseLinear(nn.Module):
    """How far a value has come through each bin: 0 below, 1 above, linear inside (Gorishniy et al. 2022, PLE).

    What zero would give is subtracted: zero stands for a blank and for the training mean, and says nothing. Unused bins
    begin at infinity, which no value reaches. A fresh object has no bins, and gives zeros.

    Args:
        num_features: Features of a row.
        num_bins: Bins of a feature, at most.
    """

    low: Tensor
    width: Tensor

    def __init__(self, *, num_features: int, num_bins: int) -> None:
        super().__init__()
        self.num_bins = num_bins
        self.register_buffer("low", torch.full((num_features, num_bins), torch.inf))
        self.register_buffer("width", torch.ones(num_features, num_bins))

    def prepare(self, rows: Float[Tensor, "R F"], known: Bool[Tensor, "R F"]) -> None:
        """Set the edges at quantiles of the known training values."""
        self.low.fill_(torch.inf)
        self.width.fill_(1.0)
        for feature in range(rows.shape[1]):
            edges = quantile_edges(rows[known[:, feature], feature], self.num_bins)
            used = max(len(edges) - 1, 0)
            self.low[feature, :used] = edges[:-1]
            self.width[feature, :used] = edges.diff()

    def forward(self, rows: Float[Tensor, "R F"]) -> Float[Tensor, "R F J"]:
        at_zero_FJ = (-self.low / self.width).clamp(0.0, 1.0)
        return ((rows[..., None] - self.low) / self.width).clamp(0.0, 1.0) - at_zero_FJ


class PiecewiseLinearEncoder(Encoder):
    """A line and a piecewise linear curve for each feature, summed: an additive model with bends.

    The curves start at zero: a fresh encoder is the linear map of the features. A U-shaped effect, of both the highly
    and the hardly methylated, is two bends, which a linear encoder cannot make at all. Beyond the outermost edges a
    curve is held, and the line goes on.

    Args:
        num_features: Width of a row.
        dim: Width of a token.
        num_bins: Bins of a feature; few, as each costs `dim` weights.
        hidden: Width of a residual MLP behind, for what features do together; 0 leaves the encoder additive.
        dropout: Inside the MLP.
        feature_dropout: Share of input features hidden at each training step, line and curve together.
        missing_of: Column that tells of each column where it is blank, -1 where none does; blanks set no edges.
    """

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        num_bins: int = 4,
        hidden: int = 0,
        dropout: float = 0.2,
        feature_dropout: float = 0.1,
        missing_of: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.missing_of = missing_of
        self.feature_dropout = Dropout(feature_dropout)
        self.project = nn.Linear(num_features, dim)
        self.bins = PiecewiseLinear(num_features=num_features, num_bins=num_bins)
        self.bend = nn.Parameter(torch.zeros(num_features, num_bins, dim))
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout) if hidden else nn.Identity()
        nn.init.zeros_(self.project.bias)

    def prepare(self, samples: Samples) -> None:
        """Learn the edges of the bins."""
        self.bins.prepare(samples.rows, known_values(samples.rows, self.missing_of))

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        require_one_row_each(samples)
        keep_SF = self.feature_dropout(torch.ones_like(samples.rows))
        bent_SD = torch.einsum("sfj,fjd->sd", self.bins(samples.rows) * keep_SF[..., None], self.bend)
        return self.mlp(self.project(samples.rows * keep_SF) + bent_SD)[:, None]


def known_values(rows: Float[Tensor, "R F"], missing_of: tuple[int, ...]) -> Bool[Tensor, "R F"]:
    """True where no flag says that the value is blank.

    Args:
        rows: Values and their flags.
        missing_of: Column of the flag of each column, -1 where it has none; empty where no column has one.

    >>> known_values(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), (1, -1))
    tensor([[False,  True],
            [ True,  True]])
    """
    if not missing_of:
        return torch.ones_like(rows, dtype=torch.bool)
    flag_F = torch.tensor(missing_of, device=rows.device)
    return (rows[:, flag_F.clamp(min=0)] < 0.5) | (flag_F < 0)


def require_one_row_each(samples: Samples) -> None:
    """Raise a ValueError where samples are sets of rows."""
    if samples.rows.shape[0] != samples.slot.shape[0]:
        raise ValueError("a vector assay has one row per sample; use a set encoder for sets of rows")
