"""How much each visit of a patient counts in the training loss.

Dimension key: B patients, T visits.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: Days over which the weight of later visits fades: months of treatment.
VISIT_SCALE = 120.0


def visit_weights(
    day: Float[Tensor, "B T"], at_risk: Bool[Tensor, "B T"], first: float = 0.5, scale: float = VISIT_SCALE
) -> Float[Tensor, "B T"]:
    """Weight of every visit, so that a patient with many visits does not weigh more than one with few.

    The baseline visit weighs `first`. A later visit weighs `1 - first` times the share of follow-up that it closes,
    F(day) - F(day of the visit before) with F(d) = 1 - exp(-d / scale). Three things follow. A weight rests on what
    was known at the visit alone: dividing by a patient's number of visits would look ahead, as those who live longer
    have more. No patient exceeds one. Splitting the same follow-up into more visits adds nothing.

    Args:
        day: Day of each visit in order of time; padding repeats the last day.
        at_risk: Visits that enter the loss; the others weigh zero.
        first: Weight of the baseline visit.
        scale: Days over which the weight of later visits fades; follow-up of years needs years.

    >>> visit_weights(torch.tensor([[0.0, 120.0, 120.0]]), torch.tensor([[True, True, False]]))
    tensor([[0.5000, 0.3161, 0.0000]])
    """
    elapsed = 1.0 - torch.exp(-day / scale)
    baseline = torch.full_like(day[:, :1], first)
    later = (1.0 - first) * elapsed.diff(dim=1)
    return torch.cat([baseline, later], dim=1) * at_risk
