"""Piecewise-constant hazards: the likelihood of exact days in continuous time.

Dimension key: N rows, B patients, T visits, O outputs = K bins.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.losses.cuts import bins_of, days_in_bins
from fusion.losses.piecewise import PiecewiseHazards
from fusion.losses.precision import in_full
from fusion.types import Outcome


def pc_hazard_nll(
    log_rates: Float[Tensor, "N K"],
    days: Float[Tensor, "N K"],
    bins: Int[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Cumulative hazard, less the log hazard at an event, averaged over the (weighted) rows; see `PCHazard`.

    No row gives a zero that is connected to the graph.

    Args:
        log_rates: Log hazard per day in each bin.
        days: Days spent in each bin.
        bins: The bin of the event.
        event: True where the event was reached.
        weight: Weight of each row.

    >>> pc_hazard_nll(torch.zeros(1, 2), torch.tensor([[2.0, 0.5]]), torch.tensor([1]), torch.tensor([True]))
    tensor(2.5000)
    """
    log_rates = in_full(log_rates)
    hazard_N = (log_rates.exp() * days.to(log_rates)).sum(dim=1)
    log_rate_N = log_rates.gather(1, bins.clamp_min(0)[:, None])[:, 0]
    loss_N = hazard_N - torch.where(event, log_rate_N, torch.zeros_like(log_rate_N))
    weight_N = torch.ones_like(loss_N) if weight is None else weight.to(loss_N)
    return (weight_N * loss_N).sum() / weight_N.sum().clamp_min(torch.finfo(loss_N.dtype).tiny)


class PCHazard(PiecewiseHazards):
    """Piecewise-constant hazards of the time from the visit (Kvamme 2019, with exp for softplus).

    With exp an output is a log hazard ratio, and the hazards of the training part are events over days at risk.
    """

    def nll(
        self,
        outputs: Float[Tensor, "B T O"],
        level: Float[Tensor, "2 O"],
        outcome: Outcome,
        weight: Float[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """See `pc_hazard_nll`."""
        log_rates, rows = self.log_rates(outputs, level), outcome.at_risk
        bins, died = bins_of(self.cuts, outcome.duration[rows], outcome.event[rows])
        days = days_in_bins(self.cuts, outcome.duration[rows])
        return pc_hazard_nll(log_rates[rows], days, bins, died, weight=weight[rows])
