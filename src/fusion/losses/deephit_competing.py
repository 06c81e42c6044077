"""DeepHit with competing causes: one softmax over causes and time bins, decoded to cumulative incidences.

Dimension key: N rows, J causes, K bins, B patients, T visits, O outputs = J * K, Q prediction times.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fusion.losses.base import SurvivalLoss
from fusion.losses.cuts import bins_of, marginal_incidence, mortality_cuts, require_cuts
from fusion.losses.deephit import ranking_loss
from fusion.losses.incidence import base_logits, decoded, incidence_nll, probabilities
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome, SurvivalPrediction


class DeepHitCompeting(SurvivalLoss):
    """Logits of causes and time bins, as deviations from those of the training part (Lee 2018).

    Zeros predict the Aalen-Johansen curve of every cause. Incidences and survival sum to one at all times: none of
    them is one minus a curve in a world without the other causes. Risk is that of the first cause. Where the outcome
    names no cause, every event is of the first. As in `DeepHit`, ranking pulls while training only.

    Args:
        num_causes: Competing causes.
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        ranking: Weight of the ranking loss, averaged over causes, beside the likelihood.
        sigma: Difference of incidence over which the ranking loss fades.
        visit_scale: Days over which the weight of later visits fades.
    """

    cuts: Tensor
    base_logits: Tensor

    def __init__(
        self,
        num_causes: int = 2,
        num_bins: int = 10,
        ranking: float = 0.2,
        sigma: float = 0.1,
        visit_scale: float = VISIT_SCALE,
    ) -> None:
        super().__init__()
        self.visit_scale, self.ranking, self.sigma = visit_scale, ranking, sigma
        self.num_causes = num_causes
        self.num_outputs = num_causes * num_bins
        self.register_buffer("cuts", torch.full((num_bins,), torch.inf))
        self.register_buffer("base_logits", torch.full((num_causes, num_bins), -torch.inf))

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Cuts that share the events of any cause, and base logits, from the weighted outcomes of the training part."""
        rows = outcome.at_risk
        duration, event, weight_N = outcome.duration[rows], outcome.event[rows], weight[rows]
        cause_N = self._cause(outcome)[rows]
        if (cause_N > self.num_causes).any():
            raise ValueError(f"the outcome has cause {int(cause_N.max())}; set num_causes to the number of causes")
        self.cuts.copy_(mortality_cuts(duration, event, weight_N, len(self.cuts)))
        incidence = marginal_incidence(self.cuts, duration, cause_N, weight_N, self.num_causes)
        self.base_logits.copy_(base_logits(incidence, self.cuts))

    @staticmethod
    def _cause(outcome: Outcome) -> Int[Tensor, "B T"]:
        return outcome.event.long() if outcome.cause is None else outcome.cause * outcome.event

    def _logits(self, outputs: Float[Tensor, "*rows O"]) -> Float[Tensor, "*rows J K"]:
        require_cuts(self.cuts)
        return outputs.unflatten(-1, self.base_logits.shape) + self.base_logits

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight; while training, with the ranking loss."""
        rows = outcome.at_risk
        logits_NJK = self._logits(outputs[rows])
        duration_N, weight_N, cause_N = outcome.duration[rows], weight[rows], self._cause(outcome)[rows]
        bins, died = bins_of(self.cuts, duration_N, cause_N > 0)
        cause_N = cause_N * died
        loss = incidence_nll(logits_NJK, bins, cause_N, weight=weight_N)
        if self.training and self.ranking:
            incidence_NJK, _ = probabilities(logits_NJK)
            for cause in range(self.num_causes):
                mine = cause_N == cause + 1
                rank = ranking_loss(incidence_NJK[:, cause], duration_N, bins, mine, sigma=self.sigma, weight=weight_N)
                loss = loss + self.ranking / self.num_causes * rank
        return loss

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: the probabilities are absolute."""

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Risk of the first cause, probability of no event, incidence of every cause; see `incidence.decoded`."""
        return decoded(self._logits(outputs), self.cuts, times)
