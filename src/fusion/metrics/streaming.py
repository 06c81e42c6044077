"""Concordance over the batches of a validation epoch; a file of its own, since torchmetrics is slow to import."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from fusion.metrics.functional import concordance_index


class ConcordanceIndex(Metric):
    """Harrell's C of all patients seen since the last reset, over all devices; NaN if no pair is comparable.

    >>> metric = ConcordanceIndex()
    >>> metric.update(torch.tensor([2.0, 1.0]), torch.tensor([5.0, 9.0]), torch.tensor([True, False]))
    >>> metric.update(torch.tensor([1.5]), torch.tensor([9.0]), torch.tensor([True]))
    >>> metric.compute()
    tensor(1.)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    risk: list[Tensor]
    duration: list[Tensor]
    event: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for state in ("risk", "duration", "event"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, risk: Float[Tensor, " N"], duration: Float[Tensor, " N"], event: Bool[Tensor, " N"]) -> None:
        """Add patients, each once."""
        self.risk.append(risk.detach())
        self.duration.append(duration)
        self.event.append(event)

    def compute(self) -> Float[Tensor, ""]:
        """Score what was added."""
        states = (self.risk, self.duration, self.event)
        columns = [dim_zero_cat(state).cpu().numpy() if len(state) else np.zeros(0) for state in states]
        return torch.tensor(concordance_index(*columns))
