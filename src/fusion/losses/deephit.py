"""DeepHit: probabilities of time bins, trained by likelihood and by the order of the patients.

Dimension key: N rows, E rows with the event, J causes, K bins, B patients, T visits, O outputs = J K.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.losses.binned import HIGHEST
from fusion.losses.cuts import DEVIATION, bins_of, require_cuts, shared
from fusion.losses.incidence import FLOOR, BinnedIncidence, probabilities
from fusion.losses.levels import of_visits
from fusion.losses.precision import in_full
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome

#: A log hazard is held above this: the log of what e^-60 leaves is finite.
LOWEST = -60.0


def ranking_loss(
    incidence: Float[Tensor, "N K"],
    duration: Float[Tensor, " N"],
    bins: Int[Tensor, " N"],
    event: Bool[Tensor, " N"],
    *,
    sigma: float,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """exp(-(F_i(t_i) - F_j(t_i)) / sigma), averaged over (weighted) pairs of i with its event and j later (Lee 2018).

    No pair gives a zero that is connected to the graph. Costs rows with an event times rows.

    Args:
        incidence: Cumulative incidence F at the cuts.
        duration: Time to event or censoring.
        bins: Bin of the event.
        event: True where this cause came, within the cuts.
        sigma: Difference of incidence over which the loss fades.
        weight: Weight of each row.

    >>> incidence, event = torch.tensor([[0.5, 1.0], [0.2, 1.0]]), torch.tensor([True, True])
    >>> ranking_loss(incidence, torch.tensor([1.0, 2.0]), torch.tensor([0, 1]), event, sigma=0.3)
    tensor(0.3679)
    """
    weight_N = torch.ones_like(incidence[:, 0]) if weight is None else weight.to(incidence)
    at_event_NE = incidence[:, bins[event]]
    mine_E = incidence[event].gather(1, bins[event, None])[:, 0]
    weight_NE = weight_N[:, None] * weight_N[event] * (duration[:, None] > duration[event])
    loss_NE = torch.exp((at_event_NE - mine_E) / sigma)
    pairs = weight_NE.sum().clamp_min(torch.finfo(incidence.dtype).tiny)
    return (weight_NE * loss_NE).sum() / pairs + 0.0 * incidence.sum()


class DeepHit(BinnedIncidence):
    """One softmax over causes and time bins, trained by likelihood and by the order of the patients (Lee 2018).

    The bins of a cause share a log hazard ratio and deviate from it a little (see `pooled`): other coordinates for the
    same logits. Zeros predict the Aalen-Johansen curve of every cause; of one cause, Kaplan-Meier. Incidences and
    survival sum to one at all times: none of them is one minus a curve in a world without the other causes. Risk is
    that of the first cause.

    The ranking part pulls while training only. In eval mode the loss is the likelihood alone, so that the epoch and
    the scale of the outputs are chosen by a proper score.

    Args:
        num_causes: Competing causes; where the outcome names none, every event is of the first.
        num_bins: Bins of time; where fewer distinct event times exist, the bins at the end stay unused.
        ranking: Weight of the ranking loss, averaged over causes, beside the likelihood.
        sigma: Difference of incidence over which the ranking loss fades.
        deviation: How far a bin goes its own way.
        visit_scale: Days over which the weight of later visits fades.
    """

    of_first_cause: Tensor

    def __init__(
        self,
        num_causes: int = 1,
        num_bins: int = 20,
        ranking: float = 0.05,
        sigma: float = 0.1,
        deviation: float = DEVIATION,
        visit_scale: float = VISIT_SCALE,
    ) -> None:
        super().__init__(num_causes, num_bins, visit_scale)
        self.ranking, self.sigma, self.deviation = ranking, sigma, deviation
        first = torch.zeros(num_causes, num_bins)
        first[0] = 1.0
        self.register_buffer("of_first_cause", first.flatten(), persistent=False)

    @property
    def direction(self) -> Float[Tensor, " O"]:  # type: ignore[override]
        """Plain models speak of the first cause."""
        return self.of_first_cause

    def level_of(self, incidence: Float[Tensor, "J K"]) -> Float[Tensor, "J K"]:
        """Log of the cumulative hazard of each cause in each bin."""
        used = self.used
        mass = incidence.clamp_min(FLOOR) * used  # what never happened to the training part may yet happen
        free = (1.0 - incidence.sum()).clamp_min(FLOOR)
        later = torch.cat([mass.sum(dim=0), free[None]]).flip(0).cumsum(0).flip(0)
        hazard = torch.log(later[:-1] / later[1:])
        return (hazard * mass / mass.sum(dim=0)).log().masked_fill(~used, -torch.inf)

    def logits(self, outputs: Float[Tensor, "B T O"], level: Float[Tensor, "2 J K"]) -> Float[Tensor, "B T J K"]:
        """Those of proportional hazards of the causes, by what their bins share, and what each bin deviates."""
        used = self.used
        outputs_BTJK = outputs.unflatten(-1, level.shape[1:])
        common_BTJ1 = shared(outputs_BTJK, used)[..., None]
        log_hazard_BTJK = (common_BTJ1 + of_visits(level, outputs.shape[1])).clamp(LOWEST, HIGHEST)
        hazard_BTK = log_hazard_BTJK.exp().sum(dim=-2)
        still_BTK = hazard_BTK.flip(-1).cumsum(-1).flip(-1)  # log of reaching the bin, against reaching the end
        within_BTK = torch.log(-torch.expm1(-hazard_BTK))
        share_BTJK = log_hazard_BTJK - log_hazard_BTJK.logsumexp(dim=-2, keepdim=True)
        logits = (still_BTK + within_BTK)[..., None, :] + share_BTJK
        return (logits + self.deviation * (outputs_BTJK - common_BTJ1)).masked_fill(~used, -torch.inf)

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight; while training, with the ranking loss."""
        require_cuts(self.cuts)
        logits = self.logits(in_full(outputs), self.level)
        loss = self.nll_of(logits, outcome, weight)
        if self.training and self.ranking:
            rows, cause = outcome.at_risk, self.cause_of(outcome)
            duration_N, weight_N = outcome.duration[rows], weight[rows]
            bins, died = bins_of(self.cuts, duration_N, outcome.event[rows])
            incidence_NJK, _ = probabilities(logits[rows])
            for place, incidence_NK in enumerate(incidence_NJK.unbind(dim=1), start=1):
                mine = died & (cause[rows] == place)
                rank = ranking_loss(incidence_NK, duration_N, bins, mine, sigma=self.sigma, weight=weight_N)
                loss = loss + self.ranking / self.num_causes * rank
        return loss
