"""The total loss as training aids see it, and batches that ask about some visits only.

Dimension key: B patients, T visits, O outputs of a head.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from fusion.types import Outcome, PatientBatch, Response

#: Outputs by task, the batch with the targets, and the share of each patient (0 leaves it out) give the loss of all
#: tasks, weighted and summed.
TotalLoss = Callable[[Mapping[str, Float[Tensor, "B T O"]], PatientBatch, Float[Tensor, " B"]], Float[Tensor, ""]]


def ask_only(batch: PatientBatch, visits: Bool[Tensor, "B T"]) -> PatientBatch:
    """The batch with targets at these visits only; its samples stay as they are."""
    return replace(batch, targets={task: _only(target, visits) for task, target in batch.targets.items()})


def _only(target: Outcome | Response, visits: Tensor) -> Outcome | Response:
    if isinstance(target, Outcome):
        return replace(target, at_risk=target.at_risk & visits)
    possible = None if target.possible is None else target.possible | ~visits[..., None]
    return replace(target, known=target.known & visits, possible=possible)
