"""Log-normal accelerated failure time: a hazard that rises and then falls, as after a first critical time.

Dimension key: N rows.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusion.losses.accelerated import SHORTEST, AcceleratedFailureTime, weighted_mean
from fusion.losses.precision import in_full


def lognormal_aft_nll(
    location: Float[Tensor, " N"],
    scale: Float[Tensor, " N"],
    duration: Float[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log likelihood of log t ~ N(location, scale^2), averaged over the (weighted) rows.

    On the scale of days, as `survreg` of R. No row gives a zero that is connected to the graph.

    >>> lognormal_aft_nll(torch.zeros(1), torch.ones(1), torch.tensor([1.0]), torch.tensor([False]))
    tensor(0.6931)
    """
    location = in_full(location)
    log_time_N = duration.to(location).clamp_min(SHORTEST).log()
    z_N = (log_time_N - location) / scale
    log_density_N = -0.5 * (z_N**2 + math.log(2.0 * math.pi)) - scale.log() - log_time_N
    return weighted_mean(-torch.where(event, log_density_N, torch.special.log_ndtr(-z_N)), weight)


class LogNormalAFT(AcceleratedFailureTime):
    """Log time with normal noise.

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
        """See `lognormal_aft_nll`."""
        return lognormal_aft_nll(location, scale, duration, event, weight=weight)

    def survival(self, z: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """Normal probability above `z`."""
        return torch.special.ndtr(-z)

    def median(self) -> float:
        """Zero."""
        return 0.0
