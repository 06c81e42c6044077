"""Discrete-time logistic hazards: one output per bin of time, decoded to a curve that is smooth inside the bins.

Dimension key: N rows, B patients, T visits, O outputs = K bins, Q prediction times.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from fusion.losses.binned import Binned
from fusion.losses.cuts import DEVIATION, between_cuts, bins_of, pooled, require_cuts
from fusion.losses.levels import of_visits
from fusion.losses.precision import in_full
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
    logits = in_full(logits)
    place_K = torch.arange(logits.shape[1], device=logits.device)
    survived_NK = (place_K < bins[:, None]) | ((place_K == bins[:, None]) & ~event[:, None])
    died_NK = (place_K == bins[:, None]) & event[:, None]
    zero = logits.new_zeros(())
    log_likelihood_N = torch.where(survived_NK, functional.logsigmoid(-logits), zero).sum(dim=1)
    log_likelihood_N = log_likelihood_N + torch.where(died_NK, functional.logsigmoid(logits), zero).sum(dim=1)
    weight_N = torch.ones_like(log_likelihood_N) if weight is None else weight.to(log_likelihood_N)
    return -(weight_N * log_likelihood_N).sum() / weight_N.sum().clamp_min(torch.finfo(logits.dtype).tiny)


class LogisticHazard(Binned):
    """Logistic hazards of the time from the visit, as deviations from the hazards of the training part.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        deviation: How far a bin goes its own way; see `pooled`.
        visit_scale: Days over which the weight of later visits fades.
    """

    direction = 1.0

    def __init__(self, num_bins: int = 20, deviation: float = DEVIATION, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__(num_bins, visit_scale)
        self.num_outputs, self.deviation = num_bins, deviation
        self.register_buffer("level", torch.zeros(2, num_bins))

    def marginal(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> Float[Tensor, " O"]:
        """Log odds of an event in each bin among those who reach it."""
        rows = outcome.at_risk
        weight_N = weight[rows]
        bins, died = bins_of(self.cuts, outcome.duration[rows], outcome.event[rows])
        reached = bins[:, None] >= torch.arange(self.num_outputs, device=bins.device)
        at_risk = (weight_N[:, None] * reached).sum(dim=0)
        deaths = torch.zeros_like(at_risk).index_add(0, bins[died], weight_N[died])
        hazard = (deaths / at_risk.clamp_min(1e-9)).clamp(1e-4, 1.0 - 1e-4)
        return torch.where(self.used, hazard.logit(), torch.zeros_like(hazard))

    def _logits(self, outputs: Float[Tensor, "B T O"], level: Float[Tensor, "2 O"]) -> Float[Tensor, "B T O"]:
        require_cuts(self.cuts)
        return pooled(outputs, self.used, self.deviation) + of_visits(level, outputs.shape[1])

    def nll(
        self,
        outputs: Float[Tensor, "B T O"],
        level: Float[Tensor, "2 O"],
        outcome: Outcome,
        weight: Float[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """See `logistic_hazard_nll`."""
        logits, rows = self._logits(outputs, level), outcome.at_risk
        bins, died = bins_of(self.cuts, outcome.duration[rows], outcome.event[rows])
        return logistic_hazard_nll(logits[rows], bins, died, weight=weight[rows])

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Curve with a constant hazard inside each bin; risk is the log of the mean cumulative hazard at the cuts.

        Survival beyond the last cut is held constant: no event there to learn from.
        """
        logits = self._logits(outputs, self.level)
        log_survival_BTO = functional.logsigmoid(-logits[..., self.used]).cumsum(dim=-1)
        log_survival_BTQ = between_cuts(self.cuts, log_survival_BTO, 0.0, times)
        risk = (-log_survival_BTO).mean(dim=-1).log()
        return SurvivalPrediction(risk=risk, survival=log_survival_BTQ.exp(), times=times)
