"""Landmark Cox on the last value known: the plain dynamic model that a recurrent one has to beat.

N rows, P columns, Q prediction times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.baselines.base import Baseline, Floats, SurvivalEstimate, elapsed_days
from fusion.baselines.ridge import RidgeCox
from fusion.types import VisitTable

#: Weeks 0, 3, 6, 9, 12, 18, 24, 36 after the first visit.
LANDMARKS = (0.0, 21.0, 42.0, 63.0, 84.0, 126.0, 168.0, 252.0)


@dataclass(frozen=True)
class _Landmark:
    day: float
    model: RidgeCox


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

    def __init__(self, landmarks: Sequence[float] = LANDMARKS, min_events: int = 10, horizon: float = 365.0) -> None:
        self.days = sorted({0.0, *landmarks})
        self.min_events = min_events
        self.horizon = horizon

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort with covariates."""
        return task in train.outcomes and len(train.modality) > 0

    def fit(self, train: VisitTable, task: str) -> "LandmarkCox":
        """One model per landmark with enough events; the first visit always has one."""
        outcome = train.outcomes[task]
        elapsed = elapsed_days(train)
        end = elapsed + outcome.duration
        self.models: list[_Landmark] = []
        for day in self.days:
            rows = _last_rows(train, elapsed, day)
            rows = rows[outcome.at_risk[rows] & (end[rows] > day)]
            if day > 0 and outcome.event[rows].sum() < self.min_events:
                continue
            model = RidgeCox().fit(train.features[rows], train.modality, end[rows] - day, outcome.event[rows])
            self.models.append(_Landmark(day=day, model=model))
        return self

    def predict(self, table: VisitTable, times: Floats) -> SurvivalEstimate:
        """Curve from the latest landmark before each visit, given that the visit was reached."""
        elapsed = elapsed_days(table)
        which = np.searchsorted([landmark.day for landmark in self.models], elapsed, side="right") - 1
        risk = np.zeros(len(table))
        survival = np.ones((len(table), len(times)))
        for place, landmark in enumerate(self.models):
            rows = which == place
            since = elapsed[rows] - landmark.day
            log_hazard = landmark.model.log_hazard(table.features[rows])
            survival[rows] = np.exp(-landmark.model.cumulative_hazard(log_hazard, since, times))
            ahead = landmark.model.cumulative_hazard(np.zeros(len(since)), since, np.array([self.horizon]))[:, 0]
            risk[rows] = log_hazard + np.log(np.maximum(ahead, 1e-3))
        return SurvivalEstimate(risk=risk, survival=survival)


def _last_rows(table: VisitTable, elapsed: Floats, day: float) -> NDArray[np.int64]:
    """Index of the last visit of each patient no later than `day`; rows are sorted by patient and visit."""
    reached = np.flatnonzero(elapsed <= day)
    last = np.r_[table.patient_ids[reached][1:] != table.patient_ids[reached][:-1], True]
    return reached[last[: len(reached)]].astype(np.int64)
