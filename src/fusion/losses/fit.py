"""Fits the few numbers of a marginal model by maximum likelihood.

Dimension key: P parameters.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def minimise(
    loss: Callable[[Float[Tensor, " P"]], Float[Tensor, ""]], start: Float[Tensor, " P"], steps: int = 200
) -> Float[Tensor, " P"]:
    """Where a smooth loss of a handful of parameters is least, in float64, by L-BFGS; also inside `no_grad`.

    >>> minimise(lambda x: ((x - torch.tensor([1.0, 2.0])) ** 2).sum(), torch.zeros(2)).round(decimals=6)
    tensor([1., 2.], dtype=torch.float64)
    """
    with torch.enable_grad():
        parameters = start.detach().double().clone().requires_grad_(True)
        optimizer = torch.optim.LBFGS(
            [parameters], max_iter=steps, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            value = loss(parameters)
            value.backward()
            return value

        optimizer.step(closure)
    return parameters.detach()
