"""Cox proportional hazards within strata, such as sites: each has a baseline hazard of its own while training.

Dimension key: B patients, T visits, O outputs.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from fusion.losses.cox import cox_nll
from fusion.losses.proportional import ProportionalHazards
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome


class CoxStratified(ProportionalHazards):
    """Log hazard trained by a partial likelihood that compares patients of one site only (Kalbfleisch 1980).

    What makes a whole hospital fare better (referral, follow-up, how progression is read) is then no longer there to
    be learned from its traces in the assays. A new hospital has no baseline: curves are decoded through that of all
    sites together. Without a stratum in the outcomes this is plain Cox.

    Args:
        ties: Treatment of tied events.
        num_knots: Jumps of the baseline hazard that are kept.
        visit_scale: Days over which the weight of later visits fades.
    """

    def __init__(
        self, ties: Literal["efron", "breslow"] = "efron", num_knots: int = 512, visit_scale: float = VISIT_SCALE
    ) -> None:
        super().__init__(num_knots=num_knots, visit_scale=visit_scale)
        self.ties: Literal["efron", "breslow"] = ties

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Partial likelihood of the visits at risk, each compared with those of its own stratum."""
        rows = outcome.at_risk
        return cox_nll(
            outputs[..., 0][rows],
            outcome.duration[rows],
            outcome.event[rows],
            weight=weight[rows],
            strata=None if outcome.stratum is None else outcome.stratum[rows],
            ties=self.ties,
        )
