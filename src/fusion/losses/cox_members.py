"""Partial likelihoods of several models of the same patients at once: the times are sorted and counted once for all.

Dimension key: K models, N rows, G distinct times with an event, E rows with an event.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def cox_nll_each(
    log_hazard: Float[Tensor, "K N"],
    duration: Float[Tensor, " N"],
    event: Bool[Tensor, " N"],
    weight: Float[Tensor, "K N"],
    *,
    ties: Literal["efron", "breslow"] = "efron",
) -> Float[Tensor, " K"]:
    """What `cox_nll` gives for every model, whose rows are those with a weight above zero.

    A row of weight zero is in no risk set and in no group of tied events of that model. Risk sets are summed in
    float64, which holds log hazards up to 700 apart; `cox_nll` knows no such bound.

    Args:
        log_hazard: Linear predictor of each row by each model.
        duration: Time to event or censoring.
        event: True where the event was reached.
        weight: Weight of each row in each model; 0 leaves it out.
        ties: Efron (1977), or Breslow (1974).

    >>> weight = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    >>> cox_nll_each(torch.zeros(2, 3), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, True, False]), weight)
    tensor([0.8959, 0.6931])
    """
    dtype = log_hazard.dtype if log_hazard.dtype == torch.float64 else torch.float32
    order = torch.argsort(duration, descending=True)
    duration_N, event_N = duration[order], event[order]
    eta_KN, weight_KN = log_hazard[:, order].double(), weight[:, order].double()
    at_E = event_N.nonzero().squeeze(1)
    last_E = torch.searchsorted(-duration_N, -duration_N[at_E], right=True) - 1  # at risk: up to the end of the ties
    time_G, group_E = torch.unique_consecutive(duration_N[at_E], return_inverse=True)

    here_KN = weight_KN > 0
    top_K1 = eta_KN.detach().masked_fill(~here_KN, -torch.inf).amax(dim=1, keepdim=True) if len(order) else eta_KN
    top_K1 = torch.where(torch.isfinite(top_K1), top_K1, 0.0)
    # of a row that is not there the exponent is masked too: were it infinite, its gradient would be NaN
    hazard_KN = weight_KN * torch.exp(torch.where(here_KN, eta_KN - top_K1, 0.0))
    risk_KE = hazard_KN.cumsum(dim=1)[:, last_E]
    eta_KE, weight_KE, here_KE = eta_KN[:, at_E], weight_KN[:, at_E], here_KN[:, at_E]

    def of_group(values_KE: Tensor) -> Tensor:
        """Sum over the tied events of every event."""
        empty_KG = values_KE.new_zeros(len(values_KE), len(time_G))
        return empty_KG.index_add(1, group_E, values_KE)[:, group_E]

    deaths_KE = of_group(here_KE.double()).clamp_min(1.0)
    if ties == "efron":  # the l-th of d tied events leaves the share l / d of all d behind in the risk set
        number_KE = here_KE.double().cumsum(dim=1)
        first_E = torch.searchsorted(group_E, group_E)
        before_KE = (number_KE - here_KE.double())[:, first_E]
        share_KE = (number_KE - 1.0 - before_KE) / deaths_KE
        risk_KE = risk_KE - share_KE * of_group(hazard_KN[:, at_E])
    log_risk_KE = torch.where(here_KE, risk_KE, 1.0).clamp_min(torch.finfo(torch.float64).tiny).log() + top_K1
    loss_K = (of_group(weight_KE) / deaths_KE * here_KE * log_risk_KE - weight_KE * eta_KE).sum(dim=1)
    events_K = weight_KE.sum(dim=1).clamp_min(torch.finfo(dtype).tiny)
    return (loss_K / events_K + 0.0 * eta_KN.sum(dim=1)).to(dtype)
