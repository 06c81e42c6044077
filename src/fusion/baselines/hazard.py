"""What proportional hazards models share: their contract, their tuning, and the baseline that fits one at the start.

N patients, P columns of the table, K steps of a path from the empty model to a large one, Q prediction times.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from fusion.baselines.base import Baseline, Floats, SurvivalEstimate, all_columns, elapsed_days, first_row
from fusion.baselines.newton import Bools, PartialLikelihood
from fusion.baselines.penalty import inner_folds
from fusion.survival import StepFunction
from fusion.types import VisitTable

Model = TypeVar("Model", bound="HazardModel")
Fitted = TypeVar("Fitted", bound="FirstVisitHazard")


class HazardModel(ABC):
    """The log hazard of a patient from one row of a table with gaps, and the hazard of the average patient.

    Attributes:
        baseline: Cumulative hazard where the log hazard is zero, known after `fit`.
    """

    baseline: StepFunction

    @abstractmethod
    def fit(self: Model, features: Floats, modality: Sequence[str], duration: Floats, event: Bools) -> Model:
        """Learn everything, tuning included, from one row per training patient, "N P"."""

    def settled(self: Model) -> Model:
        """A model to be fitted to other rows with what this one tuned; unless it says otherwise, it tunes anew."""
        return copy.copy(self)

    @abstractmethod
    def log_hazard(self, features: Floats) -> Floats:
        """Log hazard of each row, "N"."""

    def cumulative_hazard(self, log_hazard: Floats, since: Floats, times: Floats) -> Floats:
        """Hazard from `since` to `since + times`, "N Q", for those who have reached `since`."""
        later = self.baseline(since[:, None] + times)
        return (later - self.baseline(since)[:, None]) * np.exp(log_hazard)[:, None]


class FirstVisitHazard(Baseline):
    """A proportional hazards model on some columns of the first visit, all by default."""

    _make_settled: Callable[[], HazardModel] | None = None

    @abstractmethod
    def _model(self) -> HazardModel:
        """A fresh model."""

    def _columns(self, table: VisitTable) -> list[int]:
        return all_columns(table)

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort that has such columns."""
        return task in train.outcomes and len(self._columns(train)) > 0

    def fit(self: Fitted, train: VisitTable, task: str) -> Fitted:
        """Tune and fit on the first visits at risk."""
        outcome = train.outcomes[task]
        rows = (train.visit == 0) & outcome.at_risk
        columns = self._columns(train)
        self.model = (self._make_settled or self._model)().fit(
            train.features[rows][:, columns],
            [train.modality[column] for column in columns],
            outcome.duration[rows],
            outcome.event[rows],
        )
        return self

    def settled(self: Fitted) -> Fitted:
        twin = copy.copy(self)
        twin._make_settled = self.model.settled
        return twin

    def predict(self, table: VisitTable, times: Floats) -> SurvivalEstimate:
        """Log hazard of the first visit at every visit, and the curve given that the visit was reached."""
        log_hazard = self.model.log_hazard(table.features[first_row(table)][:, self._columns(table)])
        survival = np.exp(-self.model.cumulative_hazard(log_hazard, elapsed_days(table), times))
        return SurvivalEstimate(risk=log_hazard, survival=survival)


class HeldOutLikelihood:
    """Cross-validated partial likelihood (Verweij & van Houwelingen 1993).

    Attributes:
        parts: Of each inner fold, a mask "N" of the patients outside it and their likelihood.
    """

    def __init__(self, duration: Floats, event: Bools) -> None:
        fold = inner_folds(event)
        self.everyone = PartialLikelihood(duration, event)
        self.parts = [(fold != k, PartialLikelihood(duration[fold != k], event[fold != k])) for k in np.unique(fold)]

    def score(self, log_hazards: Iterable[Floats]) -> float:
        """Sum over the folds of what the left-out patients add, from the log hazards "N" that each part gives."""
        pairs = zip(log_hazards, self.parts, strict=True)
        return sum(self.everyone.value(eta) - part.value(eta[keep]) for eta, (keep, part) in pairs)
