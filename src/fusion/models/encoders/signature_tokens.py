"""Encoder of a vector assay as one token per column, so that attention and products can combine signatures.

Dimension key: S samples, K = F columns of a row, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.types import Samples


class SignatureTokensEncoder(Encoder):
    """Token k is `value_k * w_k + b_k`, b at zero: a number's tokenizer (FT-Transformer; Gorishniy et al. 2021).

    The sum of a sample's tokens is a linear map of the row. Meant for rows of some ten columns that have names, such
    as `expression_signatures`: every token is carried to each visit.

    Args:
        num_features: Width of a row.
        dim: Width of a token.
        feature_dropout: Share of columns hidden at each training step.
    """

    def __init__(self, *, num_features: int, dim: int, feature_dropout: float = 0.1) -> None:
        super().__init__()
        self.num_tokens = num_features
        self.feature_dropout = Dropout(feature_dropout)
        bound = num_features**-0.5
        self.weight = nn.Parameter(torch.empty(num_features, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(num_features, dim))

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        if samples.rows.shape[0] != samples.slot.shape[0]:
            raise ValueError("a vector assay has one row per sample; use a set encoder for sets of rows")
        return self.feature_dropout(samples.rows)[..., None] * self.weight + self.bias
