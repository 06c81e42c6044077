"""Pairwise ranking: of two patients at risk, who has the event first; a smooth concordance.

Dimension key: N rows, E rows with an event, B patients, T visits, O outputs.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fusion.losses.precision import in_full
from fusion.losses.proportional import ProportionalHazards
from fusion.types import Outcome


def pairwise_nll(
    log_hazard: Float[Tensor, " N"],
    duration: Float[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log likelihood of who of two is first, averaged over the (weighted) pairs of which that is known.

    A pair counts where one has its event while the other is still at risk (strictly later, or censored on that day).
    Under proportional hazards the one is first with probability sigma(difference of log hazards): this is the partial
    likelihood of risk sets of two, so censoring needs no weights. It bounds the concordance of Harrell (Raykar 2007)
    and weighs late events, whose risk sets are small, less than Cox does. No pair gives a zero that is connected to
    the graph. Costs rows with an event times rows.

    >>> pairwise_nll(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, True, False]))
    tensor(0.6931)
    """
    eta_N = in_full(log_hazard)
    weight_N = torch.ones_like(eta_N) if weight is None else weight.to(eta_N)
    first = duration[event, None]
    at_risk_EN = (duration > first) | ((duration == first) & ~event)
    weight_EN = weight_N[event, None] * weight_N * at_risk_EN
    loss_EN = functional.softplus(eta_N - eta_N[event, None])
    return (weight_EN * loss_EN).sum() / weight_EN.sum().clamp_min(torch.finfo(eta_N.dtype).tiny) + 0.0 * eta_N.sum()


class PairwiseRank(ProportionalHazards):
    """Log hazard at every visit, trained on pairs of visits, decoded through Breslow's baseline.

    Args:
        num_knots: Jumps of the baseline hazard that are kept.
        visit_scale: Days over which the weight of later visits fades.
    """

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the pairs of visits at risk, all visits pooled."""
        rows = outcome.at_risk
        return pairwise_nll(outputs[..., 0][rows], outcome.duration[rows], outcome.event[rows], weight=weight[rows])
