"""Fusion by attention over the risks of modalities: how much each counts at a visit (DyAM, Vanguri et al. 2022).

Dimension key: V visits, A modalities, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.models.base import Fusion
from fusion.models.layers import GroupLinear, group_mean, group_present
from fusion.types import Tokens


class RiskAttention(Fusion):
    """Weighted mean of projected modalities; the weights are positive, sum to one, and can be shown.

    Heads are linear, so the head of the mean is the weighted mean of the heads: of the risk that each modality alone
    would give, in a direction of its own. A weight comes from its modality's token and from which others are there;
    an absent one has weight zero. Weights start equal and projections as the identity: a fresh network is the mean
    over modalities that are there, not their sum, so effects are rescaled by their number. That is DyAM's way; the
    additive start of the other fusions is given up for weights that sum to one.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
    """

    def __init__(self, *, dim: int, num_modalities: int) -> None:
        super().__init__()
        self.num_modalities = num_modalities
        self.project = GroupLinear(num_groups=num_modalities, num_in=dim, num_out=dim)
        self.score = GroupLinear(num_groups=num_modalities, num_in=dim, num_out=1)
        with torch.no_grad():
            self.project.weight.copy_(torch.eye(dim).expand_as(self.project.weight))
            self.score.weight.zero_()

    def weights(self, tokens: Tokens) -> Float[Tensor, "V A"]:
        """Share of each modality in the risk of each visit, for explanation; all zero for a visit without tokens."""
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        present_VA = group_present(tokens.mask, tokens.modality, self.num_modalities)
        score_VA = self.score(mean_VAD).squeeze(2)
        # the lowest finite number rather than -inf: a visit without tokens then has a softmax, and a gradient of zero
        score_VA = score_VA.masked_fill(~present_VA, torch.finfo(score_VA.dtype).min)
        return score_VA.softmax(dim=1) * present_VA

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        return torch.einsum("va,vad->vd", self.weights(tokens), self.project(mean_VAD))
