"""Fusion by gates: what is there decides how much of each modality passes (gated multimodal unit, Arevalo et al. 2017).

Dimension key: V visits, A modalities, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Fusion
from fusion.models.dropout import Dropout
from fusion.models.layers import group_mean, group_present
from fusion.types import Tokens


class Gated(Fusion):
    """Sum over modalities of their mean tokens, each dimension under a gate between 0 and 2.

    The gates of all modalities are computed from all mean tokens and presence flags together, through a narrow hidden
    layer in place of the full matrix of the paper (50,000 weights for 7 modalities of width 32). They start at one:
    a fresh network is the sum. The paper's tanh on each token is left out, so that effects stay linear until a gate
    moves.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        hidden: Width of the hidden layer between tokens and gates.
        dropout: On the hidden layer.
    """

    def __init__(self, *, dim: int, num_modalities: int, hidden: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.num_modalities = num_modalities
        self.inner = nn.Linear(num_modalities * (dim + 1), hidden)
        self.outer = nn.Linear(hidden, num_modalities * dim)
        self.dropout = Dropout(dropout)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def gates(self, tokens: Tokens) -> Float[Tensor, "V A D"]:
        """Factor of every dimension of every modality, for explanation; of an absent one it has no meaning."""
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        present_VA = group_present(tokens.mask, tokens.modality, self.num_modalities)
        hidden_VH = torch.tanh(self.inner(torch.cat([mean_VAD.flatten(1), present_VA.to(mean_VAD.dtype)], dim=1)))
        return 2.0 * torch.sigmoid(self.outer(self.dropout(hidden_VH)).unflatten(1, (self.num_modalities, -1)))

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        return (self.gates(tokens) * mean_VAD).sum(dim=1)
