"""Accelerated failure time: log time = location + scale * noise; common to the Weibull and the log-normal model.

Dimension key: N rows, B patients, T visits, O = 1 output (location), Q prediction times.
"""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fusion.losses.fit import minimise
from fusion.losses.levels import AroundLevel, of_visits
from fusion.losses.weights import VISIT_SCALE
from fusion.types import Outcome, SurvivalPrediction

#: Days below which a time is taken as so many: the log of an event on the day of the visit would be minus infinity.
SHORTEST = 0.1
#: Scale below which no fit can bring it: there the likelihood of a single day would grow without end.
NARROWEST = 0.05


def weighted_mean(loss: Float[Tensor, " N"], weight: Float[Tensor, " N"] | None) -> Float[Tensor, ""]:
    """Mean over the (weighted) rows; no row gives a zero that is connected to the graph.

    >>> weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0]))
    tensor(2.)
    """
    weight_N = torch.ones_like(loss) if weight is None else weight.to(loss)
    return (weight_N * loss).sum() / weight_N.sum().clamp_min(torch.finfo(loss.dtype).tiny)


class AcceleratedFailureTime(AroundLevel):
    """Location of the log time, as a deviation from that of the training part, and one scale for all first visits.

    Location and scale are fitted by maximum likelihood before training, and once more around the outputs of the
    trained model; later visits have their own. Curves are smooth and go on beyond the last event, where
    the form of the distribution is all there is. (A scale for each patient was an output once: on a few hundred
    patients it explained events that location should have, and the C-index fell by .1.)

    Args:
        visit_scale: Days over which the weight of later visits fades.
    """

    num_outputs = 1
    direction = -1.0  # exactly so, times the scale, where the noise is Weibull's: a hazard higher by e comes sooner

    def __init__(self, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.register_buffer("level", torch.full((2, 2), torch.nan))

    @abstractmethod
    def nll_of(
        self,
        location: Float[Tensor, " N"],
        scale: Float[Tensor, " N"],
        duration: Float[Tensor, " N"],
        event: Bool[Tensor, " N"],
        weight: Float[Tensor, " N"],
    ) -> Float[Tensor, ""]:
        """Negative log likelihood, averaged over the weighted rows."""

    @abstractmethod
    def survival(self, z: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """Probability that the noise exceeds `z`."""

    @abstractmethod
    def median(self) -> float:
        """Median of the noise."""

    def marginal(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> Float[Tensor, "2"]:
        """Location and scale; half an event at the end of follow-up and a scale near one keep both finite."""
        rows = outcome.at_risk
        duration_N, event_N, weight_N = outcome.duration[rows].double(), outcome.event[rows], weight[rows].double()
        last = duration_N.max().clamp_min(SHORTEST)[None]
        total = weight_N.sum().clamp_min(1e-9)

        def loss(level: Tensor) -> Tensor:
            location, scale = level[0].expand_as(duration_N), _scale(level[1])
            value = self.nll_of(location, scale.expand_as(location), duration_N, event_N, weight_N)
            if not event_N.any():
                nearly = self.nll_of(level[:1], scale[None], last, last > 0, torch.ones_like(last))
                value = value + 0.5 / total * nearly
            return value + 0.5 / total * scale.log() ** 2

        start = torch.stack([(weight_N * duration_N.clamp_min(SHORTEST).log()).sum() / total, total.new_tensor(0.5)])
        return minimise(loss, start)

    def nll(
        self,
        outputs: Float[Tensor, "B T O"],
        level: Float[Tensor, "2 2"],
        outcome: Outcome,
        weight: Float[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """See `nll_of`."""
        rows = outcome.at_risk
        location, scale = self._located(outputs, level)
        return self.nll_of(location[rows], scale[rows], outcome.duration[rows], outcome.event[rows], weight[rows])

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Survival curve; risk is minus the log of the median time in days."""
        location_BT, scale_BT = self._located(outputs, self.level)
        z_BTQ = (times.to(outputs).log() - location_BT[..., None]) / scale_BT[..., None]
        risk = -(location_BT + scale_BT * self.median())
        return SurvivalPrediction(risk=risk, survival=self.survival(z_BTQ), times=times)

    @staticmethod
    def _located(
        outputs: Float[Tensor, "B T O"], level: Float[Tensor, "2 2"]
    ) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
        if torch.isnan(level).any():
            raise ValueError("location and scale are not known yet; call `prepare`, or load the state of a fitted one")
        level_T2 = of_visits(level, outputs.shape[1])
        location = outputs[..., 0] + level_T2[:, 0]
        return location, _scale(level_T2[:, 1]).expand_as(location)


def _scale(free: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    return functional.softplus(free) + NARROWEST
