"""Interval-censored events: progression came some day between the last scan without it and the scan that found it.

Dimension key: N rows, B patients, T visits, O outputs = K bins.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.losses.binned import HIGHEST
from fusion.losses.cuts import bins_of, days_in_bins
from fusion.losses.fit import minimise
from fusion.losses.piecewise import PiecewiseHazards
from fusion.losses.precision import in_full
from fusion.types import Outcome


def interval_nll(
    log_rates: Float[Tensor, "N K"],
    free_days: Float[Tensor, "N K"],
    open_days: Float[Tensor, "N K"],
    bins: Int[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log likelihood -log(S(left) - S(right)) of piecewise-constant hazards, averaged over (weighted) rows.

    A row without the event survived its free and its open days. An event without open days has an exact day: there
    the density takes the place of the difference. No row gives a zero that is connected to the graph.

    Args:
        log_rates: Log hazard per day in each bin.
        free_days: Days in each bin that are known to be free of the event, up to `left`.
        open_days: Days in each bin from `left` to `right`.
        bins: The bin of the event, where its day is exact.
        event: True where the event was reached.
        weight: Weight of each row.

    >>> free, open_, event = torch.tensor([[1.0]]), torch.tensor([[1.0]]), torch.tensor([True])
    >>> torch.exp(-interval_nll(torch.zeros(1, 1), free, open_, torch.tensor([0]), event))  # exp(-1) - exp(-2)
    tensor(0.2325)
    """
    log_rates = in_full(log_rates)
    free_N = (log_rates.exp() * free_days.to(log_rates)).sum(dim=1)
    open_N = (log_rates.exp() * open_days.to(log_rates)).sum(dim=1)
    within_N = event & (open_days.sum(dim=1) > 0)
    exact_N = event & ~within_N
    # log(1 - exp(-x)); where it is not asked for, a harmless x keeps the gradient finite
    chance_N = torch.log(-torch.expm1(-torch.where(within_N, open_N, 1.0).clamp_min(1e-30)))
    log_rate_N = log_rates.gather(1, bins.clamp_min(0)[:, None])[:, 0]
    zero_N = torch.zeros_like(free_N)
    log_likelihood_N = -free_N + torch.where(event, zero_N, -open_N)
    log_likelihood_N = log_likelihood_N + torch.where(within_N, chance_N, zero_N)
    log_likelihood_N = log_likelihood_N + torch.where(exact_N, log_rate_N, zero_N)
    weight_N = torch.ones_like(free_N) if weight is None else weight.to(free_N)
    return -(weight_N * log_likelihood_N).sum() / weight_N.sum().clamp_min(torch.finfo(free_N.dtype).tiny)


class IntervalHazard(PiecewiseHazards):
    """Piecewise-constant hazards of an event that scans find, with the likelihood of the interval between two scans.

    Taken as exact, such days pile up on the scan plan, and a trial with sparser scans looks like one with longer
    control. `Outcome.last_free` says since when; where it is None every day is exact, and this is `PCHazard`. An
    untrained head that gives zeros predicts the marginal model that maximises this likelihood on the training part.
    """

    def marginal(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> Float[Tensor, " O"]:
        """Log rates by maximum likelihood; half an event in proportion to the days at risk keeps each above zero."""
        start = super().marginal(outcome, weight).double()
        free, open_, bins, died = self._interval(outcome)
        weight_N = weight[outcome.at_risk].double()
        total = weight_N.sum().clamp_min(1e-9)
        prior_O = 0.5 * (weight_N @ free.double()) / (weight_N @ free.double()).sum().clamp_min(1e-9)

        def loss(log_rates_O: Tensor) -> Tensor:
            rates_NO = log_rates_O.clamp_max(HIGHEST).expand(len(free), -1)
            prior = (prior_O * (log_rates_O - torch.exp(log_rates_O - start))).sum()
            return interval_nll(rates_NO, free, open_, bins, died, weight=weight_N) - prior / total

        return minimise(loss, start)

    def _interval(
        self, outcome: Outcome
    ) -> tuple[Float[Tensor, "N O"], Float[Tensor, "N O"], Int[Tensor, " N"], Bool[Tensor, " N"]]:
        rows = outcome.at_risk
        right_N = outcome.duration[rows]
        left_N = right_N if outcome.last_free is None else outcome.last_free[rows]
        bins, died = bins_of(self.cuts, right_N, outcome.event[rows])
        beyond_N = outcome.event[rows] & ~died  # found later than any in training: free up to `left` is all that counts
        right_N = torch.where(beyond_N, torch.minimum(left_N, right_N), right_N)
        free = days_in_bins(self.cuts, torch.minimum(left_N, right_N))
        return free, (days_in_bins(self.cuts, right_N) - free).clamp_min(0.0), bins, died

    def nll(
        self,
        outputs: Float[Tensor, "B T O"],
        level: Float[Tensor, "2 O"],
        outcome: Outcome,
        weight: Float[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """See `interval_nll`."""
        log_rates, rows = self.log_rates(outputs, level), outcome.at_risk
        return interval_nll(log_rates[rows], *self._interval(outcome), weight=weight[rows])
