"""Multi-task logistic regression: one output per bin of time, summed from the end; smooth curves of any shape.

Dimension key: B patients, T visits, O outputs = K bins, J = 1 cause.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.losses.incidence import BinnedIncidence, base_logits
from fusion.losses.levels import of_visits
from fusion.losses.weights import VISIT_SCALE


class MTLR(BinnedIncidence):
    """Event in bin k has logit sum of the outputs k, k + 1, ..., K, against no event within the cuts (Yu 2011).

    An output says how much likelier its cut makes "by now" than "later": one logistic regression per cut that the
    shared sum holds together, so that neighbouring bins differ by little. An untrained head that gives zeros predicts
    the Kaplan-Meier curve.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        visit_scale: Days over which the weight of later visits fades.
    """

    def __init__(self, num_bins: int = 20, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__(1, num_bins, visit_scale)

    def level_of(self, incidence: Float[Tensor, "J K"]) -> Float[Tensor, "J K"]:
        """Logits."""
        return base_logits(incidence, self.cuts)

    def logits(self, outputs: Float[Tensor, "B T O"], level: Float[Tensor, "2 J K"]) -> Float[Tensor, "B T J K"]:
        """Sums from the last bin in use."""
        used = torch.where(self.used, outputs, torch.zeros_like(outputs))
        return used.flip(-1).cumsum(-1).flip(-1)[..., None, :] + of_visits(level, outputs.shape[1])
