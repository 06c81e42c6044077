"""Losses whose outputs are deviations from a level: what the training part is like, at first visits and at later ones.

Dimension key: B patients, T visits, O outputs. A level has one row for first visits and one for later ones.
"""

from abc import abstractmethod
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusion.losses.base import SurvivalLoss
from fusion.losses.fit import minimise
from fusion.losses.precision import in_full
from fusion.losses.weights import visit_weights
from fusion.types import Outcome

#: Patients with an event after a later visit that later visits need for a level of their own.
FEWEST_LATER = 20


def rows_of_kinds(outcome: Outcome, weight: Float[Tensor, "B T"]) -> tuple[Bool[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """The visits at risk that tell of first visits, and those that tell of later ones.

    Soon after the first visit deaths are more frequent than an average over all visits has them
    (`docs/decisions/017-two-baseline-hazards.md`). Where hardly a patient has an event after a later visit, all visits
    tell of later ones, and so they do of first ones where none of them is at risk of one.
    """
    first, later = outcome.at_risk.clone(), outcome.at_risk.clone()
    first[:, 1:], later[:, 0] = False, False

    def enough(own: Tensor, fewest: int) -> bool:
        return int((own & outcome.event & (weight > 0)).any(dim=1).sum()) >= fewest

    return (
        first if enough(first, 1) else outcome.at_risk,
        later if enough(later, FEWEST_LATER) else outcome.at_risk,
    )


def of_visits(levels: Float[Tensor, "2 ..."], visits: int) -> Float[Tensor, "T ..."]:
    """The level of each of so many visits.

    >>> of_visits(torch.tensor([[1.0], [2.0]]), 3)
    tensor([[1.],
            [2.],
            [2.]])
    """
    return levels[(torch.arange(visits, device=levels.device) > 0).long()]


class AroundLevel(SurvivalLoss):
    """A loss in absolute terms: hazards, probabilities of bins, log times.

    The level is the marginal model of the training part, so that an untrained head that gives zeros predicts its
    survival curve; once there are outputs it is fitted again around those. The mean of a spread of curves is not the
    curve of the mean, and what the outputs explain is no longer noise.

    Attributes:
        level: "2 P" or "2 J K": of first visits, and of later ones.
    """

    level: Tensor
    rounds = 3

    def prepare_cuts(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Learn of all visits at risk what comes before any level; nothing, where there are no bins of time."""

    @abstractmethod
    def marginal(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> Float[Tensor, "..."]:
        """The level of the visits at risk where all outputs are zero."""

    @abstractmethod
    def nll(
        self,
        outputs: Float[Tensor, "B T O"],
        level: Float[Tensor, "2 ..."],
        outcome: Outcome,
        weight: Float[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """Negative log likelihood, averaged over the weighted visits at risk."""

    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Cuts and levels from the weighted outcomes of the training part.

        Raises:
            ValueError: No visit is at risk.
        """
        if not outcome.at_risk.any():
            raise ValueError("no visit of the training part is at risk; check the outcomes of this task")
        self.prepare_cuts(outcome, weight)
        for kind, rows in enumerate(rows_of_kinds(outcome, weight)):
            self.level[kind] = self.marginal(replace(outcome, at_risk=rows), weight)

    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits at risk, each with its weight."""
        return self.nll(in_full(outputs), self.level, outcome, weight)

    def total_weight(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> float:
        """The visits at risk."""
        return float((weight * outcome.at_risk).sum())

    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """The levels once more, around the outputs of the trained model; half an event holds them where they were."""
        weight = visit_weights(day, outcome.at_risk, scale=self.visit_scale)
        for kind, rows in enumerate(rows_of_kinds(outcome, weight)):
            if (weight * rows).sum() > 0:
                asked = replace(outcome, at_risk=rows)
                self.level[kind] = self._fitted(outputs.detach().double(), self.level[kind], asked, weight.double())

    def _fitted(self, outputs: Tensor, start: Tensor, outcome: Outcome, weight: Tensor) -> Tensor:
        shape, start = start.shape, start.flatten().double()
        known, total = torch.isfinite(start), (weight * outcome.at_risk).sum()

        def loss(free: Tensor) -> Tensor:
            level = torch.where(known, free, start)
            held = 0.25 * (free - start)[known].square().sum() / total
            return self.nll(outputs, level.view(shape).expand(2, *shape), outcome, weight) + held

        return torch.where(known, minimise(loss, torch.where(known, start, 0.0)), start).view(shape)
