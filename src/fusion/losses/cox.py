"""Cox proportional hazards: partial likelihood with Efron or Breslow ties.

Dimension key: N rows, G distinct times, E rows with an event; E members, B patients, T visits, O outputs.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from fusion.losses.cox_members import cox_nll_each
from fusion.losses.precision import in_full
from fusion.losses.proportional import ProportionalHazards
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome


def cox_nll(
    log_hazard: Float[Tensor, " N"],
    duration: Float[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
    strata: Shaped[Tensor, " N"] | None = None,
    entry: Float[Tensor, " N"] | None = None,
    ties: Literal["efron", "breslow"] = "efron",
) -> Float[Tensor, ""]:
    """Negative log partial likelihood, averaged over the (weighted) events.

    Rows censored at the time of an event are at risk at it. No event gives a zero that is connected to the graph.
    Costs a sort, except with `entry`, where every event time is compared with every row. Float64 is kept; half
    precision is raised to float32.

    Args:
        log_hazard: Linear predictor of each row.
        duration: Time to event or censoring.
        event: True where the event was reached.
        weight: Weight of each row, as `weights` of R's coxph; a row of weight zero is as if absent.
        strata: Rows are compared within a stratum only.
        entry: A row is at risk after this time only (left truncation, start-stop data).
        ties: Efron (1977), or Breslow (1974).

    >>> cox_nll(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, True, False]))
    tensor(0.8959)
    """
    eta_N = in_full(log_hazard)
    weight_N = torch.ones_like(eta_N) if weight is None else weight.to(eta_N.dtype)
    events = (weight_N * event).sum()
    total = eta_N.sum() * 0.0
    stratum_N = torch.zeros_like(event) if strata is None else strata
    for stratum in stratum_N.unique():
        keep = (stratum_N == stratum) & (weight_N > 0)
        if (event & keep).any():
            entry_N = None if entry is None else entry[keep]
            total = total + _stratum_nll(eta_N[keep], duration[keep], event[keep], weight_N[keep], entry_N, ties)
    return total / events.clamp_min(torch.finfo(eta_N.dtype).tiny)


def _stratum_nll(
    eta_N: Tensor, duration_N: Tensor, event_N: Tensor, weight_N: Tensor, entry_N: Tensor | None, ties: str
) -> Tensor:
    order = torch.argsort(duration_N, descending=True)
    eta_N, duration_N, event_N, weight_N = eta_N[order], duration_N[order], event_N[order], weight_N[order]
    time_G, group_N, size_G = torch.unique_consecutive(duration_N, return_inverse=True, return_counts=True)
    score_N = eta_N + weight_N.log()
    group_E, score_E, weight_E = group_N[event_N], score_N[event_N], weight_N[event_N]

    if entry_N is None:  # at risk: every row up to the last one of the tie group
        log_risk_E = torch.logcumsumexp(score_N, dim=0)[size_G.cumsum(0)[group_E] - 1]
    else:
        group, place_E = torch.unique_consecutive(group_E, return_inverse=True)
        time = time_G[group, None]
        at_risk = (entry_N[order] < time) & (duration_N >= time)
        log_risk_E = score_N.masked_fill(~at_risk, -torch.inf).logsumexp(dim=1)[place_E]

    deaths_G = torch.bincount(group_E, minlength=len(time_G))
    if ties == "efron":  # the l-th of d tied events leaves the share l / d of all d behind in the risk set
        rank_E = torch.arange(len(group_E), device=eta_N.device) - (deaths_G.cumsum(0) - deaths_G)[group_E]
        share_E = rank_E.to(eta_N) / deaths_G[group_E]
        highest_G = score_E.new_full((len(time_G),), -torch.inf)
        highest_E = highest_G.scatter_reduce(0, group_E, score_E.detach(), "amax")[group_E]
        tied_G = torch.zeros_like(highest_G).index_add(0, group_E, torch.exp(score_E - highest_E))
        log_tied_E = highest_E + tied_G[group_E].log()
        log_risk_E = log_risk_E + torch.log1p(-share_E * torch.exp(log_tied_E - log_risk_E))
    mean_weight_G = torch.zeros_like(eta_N[: len(time_G)]).index_add(0, group_E, weight_E) / deaths_G
    return (mean_weight_G[group_E] * log_risk_E).sum() - (weight_E * eta_N[event_N]).sum()


class Cox(ProportionalHazards):
    """Log hazard at every visit, trained by partial likelihood on the time from the visit, all visits pooled.

    Pooling makes risks comparable between visits: a visit at week 6 stands in the same risk sets as a baseline visit.

    Args:
        ties: Treatment of tied events.
        num_knots: Jumps of the baseline hazard that are kept.
        visit_scale: Days over which the weight of later visits fades.
    """

    def __init__(
        self, ties: Literal["efron", "breslow"] = "efron", num_knots: int = 512, visit_scale: float = VISIT_SCALE
    ) -> None:
        super().__init__(num_knots=num_knots, visit_scale=visit_scale)
        self.ties: Literal["efron", "breslow"] = ties

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Partial likelihood of the pooled visits at risk."""
        rows = outcome.at_risk
        return cox_nll(
            outputs[..., 0][rows], outcome.duration[rows], outcome.event[rows], weight=weight[rows], ties=self.ties
        )

    def each(
        self, outputs: Float[Tensor, "E B T O"], outcome: Outcome, weight: Float[Tensor, "E B T"]
    ) -> Float[Tensor, " E"]:
        """Partial likelihood of every member; the visits are sorted once for all."""
        rows = outcome.at_risk
        return cox_nll_each(
            outputs[..., 0][:, rows], outcome.duration[rows], outcome.event[rows], weight[:, rows], ties=self.ties
        )
