"""Fusion by concatenation: every modality has its place in one long vector, with a flag that says whether it is there.

Dimension key: V visits, A modalities, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.layers import ResidualMLP, group_mean, group_present
from fusion.types import Tokens


class Concatenation(Fusion):
    """Mean token of each modality and presence flags, end to end, through a linear map and a residual MLP.

    The usual early fusion. An absent modality is zero with its flag down, so the map can learn what absence itself
    says. The map starts as stacked identities, so that a fresh network is the sum over modalities.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        hidden: Width inside the MLP.
        dropout: Inside the MLP.
    """

    def __init__(self, *, dim: int, num_modalities: int, hidden: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.num_modalities = num_modalities
        self.join = nn.Linear(num_modalities * (dim + 1), dim)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.join.bias)
        with torch.no_grad():
            self.join.weight.copy_(
                torch.cat([torch.eye(dim).repeat(1, num_modalities), torch.zeros(dim, num_modalities)], dim=1)
            )

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        present_VA = group_present(tokens.mask, tokens.modality, self.num_modalities)
        return self.mlp(self.join(torch.cat([mean_VAD.flatten(1), present_VA.to(mean_VAD.dtype)], dim=1)))
