"""Probability of every cause and bin of time: the likelihood and the decoding that MTLR and DeepHit share.

Dimension key: N rows, J causes, K bins, B patients, T visits, Q prediction times.

Event of cause j in bin k has probability softmax(logits)_jk, where no event within the cuts has logit 0.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from fusion.losses.cuts import between_cuts
from fusion.types import SurvivalPrediction


def incidence_nll(
    logits: Float[Tensor, "N J K"],
    bins: Int[Tensor, " N"],
    cause: Int[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log likelihood of cause and bin, averaged over the (weighted) rows.

    A censored row survived its bin: it may be in any later one, by any cause, or free of events to the end. No row
    gives a zero that is connected to the graph.

    Args:
        logits: Of each cause and bin, against no event within the cuts; minus infinity where a bin is not used.
        bins: The bin of the event, or the last bin survived in full; -1 where none was, such a row says nothing.
        cause: 1, 2, ... for an event, 0 for a censored row.
        weight: Weight of each row.

    >>> logits = torch.zeros(2, 1, 3)
    >>> incidence_nll(logits, torch.tensor([0, 1]), torch.tensor([1, 0])) / torch.log(torch.tensor(2.0))
    tensor(1.5000)
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    place_J = torch.arange(1, logits.shape[1] + 1, device=logits.device)[:, None]
    place_K = torch.arange(logits.shape[2], device=logits.device)
    cause_N, bins_N = cause[:, None, None], bins[:, None, None]
    had_NJK = (place_J == cause_N) & (place_K == bins_N)
    may_have_NJK = torch.where(cause_N > 0, had_NJK, place_K > bins_N)
    free_N1 = torch.where(cause[:, None] > 0, -torch.inf, torch.zeros_like(logits[:, 0, :1]))
    possible = torch.cat([logits.masked_fill(~may_have_NJK, -torch.inf).flatten(1), free_N1], dim=1)
    log_likelihood_N = possible.logsumexp(dim=1) - _with_free(logits).logsumexp(dim=1)
    weight_N = torch.ones_like(log_likelihood_N) if weight is None else weight.to(log_likelihood_N)
    return -(weight_N * log_likelihood_N).sum() / weight_N.sum().clamp_min(torch.finfo(logits.dtype).tiny)


def _with_free(logits: Float[Tensor, "*rows J K"]) -> Float[Tensor, "*rows JK1"]:
    """All logits in a row, and behind them that of no event within the cuts."""
    return functional.pad(logits.flatten(-2), (0, 1))


def probabilities(logits: Float[Tensor, "*rows J K"]) -> tuple[Float[Tensor, "*rows J K"], Float[Tensor, "*rows K"]]:
    """Cumulative incidence of each cause, and the probability of no event of any cause, at the cuts.

    >>> probabilities(torch.zeros(2, 1))
    (tensor([[0.3333],
            [0.3333]]), tensor([0.3333]))
    """
    mass = _with_free(logits).softmax(dim=-1)
    mass_JK = mass[..., :-1].unflatten(-1, logits.shape[-2:])
    later_K = functional.pad(mass_JK.sum(dim=-2)[..., 1:], (0, 1)).flip(-1).cumsum(-1).flip(-1)
    return mass_JK.cumsum(dim=-1), later_K + mass[..., -1:]  # a sum, as one minus the incidence would round to zero


def base_logits(incidence: Float[Tensor, "J K"], cuts: Float[Tensor, " K"]) -> Float[Tensor, "J K"]:
    """Logits at which the model predicts these incidences in every bin; minus infinity where a bin is not used.

    >>> base_logits(torch.tensor([[0.5, 0.25, 0.0]]), torch.tensor([10.0, 20.0, torch.inf]))
    tensor([[0.6931, 0.0000,   -inf]])
    """
    floor = 1e-4  # what never happened to the training part may yet happen
    logit = incidence.clamp_min(floor).log() - (1.0 - incidence.sum()).clamp_min(floor).log()
    return logit.masked_fill(torch.isinf(cuts), -torch.inf)


def decoded(
    logits: Float[Tensor, "B T J K"], cuts: Float[Tensor, " K"], times: Float[Tensor, " Q"]
) -> SurvivalPrediction:
    """Curves with a constant density inside each bin; risk is the mean incidence of the first cause at the cuts.

    The risk is on the scale of a log hazard, log(-log(1 - incidence)), on which it does not saturate. Beyond the last
    cut the curves are held constant: no event there to learn from.
    """
    incidence_BTJK, survival_BTK = probabilities(logits)
    used = torch.isfinite(cuts)
    others_BTK = survival_BTK + incidence_BTJK[..., 1:, :].sum(dim=-2)
    mean_BT, rest_BT = incidence_BTJK[..., 0, used].mean(dim=-1), others_BTK[..., used].mean(dim=-1)
    tiny = torch.finfo(logits.dtype).tiny
    hazard_BT = torch.where(mean_BT < 0.5, -torch.log1p(-mean_BT), -rest_BT.clamp_min(tiny).log())
    return SurvivalPrediction(
        risk=hazard_BT.clamp_min(tiny).log(),
        survival=between_cuts(cuts, survival_BTK, 1.0, times).clamp(0.0, 1.0),
        times=times,
        incidence=between_cuts(cuts, incidence_BTJK, 0.0, times).clamp(0.0, 1.0) if logits.shape[2] > 1 else None,
    )
