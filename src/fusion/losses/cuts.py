"""Cuts of time that share the mortality, and what lies between them: common to all models of binned time.

Dimension key: N rows, K bins, J causes, Q prediction times.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from fusion.survival import kaplan_meier

#: How far a bin goes its own way, unless told otherwise; 1 is an output per bin, as published.
DEVIATION = 0.05


def mortality_cuts(
    duration: Float[Tensor, " N"], event: Bool[Tensor, " N"], weight: Float[Tensor, " N"], num_bins: int
) -> Float[Tensor, " K"]:
    """Right ends of the bins: quantiles of the event times on the Kaplan-Meier scale, so that all hold equal mortality.

    Where fewer distinct event times exist than bins, the bins at the end stay unused and their cuts are infinite.

    Raises:
        ValueError: There is no row.

    >>> mortality_cuts(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.ones(4, dtype=torch.bool), torch.ones(4), 2)
    tensor([2., 4.], dtype=torch.float64)
    """
    curve = kaplan_meier(
        duration.double().cpu().numpy(), event.cpu().numpy(), weight.clamp_min(1e-9).double().cpu().numpy()
    )
    if len(curve.times):
        survival = torch.from_numpy(curve.values)
        levels = torch.linspace(1.0, float(survival[-1]), num_bins + 1, dtype=torch.float64)[1:]
        place = torch.searchsorted(-survival, -levels - 1e-9).clamp_max(len(survival) - 1)
        cuts = torch.from_numpy(curve.times)[place].unique()
    elif len(duration):  # no event: one bin in which hardly anyone dies
        cuts = duration.double().max()[None]
    else:
        raise ValueError("no visit of the training part is at risk; check the outcomes of this task")
    return functional.pad(cuts, (0, num_bins - len(cuts)), value=torch.inf)


def pooled(outputs: Float[Tensor, "*rows K"], used: Bool[Tensor, " K"], deviation: float) -> Float[Tensor, "*rows K"]:
    """What the bins in use share, and what each output deviates from it, times `deviation`.

    With an output per bin and a few hundred patients each bin learns from a dozen events, and the noise of twenty bins
    stops the training before what they share is learned (`docs/decisions/018-bins-share-a-ratio.md`). The mean of all
    moves as far in a step as one output for all would; deviations follow at a fraction of that.

    >>> pooled(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False]), 0.1)
    tensor([1.9000, 2.1000, 2.7000])
    """
    return torch.lerp(shared(outputs, used)[..., None], outputs, deviation)


def shared(outputs: Float[Tensor, "*rows K"], used: Bool[Tensor, " K"]) -> Float[Tensor, "*rows"]:
    """The mean of the outputs whose bins are in use: not a product of matrices, which autocast makes in bf16."""
    return (outputs * (used / used.sum()).to(outputs)).sum(dim=-1)


def require_cuts(cuts: Float[Tensor, " K"]) -> None:
    """Raise where `prepare` was never called."""
    if torch.isinf(cuts[0]):
        raise ValueError("the cuts of time are not known yet; call `prepare`, or load the state of a fitted one")


def bins_of(
    cuts: Float[Tensor, " K"], duration: Float[Tensor, " N"], event: Bool[Tensor, " N"]
) -> tuple[Int[Tensor, " N"], Bool[Tensor, " N"]]:
    """Bin of the event, or the last bin survived in full (-1: none); and whether the event lies within the cuts.

    An event later than every cut was survived by all of them.
    """
    duration = duration.to(cuts)
    died = event & (duration <= cuts[torch.isfinite(cuts)].max())
    bin_of_event = torch.searchsorted(cuts, duration)
    last_survived = torch.searchsorted(cuts, duration, right=True) - 1
    return torch.where(died, bin_of_event, last_survived), died


def days_in_bins(cuts: Float[Tensor, " K"], duration: Float[Tensor, " N"]) -> Float[Tensor, "N K"]:
    """Days that each row spends in each bin; none in unused bins, none beyond the last cut.

    >>> days_in_bins(torch.tensor([2.0, 5.0, torch.inf]), torch.tensor([1.0, 4.0, 9.0]))
    tensor([[1., 0., 0.],
            [2., 2., 0.],
            [2., 3., 0.]])
    """
    used = torch.isfinite(cuts)
    right_K = torch.where(used, cuts, cuts[used].max())
    left_K = functional.pad(right_K[:-1], (1, 0))
    return (torch.minimum(duration.to(cuts)[:, None], right_K) - left_K).clamp_min(0.0)


def marginal_incidence(
    cuts: Float[Tensor, " K"],
    duration: Float[Tensor, " N"],
    cause: Int[Tensor, " N"],
    weight: Float[Tensor, " N"],
    num_causes: int,
) -> Float[Tensor, "J K"]:
    """Probability of an event of each cause in each bin, by Aalen-Johansen; with one cause, the steps of Kaplan-Meier.

    >>> cuts, time = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    >>> marginal_incidence(cuts, time, torch.tensor([1, 2, 1, 0]), torch.ones(4), 2)
    tensor([[0.2500, 0.2500],
            [0.2500, 0.0000]], dtype=torch.float64)
    """
    time_N, cause_N = duration.double().cpu().numpy(), cause.cpu().numpy()
    weight_N = weight.clamp_min(1e-9).double().cpu().numpy()
    order = np.argsort(time_N)
    remaining_N = np.cumsum(weight_N[order][::-1])[::-1]
    at_risk_N = remaining_N[np.searchsorted(time_N[order], time_N)]
    mass_N = torch.from_numpy(kaplan_meier(time_N, cause_N > 0, weight_N).left(time_N) * weight_N / at_risk_N)
    bins_N, died_N = bins_of(cuts.double(), torch.from_numpy(time_N), torch.from_numpy(cause_N > 0))
    place_N = (torch.from_numpy(cause_N) - 1) * len(cuts) + bins_N
    mass_JK = torch.zeros(num_causes * len(cuts), dtype=torch.float64)
    return mass_JK.index_add(0, place_N[died_N], mass_N[died_N]).unflatten(0, (num_causes, len(cuts)))


def between_cuts(
    cuts: Float[Tensor, " K"], at_cuts: Float[Tensor, "*rows used"], start: float, times: Float[Tensor, " Q"]
) -> Float[Tensor, "*rows Q"]:
    """Read a curve between the cuts along straight lines from `start` on day 0; held constant beyond the last cut.

    >>> between_cuts(torch.tensor([2.0, 4.0]), torch.tensor([0.5, 0.25]), 1.0, torch.tensor([1.0, 3.0, 9.0]))
    tensor([0.7500, 0.3750, 0.2500])
    """
    used = int(torch.isfinite(cuts).sum())
    knots = functional.pad(cuts[:used], (1, 0))
    at_knots = functional.pad(at_cuts[..., :used], (1, 0), value=start)
    times_Q = times.to(knots).clamp(max=float(knots[-1]))
    right_Q = torch.searchsorted(knots, times_Q).clamp(min=1)
    share_Q = (times_Q - knots[right_Q - 1]) / (knots[right_Q] - knots[right_Q - 1])
    return torch.lerp(at_knots[..., right_Q - 1], at_knots[..., right_Q], share_Q.to(at_knots))
