"""DeepHit: probabilities of time bins, trained by likelihood and by the order of the patients.

Dimension key: N rows, E rows with the event, J causes, K bins, B patients, T visits, O outputs = K bins, Q times.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.losses.base import SurvivalLoss
from fusion.losses.cuts import bins_of, marginal_incidence, mortality_cuts, require_cuts
from fusion.losses.incidence import base_logits, decoded, incidence_nll, probabilities
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome, SurvivalPrediction


def ranking_loss(
    incidence: Float[Tensor, "N K"],
    duration: Float[Tensor, " N"],
    bins: Int[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    sigma: float,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """exp(-(F_i(t_i) - F_j(t_i)) / sigma), averaged over (weighted) pairs of i with its event and j later (Lee 2018).

    No pair gives a zero that is connected to the graph. Costs rows with an event times rows.

    Args:
        incidence: Cumulative incidence F at the cuts.
        duration: Time to event or censoring.
        bins: Bin of the event.
        event: True where this cause came, within the cuts.
        sigma: Difference of incidence over which the loss fades.
        weight: Weight of each row.

    >>> incidence, event = torch.tensor([[0.5, 1.0], [0.2, 1.0]]), torch.tensor([True, True])
    >>> ranking_loss(incidence, torch.tensor([1.0, 2.0]), torch.tensor([0, 1]), event, sigma=0.3)
    tensor(0.3679)
    """
    weight_N = torch.ones_like(incidence[:, 0]) if weight is None else weight.to(incidence)
    at_event_NE = incidence[:, bins[event]]
    mine_E = incidence[event].gather(1, bins[event, None])[:, 0]
    weight_NE = weight_N[:, None] * weight_N[event] * (duration[:, None] > duration[event])
    loss_NE = torch.exp((at_event_NE - mine_E) / sigma)
    pairs = weight_NE.sum().clamp_min(torch.finfo(incidence.dtype).tiny)
    return (weight_NE * loss_NE).sum() / pairs + 0.0 * incidence.sum()


class DeepHit(SurvivalLoss):
    """Logits of the time bins, as deviations from those of the training part: zeros predict the Kaplan-Meier curve.

    The ranking part pulls while training only. In eval mode the loss is the likelihood alone, so that the epoch and
    the scale of the outputs are chosen by a proper score.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        ranking: Weight of the ranking loss beside the likelihood.
        sigma: Difference of incidence over which the ranking loss fades.
        visit_scale: Days over which the weight of later visits fades.
    """

    cuts: Tensor
    base_logits: Tensor

    def __init__(
        self, num_bins: int = 20, ranking: float = 0.2, sigma: float = 0.1, visit_scale: float = VISIT_SCALE
    ) -> None:
        super().__init__()
        self.visit_scale, self.ranking, self.sigma = visit_scale, ranking, sigma
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

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight; while training, with the ranking loss."""
        require_cuts(self.cuts)
        rows = outcome.at_risk
        duration_N, weight_N = outcome.duration[rows], weight[rows]
        logits_NJK = outputs[rows][:, None] + self.base_logits
        bins, died = bins_of(self.cuts, duration_N, outcome.event[rows])
        loss = incidence_nll(logits_NJK, bins, died.long(), weight=weight_N)
        if self.training and self.ranking:
            incidence_NK = probabilities(logits_NJK)[0][:, 0]
            rank = ranking_loss(incidence_NK, duration_N, bins, died, sigma=self.sigma, weight=weight_N)
            loss = loss + self.ranking * rank
        return loss

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: the probabilities are absolute."""

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Risk and survival curve; see `fusion.losses.incidence.decoded`."""
        require_cuts(self.cuts)
        return decoded(outputs[..., None, :] + self.base_logits, self.cuts, times)
