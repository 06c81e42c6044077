"""Accelerated failure time: log time = location + scale * noise; common to the Weibull and the log-normal model.

Dimension key: N rows, B patients, T visits, O = 1 output (location), Q prediction times.
"""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fusion.losses.base import SurvivalLoss
from fusion.losses.fit import minimise
from fusion.losses.weights import VISIT_SCALE, visit_weights
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


class AcceleratedFailureTime(SurvivalLoss):
    """Location of the log time, as a deviation from that of the training part, and one scale for all.

    Location and scale of all are fitted by maximum likelihood before training, and once more around the outputs of the
    trained model: what the outputs explain is no longer noise. Curves are smooth and go on beyond the last event, where
    the form of the distribution is all there is. (A scale for each patient was an output once: on a few hundred
    patients it explained events that location should have, and the C-index fell by .1.)

    Args:
        visit_scale: Days over which the weight of later visits fades.
    """

    num_outputs = 1
    base: Tensor

    def __init__(self, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.register_buffer("base", torch.full((2,), torch.nan))

    @abstractmethod
    def nll(
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

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Marginal location and scale from the weighted outcomes of the training part."""
        if not outcome.at_risk.any():
            raise ValueError("no visit of the training part is at risk; check the outcomes of this task")
        self._fit(outcome.duration.new_zeros(*outcome.duration.shape, 1), outcome, weight)

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight."""
        rows = outcome.at_risk
        location_N, scale_N = self._located(outputs[rows], self.base)
        return self.nll(location_N, scale_N, outcome.duration[rows], outcome.event[rows], weight[rows])

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Location and scale once more, around the outputs of the trained model."""
        if outcome.at_risk.any():
            self._fit(outputs, outcome, visit_weights(day, outcome.at_risk, scale=self.visit_scale))

    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Survival curve; risk is minus the log of the median time in days."""
        location_BT, scale_BT = self._located(outputs, self.base)
        z_BTQ = (times.to(outputs).log() - location_BT[..., None]) / scale_BT[..., None]
        risk = -(location_BT + scale_BT * self.median())
        return SurvivalPrediction(risk=risk, survival=self.survival(z_BTQ), times=times)

    @staticmethod
    def _located(
        outputs: Float[Tensor, "*rows O"], base: Float[Tensor, "2"]
    ) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"]]:
        if torch.isnan(base).any():
            raise ValueError("location and scale are not known yet; call `prepare`, or load the state of a fitted one")
        location = outputs[..., 0] + base[0]
        return location, (functional.softplus(base[1]) + NARROWEST).expand_as(location)

    def _fit(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        rows = outcome.at_risk
        output_N, duration_N, event_N = outputs[rows].double(), outcome.duration[rows].double(), outcome.event[rows]
        weight_N = weight[rows].double()
        last = duration_N.max().clamp_min(SHORTEST)[None]
        total = weight_N.sum().clamp_min(1e-9)

        def loss(base: Tensor) -> Tensor:
            """Half an event at the end of follow-up and a scale near one keep both finite where events are few."""
            value = self.nll(*self._located(output_N, base), duration_N, event_N, weight_N)
            location, scale = self._located(torch.zeros_like(base[:1]), base)
            if not event_N.any():
                value = value + 0.5 / total * self.nll(
                    location[None], scale[None], last, last > 0, torch.ones_like(last)
                )
            return value + 0.5 / total * scale.log() ** 2

        start = torch.stack([(weight_N * duration_N.clamp_min(SHORTEST).log()).sum() / total, total.new_tensor(0.5)])
        self.base.copy_(minimise(loss, start))
