"""Ridge logistic regression on the last values known at each landmark: response, predicted anew until its assessment.

N rows, P columns.
"""

import copy
from collections.abc import Mapping, Sequence

import numpy as np

from fusion.baselines.base import Baseline, Floats, ResponseEstimate, elapsed_days
from fusion.baselines.landmark import LANDMARKS, Landmark, last_rows, serving
from fusion.baselines.logistic import RidgeLogistic
from fusion.types import VisitTable


class LandmarkLogistic(Baseline):
    """At each landmark, a ridge logistic regression on the last values known, among those not yet assessed.

    Whether the assessment still lies ahead is judged at the patient's last visit by the landmark. A visit uses the
    latest landmark that it has reached. Clinical columns are penalised apart from the assays.

    Args:
        landmarks: Days after the first visit.
        min_patients: A landmark with fewer responders or nonresponders leaves its visits to the landmark before.
    """

    name = "landmark_logistic"
    _settled: Mapping[float, RidgeLogistic] | None = None

    def __init__(self, landmarks: Sequence[float] = LANDMARKS, min_patients: int = 10) -> None:
        self.days = sorted({0.0, *landmarks})
        self.min_patients = min_patients

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every response task of a cohort with covariates."""
        return task in train.responses and len(train.modality) > 0

    def fit(self, train: VisitTable, task: str) -> "LandmarkLogistic":
        """One model per landmark with enough patients of either class; the first visit always has one."""
        response = train.responses[task]
        elapsed = elapsed_days(train)
        self.models: list[Landmark[RidgeLogistic]] = []
        for day in self.days:
            rows = last_rows(train, elapsed, day)
            rows = rows[response.known[rows]]
            label = response.label[rows]
            few = min(np.sum(label == 0), np.sum(label == 1)) < self.min_patients
            if day > 0 and few:
                continue
            fresh = RidgeLogistic(apart="clinical") if self._settled is None else self._settled[day].settled()
            model = fresh.fit(train.features[rows], train.modality, label)
            self.models.append(Landmark(day=day, model=model))
        return self

    def settled(self) -> "LandmarkLogistic":
        """A twin with the penalties, and no landmark more than those, of this one."""
        twin = copy.copy(self)
        twin._settled = {mark.day: mark.model for mark in self.models}
        twin.days = list(twin._settled)
        return twin

    def predict(self, table: VisitTable, times: Floats) -> ResponseEstimate:
        """Probabilities from the latest landmark before each visit."""
        which = serving(self.models, elapsed_days(table))
        probability = np.zeros((len(table), 2))
        for place, landmark in enumerate(self.models):
            probability[which == place] = landmark.model.probability(table.features[which == place])
        return ResponseEstimate(probability)
