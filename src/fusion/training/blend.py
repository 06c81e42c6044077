"""How much each plain model and the network count in what a fold says, chosen on patients whom none of them saw.

The network's outputs are brought to scale first: over-fitted ones are shrunk, empty ones nearly to zero.

Free weights of a handful of models fit noise at a hundred events; equal ones nearly always do well. So weights are
drawn towards a prior, whose overall size is free, and none is negative (Breiman 1996, with a ridge).

Dimension key: K plain models, B patients, T visits, O outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusion.losses.base import ResponseLoss, SurvivalLoss
from fusion.types import Outcome, Response

#: No weight, nor the size of all, goes beyond this: with a few events a likelihood may have no maximum.
LARGEST = 2.0

Total = Callable[[Float[Tensor, "B T O"]], Float[Tensor, ""]]


@dataclass(frozen=True)
class Blend:
    """Weights of the sum.

    Attributes:
        plain: Weight of each plain model at the first visit and at later ones, "2 K".
        network: Weight of the network.
    """

    plain: Float[Tensor, "2 K"]
    network: float


def blended(
    plain: Float[Tensor, "K B T"],
    network: Float[Tensor, "B T O"],
    weights: Blend,
    direction: float | Float[Tensor, " O"],
) -> Float[Tensor, "B T O"]:
    """Weighted sum of plain models, which move every output in one direction, and of the network.

    >>> weights = Blend(plain=torch.tensor([[0.5], [2.0]]), network=1.0)
    >>> blended(torch.ones(1, 1, 2), torch.zeros(1, 2, 1), weights, direction=-1.0).flatten()
    tensor([-0.5000, -2.0000])
    """
    return weights.network * network + direction * _sum(plain, weights.plain.to(plain))[..., None]


def _sum(plain_KBT: Tensor, weight_2K: Tensor) -> Tensor:
    first = torch.einsum("kb,k->b", plain_KBT[:, :, 0], weight_2K[0])[:, None]
    later = torch.einsum("kbt,k->bt", plain_KBT[:, :, 1:], weight_2K[1])
    return torch.cat([first, later], dim=1)


def summed_loss(
    loss: SurvivalLoss | ResponseLoss,
    target: Outcome | Response,
    weight: Float[Tensor, "B T"],
    day: Float[Tensor, "B T"],
) -> Total:
    """Negative log likelihood of outputs, as a sum.

    In double precision: near its minimum a loss is flat, and rounding would choose the scale. How many respond is
    fitted around the outputs each time, or else weights would make up for a level that is off.

    Args:
        loss: Of the task.
        target: What happened.
        weight: Of each visit.
        day: Of each visit.
    """
    weight = weight.double()
    informs = loss.total_weight(target, weight)  # type: ignore[arg-type]

    def total(outputs: Float[Tensor, "B T O"]) -> Float[Tensor, ""]:
        if isinstance(target, Response):
            loss.calibrate(outputs.detach(), target, day)  # type: ignore[arg-type]
        value: Tensor = loss(outputs.double(), target, weight)
        return value * informs

    return total


def best_scale(loss: Callable[[float], Tensor], low: float = 0.05, high: float = 3.0, steps: int = 40) -> float:
    """Scale at which a loss, convex in it, is least, by golden section.

    The lower end is above zero so that the order of the patients survives.

    >>> round(best_scale(lambda s: torch.tensor((s - 0.7) ** 2)), 3)
    0.7
    """
    ratio = (5**0.5 - 1) / 2
    inner, outer = high - ratio * (high - low), low + ratio * (high - low)
    at_inner, at_outer = float(loss(inner)), float(loss(outer))
    for _ in range(steps):
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - ratio * (high - low)
            at_inner = float(loss(inner))
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + ratio * (high - low)
            at_outer = float(loss(outer))
    return (low + high) / 2


def choose_blend(
    total: Total,
    plain: Float[Tensor, "K B T"],
    network: Float[Tensor, "B T O"],
    *,
    prior: Float[Tensor, "2 K"],
    network_prior: float,
    trust: float,
    direction: float | Float[Tensor, " O"],
) -> Blend:
    """Weights at which the loss of left-out predictions is least, drawn towards `size * prior` with `size` free.

    Args:
        total: Negative log likelihood (a sum, not a mean) of outputs "B T O".
        plain: What the plain models say of patients whom they did not see.
        network: Likewise the network.
        prior: Weights of the plain models before the data have spoken.
        network_prior: Likewise of the network.
        trust: Ridge on the distance from the prior; large values leave one number to choose, the size of all.
        direction: What one unit of a plain model adds to every output, or to each.
    """
    from scipy.optimize import minimize  # takes .4 s to import, and who predicts does not choose

    plain, network = plain.double(), network.double()
    prior_W = torch.cat([prior.flatten().double(), torch.tensor([network_prior], dtype=torch.float64)])
    num_models = prior.shape[1]

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        free = torch.tensor(values, requires_grad=True)
        weights, size = free[:-1], free[-1]
        mixed = blended(plain, network, Blend(weights[:-1].view(2, num_models), 1.0), direction)
        mixed = mixed + (weights[-1] - 1.0) * network
        value = total(mixed) + 0.5 * trust * (weights - size * prior_W).square().sum()
        (slope,) = torch.autograd.grad(value, free)
        return value.item(), slope.numpy()

    start = np.append(prior_W.numpy(), 1.0)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0.0, LARGEST)] * len(start)).x
    return Blend(plain=torch.tensor(found[:-2]).view(2, num_models).float(), network=float(found[-2]))
