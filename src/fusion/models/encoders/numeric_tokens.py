"""Encoder of numbers and categories as a token each, so that what stands behind can compare and multiply covariates.

Dimension key: S samples, R rows, F columns of a row, J bins, K tokens, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.encoders.piecewise_linear import PiecewiseLinear, known_values, require_one_row_each
from fusion.types import Samples


class NumericTokensEncoder(Encoder):
    """One token per covariate: its own bias, its values times a vector each, and a curve (Gorishniy et al. 2021, 2022).

    A covariate may have several columns: the levels of a category, of which one is set, or an analyte's level with its
    changes. Where its flag says that it is blank, a learned vector takes the place of the token. Bias, blank and curve
    (piecewise linear, see `PiecewiseLinear`) start at zero, so that the tokens of a fresh encoder sum up to a linear
    map of the columns.

    Args:
        num_features: Width of a row.
        dim: Width of a token.
        num_bins: Bins of the curve of a column; 0 leaves it a line.
        feature_dropout: Share of covariates hidden at each training step.
        token_of: Covariate of each column, 0 and up; a token for each column where it is not told. A flag belongs to
            the covariate of which it tells.
        missing_of: Column that tells of each column where it is blank, -1 where none does.
    """

    values: Tensor
    token: Tensor
    flag: Tensor

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        num_bins: int = 4,
        feature_dropout: float = 0.1,
        token_of: tuple[int, ...] = (),
        missing_of: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        token_of = token_of or tuple(range(num_features))
        self.missing_of = missing_of or (-1,) * num_features
        self.num_tokens = max(token_of) + 1
        self.feature_dropout = Dropout(feature_dropout)
        flags = {flag for flag in self.missing_of if flag >= 0}
        flag_of_token = {token_of[column]: flag for column, flag in enumerate(self.missing_of) if flag >= 0}
        self.register_buffer("token", torch.tensor(token_of), persistent=False)
        # a column of zeros is read by the tokens that have no flag
        flag_K = [flag_of_token.get(token, num_features) for token in range(self.num_tokens)]
        self.register_buffer("flag", torch.tensor(flag_K), persistent=False)
        is_value_F = [float(column not in flags) for column in range(num_features)]
        self.register_buffer("values", torch.tensor(is_value_F), persistent=False)
        bound = num_features**-0.5
        self.weight = nn.Parameter(torch.empty(num_features, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(self.num_tokens, dim))
        self.blank = nn.Parameter(torch.zeros(self.num_tokens, dim))
        self.bins = PiecewiseLinear(num_features=num_features, num_bins=num_bins)
        self.bend = nn.Parameter(torch.zeros(num_features, num_bins, dim))

    def prepare(self, samples: Samples) -> None:
        """Learn the edges of the bins."""
        self.bins.prepare(samples.rows, known_values(samples.rows, self.missing_of))

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        require_one_row_each(samples)
        rows_SF = samples.rows * self.values
        column_SFD = rows_SF[..., None] * self.weight + torch.einsum("sfj,fjd->sfd", self.bins(rows_SF), self.bend)
        token_SKD = self.bias.expand(len(rows_SF), -1, -1).index_add(1, self.token, column_SFD)
        is_blank_SK = functional.pad(samples.rows, (0, 1))[:, self.flag] > 0.5
        token_SKD = torch.where(is_blank_SK[..., None], self.blank, token_SKD)
        keep_SK1 = torch.ones_like(token_SKD[..., :1])
        return token_SKD * self.feature_dropout(keep_SK1)
