"""What all losses of binned time share: cuts of equal mortality, and which bins are in use.

Dimension key: B patients, T visits, K bins.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusion.losses.cuts import mortality_cuts
from fusion.losses.levels import AroundLevel
from fusion.types import Outcome

#: A log hazard is held below this: exp overflows above 88, and a hazard of e^30 lets nobody live.
HIGHEST = 30.0


class Binned(AroundLevel):
    """A loss with bins of time, whose cuts are quantiles of the training part's event times on the Kaplan-Meier scale.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        visit_scale: Days over which the weight of later visits fades.
    """

    cuts: Tensor

    def __init__(self, num_bins: int, visit_scale: float) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.register_buffer("cuts", torch.full((num_bins,), torch.inf))

    @property
    def used(self) -> Bool[Tensor, " K"]:
        """Bins that are in use."""
        return torch.isfinite(self.cuts)

    def prepare_cuts(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Cuts that share the events, of any cause."""
        rows = outcome.at_risk
        self.cuts.copy_(mortality_cuts(outcome.duration[rows], outcome.event[rows], weight[rows], len(self.cuts)))
