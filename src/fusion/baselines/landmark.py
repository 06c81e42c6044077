"""Landmark Cox on the last value known: the plain dynamic model that a recurrent one has to beat.

N rows, P columns, Q prediction times.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fusion.baselines.base import Baseline, Floats, SurvivalEstimate, elapsed_days
from fusion.baselines.hazard import HazardModel
from fusion.baselines.ridge import RidgeCox
from fusion.types import VisitTable

Model = TypeVar("Model")
Fitted = TypeVar("Fitted", bound="LandmarkCox")

#: Weeks 0, 3, 6, 9, 12, 18, 24, 36 after the first visit.
LANDMARKS = (0.0, 21.0, 42.0, 63.0, 84.0, 126.0, 168.0, 252.0)


@dataclass(frozen=True)
class Landmark(Generic[Model]):
    """The model of those who reached a day."""

    day: float
    model: Model


def serving(landmarks: Sequence[Landmark[Model]], elapsed: Floats) -> NDArray[np.int64]:
    """Place of the latest landmark that each row has reached, "N"."""
    return np.searchsorted([landmark.day for landmark in landmarks], elapsed, side="right").astype(np.int64) - 1


def last_rows(table: VisitTable, elapsed: Floats, day: float) -> NDArray[np.int64]:
    """Index of the last visit of each patient no later than `day`; rows are sorted by patient and visit."""
    reached = np.flatnonzero(elapsed <= day)
    last = np.r_[table.patient_ids[reached][1:] != table.patient_ids[reached][:-1], True]
    return reached[last[: len(reached)]].astype(np.int64)


class LandmarkCox(Baseline):
    """At each landmark, a ridge Cox on the last values known, among those at risk.

    Serial assays bring their change since the first visit as summaries of their own.

    A visit uses the latest landmark that it has reached. Risk is the log of the hazard expected over `horizon` days,
    so that visits served by different landmarks can be ranked together.

    Args:
        landmarks: Days after the first visit.
        min_events: A landmark with fewer events leaves its visits to the landmark before.
        horizon: Days over which the risk looks ahead.
    """

    name = "landmark_cox"
    _settled: Mapping[float, HazardModel] | None = None

    def __init__(self, landmarks: Sequence[float] = LANDMARKS, min_events: int = 10, horizon: float = 365.0) -> None:
        self.days = sorted({0.0, *landmarks})
        self.min_events = min_events
        self.horizon = horizon

    def _covariates(self, table: VisitTable) -> tuple[Floats, Sequence[str]]:
        """What is known at every row, "N P", and the modality of each column."""
        return table.features, table.modality

    def _fresh(self) -> HazardModel:
        """The model of a landmark, not yet tuned."""
        return RidgeCox()

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort with covariates."""
        return task in train.outcomes and len(train.modality) > 0

    def fit(self: Fitted, train: VisitTable, task: str) -> Fitted:
        """One model per landmark with enough events; the first visit always has one."""
        outcome = train.outcomes[task]
        features, modality = self._covariates(train)
        elapsed = elapsed_days(train)
        end = elapsed + outcome.duration
        self.models: list[Landmark[HazardModel]] = []
        for day in self.days:
            rows = last_rows(train, elapsed, day)
            rows = rows[outcome.at_risk[rows] & (end[rows] > day)]
            if day > 0 and outcome.event[rows].sum() < self.min_events:
                continue
            fresh = self._fresh() if self._settled is None else self._settled[day].settled()
            model = fresh.fit(features[rows], modality, end[rows] - day, outcome.event[rows])
            self.models.append(Landmark(day=day, model=model))
        return self

    def settled(self: Fitted) -> Fitted:
        """A twin with the penalties, and no landmark more than those, of this one."""
        twin = copy.copy(self)
        twin._settled = {mark.day: mark.model for mark in self.models}
        twin.days = list(twin._settled)
        return twin

    def predict(self, table: VisitTable, times: Floats) -> SurvivalEstimate:
        """Curve from the latest landmark before each visit, given that the visit was reached."""
        features, _ = self._covariates(table)
        elapsed = elapsed_days(table)
        which = serving(self.models, elapsed)
        risk = np.zeros(len(table))
        survival = np.ones((len(table), len(times)))
        for place, landmark in enumerate(self.models):
            rows = which == place
            since = elapsed[rows] - landmark.day
            log_hazard = landmark.model.log_hazard(features[rows])
            survival[rows] = np.exp(-landmark.model.cumulative_hazard(log_hazard, since, times))
            ahead = landmark.model.cumulative_hazard(np.zeros(len(since)), since, np.array([self.horizon]))[:, 0]
            risk[rows] = log_hazard + np.log(np.maximum(ahead, 1e-3))
        return SurvivalEstimate(risk=risk, survival=survival)
