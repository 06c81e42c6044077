"""Multi-task logistic regression: one output per bin of time, summed from the end; smooth curves of any shape.

Dimension key: B patients, T visits, O outputs = K bins, Q prediction times.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.losses.base import SurvivalLoss
from fusion.losses.cuts import bins_of, marginal_incidence, mortality_cuts, require_cuts
from fusion.losses.incidence import base_logits, decoded, incidence_nll
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome, SurvivalPrediction


class MTLR(SurvivalLoss):
    """Event in bin k has logit sum of the outputs k, k + 1, ..., K, against no event within the cuts (Yu 2011).

    An output says how much likelier its cut makes "by now" than "later": one logistic regression per cut that the
    shared sum holds together, so that neighbouring bins differ by little. Outputs are added to the training part's
    own logits: an untrained head that gives zeros predicts the Kaplan-Meier curve.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        visit_scale: Days over which the weight of later visits fades.
    """

    cuts: Tensor
    base_logits: Tensor

    def __init__(self, num_bins: int = 20, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.num_outputs = num_bins
        self.register_buffer("cuts", torch.full((num_bins,), torch.inf))
        self.register_buffer("base_logits", torch.full((1, num_bins), -torch.inf))

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Cuts and base logits from the weighted outcomes of the training part."""
        rows = outcome.at_risk
        duration, event, weight_N = outcome.duration[rows], outcome.event[rows], weight[rows]
        self.cuts.copy_(mortality_cuts(duration, event, weight_N, self.num_outputs))
        self.base_logits.copy_(
            base_logits(marginal_incidence(self.cuts, duration, event.long(), weight_N, 1), self.cuts)
        )

    def _logits(self, outputs: Float[Tensor, "*rows O"]) -> Float[Tensor, "*rows J O"]:
        require_cuts(self.cuts)
        used = torch.where(torch.isfinite(self.cuts), outputs, torch.zeros_like(outputs))
        return used.flip(-1).cumsum(-1).flip(-1)[..., None, :] + self.base_logits

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight."""
        rows = outcome.at_risk
        logits = self._logits(outputs[rows])
        bins, died = bins_of(self.cuts, outcome.duration[rows], outcome.event[rows])
        return incidence_nll(logits, bins, died.long(), weight=weight[rows])

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: the probabilities are absolute."""

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Risk and survival curve; see `fusion.losses.incidence.decoded`."""
        return decoded(self._logits(outputs), self.cuts, times)
