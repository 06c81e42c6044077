"""One log hazard per visit, decoded through Breslow's baseline: common to all losses that rank by a hazard ratio.

Dimension key: B patients, T visits, O outputs, Q prediction times, K jumps of a baseline.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusion.losses.base import SurvivalLoss
from fusion.losses.levels import of_visits, rows_of_kinds
from fusion.losses.weights import VISIT_SCALE, visit_weights
from fusion.survival import breslow
from fusion.types import Outcome, SurvivalPrediction


class ProportionalHazards(SurvivalLoss):
    """Learns the log hazard alone; the baseline hazard follows from the trained outputs.

    First visits have one baseline and later ones another: soon after the first, deaths are twice as frequent as an
    average over all visits has them (`docs/decisions/017-two-baseline-hazards.md`). It is that of all such visits of
    the training part, whatever groups the training compared within: a patient of a hospital that was never seen has
    no other.

    Args:
        num_knots: Jumps of the baseline hazard that are kept.
        visit_scale: Days over which the weight of later visits fades.
    """

    num_outputs = 1
    direction = 1.0
    baseline_times: Tensor  # "2 K": of first visits, and of later ones
    baseline_log_hazard: Tensor

    def __init__(self, num_knots: int = 512, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.register_buffer("baseline_times", torch.full((2, num_knots), torch.inf))
        self.register_buffer("baseline_log_hazard", torch.full((2, num_knots), -torch.inf))

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: what compares patients knows no cuts."""

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Breslow's cumulative baseline hazard of first visits and of later ones, each weighed as in the loss.

        See `rows_of_kinds` for where they are too few.
        """
        weight = visit_weights(day, outcome.at_risk, scale=self.visit_scale)
        for place, rows in enumerate(rows_of_kinds(outcome, weight)):
            curve = breslow(
                outputs[..., 0][rows].detach().double().cpu().numpy(),
                outcome.duration[rows].double().cpu().numpy(),
                outcome.event[rows].cpu().numpy(),
                weight[rows].double().cpu().numpy(),
            )
            times_K, log_hazard_K = self.baseline_times[place], self.baseline_log_hazard[place]
            size = min(len(curve.times), len(times_K) - 1)
            kept = np.linspace(0, len(curve.times) - 1, size).round().astype(np.int64)
            times_K.fill_(torch.inf)
            times_K[0] = 0.0  # before the first event the hazard is zero, its log minus infinity
            times_K[1 : len(kept) + 1] = torch.from_numpy(curve.times[kept])
            log_hazard_K.fill_(-torch.inf)
            log_hazard_K[1 : len(kept) + 1] = torch.from_numpy(np.log(curve.values[kept]))

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Risk is the log hazard; survival is exp(-H(t) exp(risk)), held constant beyond the last event."""
        if torch.isinf(self.baseline_times[:, 0]).any():
            raise ValueError("the Cox baseline is not known yet; call `calibrate`, or load the state of a fitted one")
        risk = outputs[..., 0]
        asked = times.to(self.baseline_times).expand(2, -1).contiguous()
        place = torch.searchsorted(self.baseline_times, asked, right=True) - 1
        log_hazard_2Q = self.baseline_log_hazard.gather(1, place.clamp_min(0))
        log_hazard_TQ = of_visits(log_hazard_2Q, risk.shape[1])
        survival = torch.exp(-torch.exp(risk[..., None] + log_hazard_TQ))  # the sum in logs never overflows to 0 * inf
        return SurvivalPrediction(risk=risk, survival=survival, times=times)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """A state from before there were two baselines holds one for all visits."""
        for name in ("baseline_times", "baseline_log_hazard"):
            known = state_dict.get(prefix + name)
            if known is not None and known.ndim == 1:
                state_dict[prefix + name] = known.expand(2, -1)
        super()._load_from_state_dict(state_dict, prefix, *others)
