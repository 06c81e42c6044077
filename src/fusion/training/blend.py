"""How much each plain model and the network count in what a fold says, chosen on patients whom none of them saw.

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
