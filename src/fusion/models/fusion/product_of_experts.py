"""Fusion by a product of Gaussian experts: each modality is believed as far as it is sure (Wu and Goodman 2018).

Dimension key: V visits, A modalities, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.models.base import Fusion
from fusion.models.layers import GroupLinear, group_mean, group_present
from fusion.types import Tokens

#: Log precisions lie between minus and plus this: no expert is believed more than 20 times as much as the prior.
MOST = 3.0


class ProductOfExperts(Fusion):
    """Mean of the product of one Gaussian per modality and a standard normal prior.

    The mean token of a modality is its expert's mean; its precision comes from the token, dimension by dimension. The
    product has mean `sum(precision * mean) / (1 + sum(precision))`: the more assays, and the surer, the less the prior
    pulls to zero. An absent modality has precision zero; a visit without tokens is the prior, zero. Precisions start at
    one: a fresh network is the sum over modalities divided by one more than their number, not the sum. No sampling and
    no variational loss: the precision is learned from the outcome alone.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
    """

    def __init__(self, *, dim: int, num_modalities: int) -> None:
        super().__init__()
        self.num_modalities = num_modalities
        self.log_precision = GroupLinear(num_groups=num_modalities, num_in=dim, num_out=dim)
        torch.nn.init.zeros_(self.log_precision.weight)

    def precisions(self, tokens: Tokens) -> Float[Tensor, "V A D"]:
        """Precision of each expert, for explanation; the prior has one, an absent modality zero."""
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        present_VA = group_present(tokens.mask, tokens.modality, self.num_modalities)
        return torch.exp(MOST * torch.tanh(self.log_precision(mean_VAD) / MOST)) * present_VA[..., None]

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        precision_VAD = self.precisions(tokens)
        return (precision_VAD * mean_VAD).sum(dim=1) / (1.0 + precision_VAD.sum(dim=1))
