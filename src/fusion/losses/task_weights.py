"""How the losses of several tasks become one: by fixed weights, or by what each task turns out to be worth."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FixedWeights(nn.Module):
    """Weighted sum of the losses.

    Args:
        weights: Weight of each task.

    >>> FixedWeights(weights={"os": 1.0, "response": 0.5})({"os": torch.tensor(3.0), "response": torch.tensor(2.0)})
    tensor(4.)
    """

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """The sum over the tasks in `losses`."""
        return torch.stack([self.weights[task] * loss for task, loss in losses.items()]).sum()


class UncertaintyWeights(nn.Module):
    """Sum of exp(-s) loss + s / 2 with a learned log variance s of each task (Kendall 2018), zero at the start.

    A task whose loss stays high is noisy and comes to weigh less: s settles where exp(-s) is one over twice the loss.
    The total is no score: s would lower it for a task that is never learned. Stop and compare by `FixedWeights`.

    Args:
        weights: Weight of each task, times its whole term.
        bound: Largest |s|, so that no task weighs more than e^bound times what it did at the start.
    """

    def __init__(self, *, weights: Mapping[str, float], bound: float = 3.0) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.bound = bound
        self.log_variance = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in weights})

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """The sum over the tasks in `losses`; a loss of exactly zero had nothing in the batch and teaches no s."""
        terms = []
        for task, loss in losses.items():
            s = self.log_variance[task].clamp(-self.bound, self.bound) * (loss.detach() != 0)
            terms.append(self.weights[task] * (torch.exp(-s) * loss + s / 2))
        return torch.stack(terms).sum()
