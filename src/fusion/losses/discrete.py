"""Discrete-time logistic hazards: one output per bin of time, decoded to a curve that is smooth inside the bins.

Dimension key: N rows, B patients, T visits, O outputs = K bins, Q prediction times.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from fusion.losses.base import SurvivalLoss
from fusion.losses.cuts import between_cuts, bins_of, mortality_cuts, require_cuts
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome, SurvivalPrediction


def logistic_hazard_nll(
    logits: Float[Tensor, "N K"],
    bins: Int[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log likelihood of hazards sigma(logits), averaged over the (weighted) rows (Gensheimer 2019).

    A row survives every bin before its own; in its own it has its event, or survives that one too. No row gives a zero
    that is connected to the graph.

    Args:
        logits: Log odds of an event in each bin among those who reach it.
        bins: The bin of the event, or the last bin survived in full; -1 where none was, such a row says nothing.
        event: True where the event was reached.
        weight: Weight of each row.

    >>> logits = torch.zeros(2, 3)
    >>> logistic_hazard_nll(logits, torch.tensor([0, 2]), torch.tensor([True, False])) / torch.log(torch.tensor(2.0))
    tensor(2.)
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    place_K = torch.arange(logits.shape[1], device=logits.device)
    survived_NK = (place_K < bins[:, None]) | ((place_K == bins[:, None]) & ~event[:, None])
    died_NK = (place_K == bins[:, None]) & event[:, None]
    zero = logits.new_zeros(())
    log_likelihood_N = torch.where(survived_NK, functional.logsigmoid(-logits), zero).sum(dim=1)
    log_likelihood_N = log_likelihood_N + torch.where(died_NK, functional.logsigmoid(logits), zero).sum(dim=1)
    weight_N = torch.ones_like(log_likelihood_N) if weight is None else weight.to(log_likelihood_N)
    return -(weight_N * log_likelihood_N).sum() / weight_N.sum().clamp_min(torch.finfo(logits.dtype).tiny)


class LogisticHazard(SurvivalLoss):
    """Logistic hazards of the time from the visit, as deviations from the hazards of the training part.

    The cuts are quantiles of the training part's event times on the Kaplan-Meier scale, so that every bin takes the
    same share of the mortality. Outputs are added to the training part's own log odds: an untrained head that gives
    zeros predicts the Kaplan-Meier curve.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        visit_scale: Days over which the weight of later visits fades.
    """

    direction = 1.0
    cuts: Tensor
    base_logits: Tensor

    def __init__(self, num_bins: int = 20, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.num_outputs = num_bins
        self.register_buffer("cuts", torch.full((num_bins,), torch.inf))
        self.register_buffer("base_logits", torch.zeros(num_bins))

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Cuts and base hazards from the weighted outcomes of the training part."""
        rows = outcome.at_risk
        duration, event, weight_N = outcome.duration[rows], outcome.event[rows], weight[rows]
        self.cuts.copy_(mortality_cuts(duration, event, weight_N, self.num_outputs))
        bins, died = bins_of(self.cuts, duration, event)
        reached = bins[:, None] >= torch.arange(self.num_outputs, device=bins.device)
        at_risk = (weight_N[:, None] * reached).sum(dim=0)
        deaths = torch.zeros_like(at_risk).index_add(0, bins[died], weight_N[died])
        hazard = (deaths / at_risk.clamp_min(1e-9)).clamp(1e-4, 1.0 - 1e-4)
        self.base_logits.copy_(torch.where(torch.isfinite(self.cuts), hazard.logit(), torch.zeros_like(hazard)))

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight."""
        require_cuts(self.cuts)
        rows = outcome.at_risk
        bins, died = bins_of(self.cuts, outcome.duration[rows], outcome.event[rows])
        return logistic_hazard_nll(outputs[rows] + self.base_logits, bins, died, weight=weight[rows])

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: the hazards are absolute."""

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Curve with a constant hazard inside each bin; risk is the log of the mean cumulative hazard at the cuts.

        Survival beyond the last cut is held constant: no event there to learn from.
        """
        require_cuts(self.cuts)
        used = int(torch.isfinite(self.cuts).sum())
        log_survival_BTO = functional.logsigmoid(-(outputs + self.base_logits)[..., :used]).cumsum(dim=-1)
        log_survival_BTQ = between_cuts(self.cuts, log_survival_BTO, 0.0, times)
        risk = (-log_survival_BTO).mean(dim=-1).log()
        return SurvivalPrediction(risk=risk, survival=log_survival_BTQ.exp(), times=times)
