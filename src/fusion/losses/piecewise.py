"""Hazards that are constant between cuts of time: common to the losses that see exact and interval-censored days.

Dimension key: N rows, B patients, T visits, O outputs = K bins, Q prediction times.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusion.losses.base import SurvivalLoss
from fusion.losses.cuts import between_cuts, bins_of, days_in_bins, require_cuts
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome, SurvivalPrediction

#: A log rate is held below this: exp overflows above 88, and a rate of e^30 a day lets nobody live.
HIGHEST = 30.0


class PiecewiseHazards(SurvivalLoss):
    """Log hazard per day in every bin, as a deviation from that of the training part.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        visit_scale: Days over which the weight of later visits fades.
    """

    direction = 1.0
    cuts: Tensor
    base_log_rates: Tensor

    def __init__(self, num_bins: int = 10, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.num_outputs = num_bins
        self.register_buffer("cuts", torch.full((num_bins,), torch.inf))
        self.register_buffer("base_log_rates", torch.zeros(num_bins))

    def log_rates(self, outputs: Float[Tensor, "*rows O"]) -> Float[Tensor, "*rows O"]:
        """Log hazard per day in every bin."""
        require_cuts(self.cuts)
        return (outputs + self.base_log_rates).clamp_max(HIGHEST)

    def marginal_log_rates(
        self, duration: Float[Tensor, " N"], event: Bool[Tensor, " N"], weight: Float[Tensor, " N"]
    ) -> Float[Tensor, " O"]:
        """Events per day at risk; half an event more, spread over all days at risk, keeps the logs finite."""
        bins, died = bins_of(self.cuts, duration, event)
        days_O = weight.to(self.cuts) @ days_in_bins(self.cuts, duration)
        events_O = torch.zeros_like(days_O).index_add(0, bins[died], weight.to(days_O)[died])
        smallest = torch.finfo(days_O.dtype).tiny
        events_O = events_O + 0.5 * days_O / days_O.sum().clamp_min(smallest)
        rates_O = (events_O / days_O.clamp_min(smallest)).clamp_min(smallest)
        return torch.where(days_O > 0, rates_O.log(), torch.zeros_like(days_O))

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: the hazards are absolute."""

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Survival curve, and as risk the log of the mean cumulative hazard at the cuts.

        Survival beyond the last cut is held constant: no event there to learn from.
        """
        log_rates_BTO = self.log_rates(outputs)
        width_O = days_in_bins(self.cuts, self.cuts[torch.isfinite(self.cuts)].max()[None])[0]
        hazard_BTO = (log_rates_BTO.exp() * width_O).cumsum(dim=-1)
        risk = hazard_BTO[..., torch.isfinite(self.cuts)].mean(dim=-1).clamp_min(torch.finfo(hazard_BTO.dtype).tiny)
        survival = torch.exp(-between_cuts(self.cuts, hazard_BTO, 0.0, times))
        return SurvivalPrediction(risk=risk.log(), survival=survival, times=times)
