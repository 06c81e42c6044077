"""Discrete-time logistic hazards: one output per bin of time, decoded to a curve that is smooth inside the bins.

Dimension key: N rows, B patients, T visits, O outputs = K bins, Q prediction times.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from fusion.losses.base import SurvivalLoss
from fusion.losses.weights import VISIT_SCALE
from fusion.survival import kaplan_meier
from fusion.types import Outcome, SurvivalPrediction


def logistic_hazard_nll(
    logits: Float[Tensor, "N K"],
    bins: Int[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log likelihood of hazards sigma(logits), averaged over the (weighted) rows (Gensheimer 2019).

    A row survives every bin before its own; in its own it has its event, or survives that one too. No row gives a zero
    that is connected to the graph.

    Args:
        logits: Log odds of an event in each bin among those who reach it.
        bins: The bin of the event, or the last bin survived in full; -1 where none was, such a row says nothing.
        event: True where the event was reached.
        weight: Weight of each row.

    >>> logits = torch.zeros(2, 3)
    >>> logistic_hazard_nll(logits, torch.tensor([0, 2]), torch.tensor([True, False])) / torch.log(torch.tensor(2.0))
    tensor(2.)
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    place_K = torch.arange(logits.shape[1], device=logits.device)
    survived_NK = (place_K < bins[:, None]) | ((place_K == bins[:, None]) & ~event[:, None])
    died_NK = (place_K == bins[:, None]) & event[:, None]
    zero = logits.new_zeros(())
    log_likelihood_N = torch.where(survived_NK, functional.logsigmoid(-logits), zero).sum(dim=1)
    log_likelihood_N = log_likelihood_N + torch.where(died_NK, functional.logsigmoid(logits), zero).sum(dim=1)
    weight_N = torch.ones_like(log_likelihood_N) if weight is None else weight.to(log_likelihood_N)
    return -(weight_N * log_likelihood_N).sum() / weight_N.sum().clamp_min(torch.finfo(logits.dtype).tiny)


class LogisticHazard(SurvivalLoss):
    """Logistic hazards of the time from the visit, as deviations from the hazards of the training part.

    The cuts are quantiles of the training part's event times on the Kaplan-Meier scale, so that every bin takes the
    same share of the mortality. Outputs are added to the training part's own log odds: an untrained head that gives
    zeros predicts the Kaplan-Meier curve.

    Args:
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        visit_scale: Days over which the weight of later visits fades.
    """

    cuts: Tensor
    base_logits: Tensor

    def __init__(self, num_bins: int = 20, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.num_outputs = num_bins
        self.register_buffer("cuts", torch.full((num_bins,), torch.inf))
        self.register_buffer("base_logits", torch.zeros(num_bins))

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Cuts and base hazards from the weighted outcomes of the training part."""
        rows = outcome.at_risk
        duration, event, weight_N = outcome.duration[rows], outcome.event[rows], weight[rows]
        curve = kaplan_meier(
            duration.double().cpu().numpy(), event.cpu().numpy(), weight_N.clamp_min(1e-9).double().cpu().numpy()
        )
        if len(curve.times):
            survival = torch.from_numpy(curve.values)
            levels = torch.linspace(1.0, float(survival[-1]), self.num_outputs + 1, dtype=torch.float64)[1:]
            place = torch.searchsorted(-survival, -levels - 1e-9).clamp_max(len(survival) - 1)
            cuts = torch.from_numpy(curve.times)[place].unique()
        elif len(duration):  # no event: one bin in which hardly anyone dies
            cuts = duration.max()[None]
        else:
            raise ValueError("no visit of the training part is at risk; check the outcomes of this task")
        self.cuts.fill_(torch.inf)
        self.cuts[: len(cuts)] = cuts
        bins, died = self._bins(duration, event)
        reached = bins[:, None] >= torch.arange(self.num_outputs, device=bins.device)
        at_risk = (weight_N[:, None] * reached).sum(dim=0)
        deaths = torch.zeros_like(at_risk).index_add(0, bins[died], weight_N[died])
        hazard = (deaths / at_risk.clamp_min(1e-9)).clamp(1e-4, 1.0 - 1e-4)
        self.base_logits.copy_(torch.where(torch.isfinite(self.cuts), hazard.logit(), torch.zeros_like(hazard)))

    def _bins(self, duration: Float[Tensor, " N"], event: Bool[Tensor, " N"]) -> tuple[Tensor, Tensor]:
        """Bin of the event, or the last bin survived in full; and whether the event lies within the cuts."""
        duration = duration.to(self.cuts)
        died = event & (duration <= self.cuts[torch.isfinite(self.cuts)].max())
        bin_of_event = torch.searchsorted(self.cuts, duration)
        last_survived = torch.searchsorted(self.cuts, duration, right=True) - 1
        return torch.where(died, bin_of_event, last_survived), died

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight."""
        self._require_cuts()
        rows = outcome.at_risk
        bins, died = self._bins(outcome.duration[rows], outcome.event[rows])
        return logistic_hazard_nll(outputs[rows] + self.base_logits, bins, died, weight=weight[rows])

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Nothing to learn: the hazards are absolute."""

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Curve with a constant hazard inside each bin; risk is the log of the mean cumulative hazard at the cuts.

        Survival beyond the last cut is held constant: no event there to learn from.
        """
        self._require_cuts()
        used = int(torch.isfinite(self.cuts).sum())
        log_survival_BTO = functional.logsigmoid(-(outputs + self.base_logits)[..., :used]).cumsum(dim=-1)
        knots = functional.pad(self.cuts[:used], (1, 0))
        at_knots = functional.pad(log_survival_BTO, (1, 0))
        times_Q = times.to(knots).clamp(max=float(knots[-1]))
        right_Q = torch.searchsorted(knots, times_Q).clamp(min=1)
        share_Q = (times_Q - knots[right_Q - 1]) / (knots[right_Q] - knots[right_Q - 1])
        log_survival_BTQ = torch.lerp(at_knots[..., right_Q - 1], at_knots[..., right_Q], share_Q.to(at_knots))
        risk = (-log_survival_BTO).mean(dim=-1).log()
        return SurvivalPrediction(risk=risk, survival=log_survival_BTQ.exp(), times=times)

    def _require_cuts(self) -> None:
        if torch.isinf(self.cuts[0]):
            raise ValueError("the cuts of time are not known yet; call `prepare`, or load the state of a fitted one")
