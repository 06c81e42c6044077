"""Probability of every cause and bin of time: the likelihood and the decoding that MTLR and DeepHit share.

Dimension key: N rows, J causes, K bins, B patients, T visits, O outputs = J K, Q prediction times.

Event of cause j in bin k has probability softmax(logits)_jk, where no event within the cuts has logit 0.
"""

from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from fusion.losses.binned import Binned
from fusion.losses.cuts import between_cuts, bins_of, marginal_incidence, require_cuts
from fusion.losses.precision import in_full
from fusion.types import Outcome, SurvivalPrediction

#: Least probability of a bin, or of no event: what never happened to the training part may yet happen.
FLOOR = 1e-4


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
    logits = in_full(logits)
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
    logit = incidence.clamp_min(FLOOR).log() - (1.0 - incidence.sum()).clamp_min(FLOOR).log()
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


class BinnedIncidence(Binned):
    """Logits of causes and bins of time, as deviations from those of the training part.

    Args:
        num_causes: Competing causes.
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        visit_scale: Days over which the weight of later visits fades.
    """

    def __init__(self, num_causes: int, num_bins: int, visit_scale: float) -> None:
        super().__init__(num_bins, visit_scale)
        self.num_causes, self.num_outputs = num_causes, num_causes * num_bins
        self.register_buffer("level", torch.full((2, num_causes, num_bins), -torch.inf))

    @abstractmethod
    def level_of(self, incidence: Float[Tensor, "J K"]) -> Float[Tensor, "J K"]:
        """The level at which outputs of zero predict these incidences; minus infinity where a bin is not used."""

    @abstractmethod
    def logits(self, outputs: Float[Tensor, "B T O"], level: Float[Tensor, "2 J K"]) -> Float[Tensor, "B T J K"]:
        """Of each cause and bin, against no event within the cuts."""

    def cause_of(self, outcome: Outcome) -> Int[Tensor, "B T"]:
        """1, 2, ... for an event, 0 for none; where the outcome names no cause, every event is of the first."""
        if self.num_causes == 1 or outcome.cause is None:
            return outcome.event.long()
        return outcome.cause * outcome.event

    def prepare_cuts(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Cuts that share the events of any cause.

        Raises:
            ValueError: A cause is beyond `num_causes`.
        """
        highest = int(self.cause_of(outcome)[outcome.at_risk].max())
        if highest > self.num_causes:
            raise ValueError(f"the outcome has cause {highest}; set num_causes to the number of causes")
        super().prepare_cuts(outcome, weight)

    def marginal(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> Float[Tensor, "J K"]:
        """The level of Aalen-Johansen."""
        rows = outcome.at_risk
        cause_N = self.cause_of(outcome)[rows]
        incidence = marginal_incidence(self.cuts, outcome.duration[rows], cause_N, weight[rows], self.num_causes)
        return self.level_of(incidence)

    def nll(
        self,
        outputs: Float[Tensor, "B T O"],
        level: Float[Tensor, "2 J K"],
        outcome: Outcome,
        weight: Float[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """See `incidence_nll`."""
        require_cuts(self.cuts)
        return self.nll_of(self.logits(outputs, level), outcome, weight)

    def nll_of(
        self, logits: Float[Tensor, "B T J K"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """The same from the logits."""
        rows, cause = outcome.at_risk, self.cause_of(outcome)
        bins, died = bins_of(self.cuts, outcome.duration[rows], outcome.event[rows])
        return incidence_nll(logits[rows], bins, cause[rows] * died, weight=weight[rows])

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Risk of the first cause, probability of no event and, of several causes, their incidences; see `decoded`."""
        require_cuts(self.cuts)
        return decoded(self.logits(outputs, self.level), self.cuts, times)
