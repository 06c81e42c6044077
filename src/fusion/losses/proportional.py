"""One log hazard per visit, decoded through Breslow's baseline: common to all losses that rank by a hazard ratio.

Dimension key: B patients, T visits, O outputs, Q prediction times.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusion.losses.base import SurvivalLoss
from fusion.losses.weights import VISIT_SCALE
from fusion.survival import breslow
from fusion.types import Outcome, SurvivalPrediction


class ProportionalHazards(SurvivalLoss):
    """Learns the log hazard alone; the baseline hazard follows from the trained outputs.

    The baseline is that of all training visits together, whatever groups the training compared within: a patient of
    a hospital that was never seen has no other.

    Args:
        num_knots: Jumps of the baseline hazard that are kept.
        visit_scale: Days over which the weight of later visits fades.
    """

    num_outputs = 1
    direction = 1.0
    baseline_times: Tensor
    baseline_log_hazard: Tensor

    def __init__(self, num_knots: int = 512, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.register_buffer("baseline_times", torch.full((num_knots,), torch.inf))
        self.register_buffer("baseline_log_hazard", torch.full((num_knots,), -torch.inf))

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: what compares patients knows no cuts."""

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Breslow's cumulative baseline hazard of the pooled visits at risk."""
        rows = outcome.at_risk
        curve = breslow(
            outputs[..., 0][rows].detach().double().cpu().numpy(),
            outcome.duration[rows].double().cpu().numpy(),
            outcome.event[rows].cpu().numpy(),
        )
        size = len(self.baseline_times) - 1
        kept = np.linspace(0, len(curve.times) - 1, min(len(curve.times), size)).round().astype(np.int64)
        self.baseline_times.fill_(torch.inf)
        self.baseline_times[0] = 0.0  # before the first event the hazard is zero, its log minus infinity
        self.baseline_times[1 : len(kept) + 1] = torch.from_numpy(curve.times[kept])
        self.baseline_log_hazard.fill_(-torch.inf)
        self.baseline_log_hazard[1 : len(kept) + 1] = torch.from_numpy(np.log(curve.values[kept]))

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Risk is the log hazard; survival is exp(-H(t) exp(risk)), held constant beyond the last event."""
        if torch.isinf(self.baseline_times[0]):
            raise ValueError("the Cox baseline is not known yet; call `calibrate`, or load the state of a fitted one")
        risk = outputs[..., 0]
        place_Q = torch.searchsorted(self.baseline_times, times.to(self.baseline_times), right=True) - 1
        log_hazard_Q = self.baseline_log_hazard[place_Q.clamp_min(0)]
        survival = torch.exp(-torch.exp(risk[..., None] + log_hazard_Q))  # the sum in logs never overflows to 0 * inf
        return SurvivalPrediction(risk=risk, survival=survival, times=times)
