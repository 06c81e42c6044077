"""Weibull accelerated failure time: proportional hazards and stretched time in one, with a smooth curve.

Dimension key: N rows.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusion.losses.accelerated import SHORTEST, AcceleratedFailureTime, weighted_mean
from fusion.losses.precision import in_full

#: exp(z) is held below e^60: beyond it nobody lives, and float32 overflows.
HIGHEST = 60.0


def weibull_aft_nll(
    location: Float[Tensor, " N"],
    scale: Float[Tensor, " N"],
    duration: Float[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log likelihood of S(t) = exp(-exp((log t - location) / scale)), averaged over the (weighted) rows.

    As `survreg` of R: on the scale of days, `scale` is one over Weibull's shape. No row gives a zero that is connected
    to the graph.

    >>> weibull_aft_nll(torch.zeros(1), torch.ones(1), torch.tensor([2.0]), torch.tensor([True]))
    tensor(2.)
    """
    location = in_full(location)
    log_time_N = duration.to(location).clamp_min(SHORTEST).log()
    z_N = ((log_time_N - location) / scale).clamp_max(HIGHEST)
    log_hazard_N = z_N - scale.log() - log_time_N
    return weighted_mean(torch.exp(z_N) - torch.where(event, log_hazard_N, torch.zeros_like(z_N)), weight)


class WeibullAFT(AcceleratedFailureTime):
    """Log time with the noise of the smallest extreme value.

    Args:
        visit_scale: Days over which the weight of later visits fades.
    """

    def nll_of(
        self,
        location: Float[Tensor, " N"],
        scale: Float[Tensor, " N"],
        duration: Float[Tensor, " N"],
        event: Bool[Tensor, " N"],
        weight: Float[Tensor, " N"],
    ) -> Float[Tensor, ""]:
        """See `weibull_aft_nll`."""
        return weibull_aft_nll(location, scale, duration, event, weight=weight)

    def survival(self, z: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """exp(-exp(z))."""
        return torch.exp(-torch.exp(z.clamp_max(HIGHEST)))

    def median(self) -> float:
        """log(log 2)."""
        return math.log(math.log(2.0))
