"""Low-rank multimodal fusion: products over all modalities at once, without the tensor (Liu et al. 2018).

Dimension key: V visits, A modalities, R rank, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.dropout import Dropout
from fusion.models.layers import GroupLinear, group_mean, group_present
from fusion.types import Tokens


class LowRankBilinear(Fusion):
    """The sum of the tokens, plus a map of `prod over modalities of (1 + tanh(W t) / 2) - 1` for each rank.

    Multiplied out, the product holds the effect of every subset of modalities, each of low rank: pairs, triples and
    more. An absent modality has the factor one, so subsets that need it drop out and the others stay. Factors lie
    between 1/2 and 3/2: the product of 7 stays between 0.008 and 17. The map starts at zero: a fresh network is the
    plain sum of the tokens. A modality with several tokens enters the product with their mean.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        rank: Number of products.
        dropout: Of the products.
    """

    def __init__(self, *, dim: int, num_modalities: int, rank: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.num_modalities = num_modalities
        self.factor = GroupLinear(num_groups=num_modalities, num_in=dim, num_out=rank)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(rank, dim, bias=False)
        nn.init.zeros_(self.out.weight)

    def products(self, tokens: Tokens) -> Float[Tensor, "V R"]:
        """Product of the factors of the modalities that are there, less one; zero for a visit without tokens."""
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        present_VA = group_present(tokens.mask, tokens.modality, self.num_modalities)
        change_VAR = 0.5 * torch.tanh(self.factor(mean_VAD)) * present_VA[..., None]
        return (1.0 + change_VAR).prod(dim=1) - 1.0

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        sum_VD = (tokens.values * tokens.mask[..., None]).sum(dim=1)
        return sum_VD + self.out(self.dropout(self.products(tokens)))
