"""Hazards that are constant between cuts of time: common to the losses that see exact and interval-censored days.

Dimension key: N rows, B patients, T visits, O outputs = K bins, Q prediction times.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.losses.binned import HIGHEST, Binned
from fusion.losses.cuts import DEVIATION, between_cuts, bins_of, days_in_bins, pooled, require_cuts
from fusion.losses.levels import of_visits
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome, SurvivalPrediction


class PiecewiseHazards(Binned):
    """Log hazard per day in every bin, as a deviation from that of the training part.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        deviation: How far a bin goes its own way; see `pooled`.
        visit_scale: Days over which the weight of later visits fades.
    """

    direction = 1.0

    def __init__(self, num_bins: int = 10, deviation: float = DEVIATION, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__(num_bins, visit_scale)
        self.num_outputs, self.deviation = num_bins, deviation
        self.register_buffer("level", torch.zeros(2, num_bins))

    def log_rates(self, outputs: Float[Tensor, "B T O"], level: Float[Tensor, "2 O"]) -> Float[Tensor, "B T O"]:
        """Log hazard per day in every bin."""
        require_cuts(self.cuts)
        log_ratios = pooled(outputs, self.used, self.deviation)
        return (log_ratios + of_visits(level, outputs.shape[1])).clamp_max(HIGHEST)

    def marginal(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> Float[Tensor, " O"]:
        """Events per day at risk; half an event more, spread over all days at risk, keeps the logs finite."""
        rows = outcome.at_risk
        weight_N = weight[rows].to(self.cuts)
        bins, died = bins_of(self.cuts, outcome.duration[rows], outcome.event[rows])
        days_O = weight_N @ days_in_bins(self.cuts, outcome.duration[rows])
        events_O = torch.zeros_like(days_O).index_add(0, bins[died], weight_N[died])
        smallest = torch.finfo(days_O.dtype).tiny
        events_O = events_O + 0.5 * days_O / days_O.sum().clamp_min(smallest)
        rates_O = (events_O / days_O.clamp_min(smallest)).clamp_min(smallest)
        return torch.where(days_O > 0, rates_O.log(), torch.zeros_like(days_O))

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Survival curve, and as risk the log of the mean cumulative hazard at the cuts.

        Survival beyond the last cut is held constant: no event there to learn from.
        """
        log_rates_BTO = self.log_rates(outputs, self.level)
        width_O = days_in_bins(self.cuts, self.cuts[self.used].max()[None])[0]
        hazard_BTO = (log_rates_BTO.exp() * width_O).cumsum(dim=-1)
        risk = hazard_BTO[..., self.used].mean(dim=-1).clamp_min(torch.finfo(hazard_BTO.dtype).tiny)
        survival = torch.exp(-between_cuts(self.cuts, hazard_BTO, 0.0, times))
        return SurvivalPrediction(risk=risk.log(), survival=survival, times=times)
