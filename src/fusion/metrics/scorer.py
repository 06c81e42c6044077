"""Scores one model for one task at one prediction time with one set of bootstrap weights; writes figures down.

Dimension key: W weightings.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from fusion.metrics.bootstrap import Floats, Weights, average, difference, figure, replicate
from fusion.metrics.dynamic import ModelTable, held_out, held_out_response
from fusion.metrics.response import response_points, response_statistics, response_support
from fusion.metrics.survival import last_followed, survival_points, survival_statistics, survival_support

#: Our model; and the same model held to what it knew at the baseline visit, or at the visit before the last one.
FUSION, FUSION_AT_BASELINE, FUSION_ONE_VISIT_EARLIER = "fusion", "fusion_at_baseline", "fusion_one_visit_earlier"
#: And, with the name of an assay behind it, the model held to the first sample of that assay.
FUSION_WITHOUT_NEW = "fusion_without_new_"
#: These are of interest for differences alone, and in no list of models.
HELD_TO_LESS = (FUSION_ONE_VISIT_EARLIER, FUSION_WITHOUT_NEW)
#: Differences of these between models say which is better; a difference of slopes does not.
NOT_COMPARED = (
    *("calibration", "calibration_slope", "calibration_intercept", "observed_expected", "d_calibration"),
    *("ici", "e90", "threshold", "sensitivity", "specificity", "net_benefit_treat_all", "rmst_difference"),
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """Statistics of one model at one prediction time, under every weighting.

    Attributes:
        values: "W" each by flat name (`auc/365`); of length 1 where no interval is given.
        support: Events behind each.
        patients: Ids of the scored patients.
        events: Events, or responders, among them.
    """

    values: Mapping[str, Floats]
    support: Mapping[str, int]
    patients: frozenset[str]
    events: int

    def figures(self) -> Json:
        """As in `metrics.json`."""
        flat = {name: figure(values, self.support[name]) for name, values in self.values.items()}
        return {**nested(flat), "n": len(self.patients), "events": self.events}


def nested(flat: Mapping[str, Any]) -> Json:
    """Turn `auc/365` into `auc: {365: ...}`."""
    result: Json = {}
    for name, value in flat.items():
        *outer, inner = name.split("/")
        level = result
        for key in outer:
            level = level.setdefault(key, {})
        level[inner] = value
    return result


def _as_values(points: Mapping[str, float]) -> dict[str, Floats]:
    """Figures of the sample itself alone."""
    return {name: np.array([value]) for name, value in points.items()}


Pair = tuple[Scored, Scored]


@dataclass(frozen=True)
class Scorer:
    """Scores any model, endpoint and prediction time with one set of bootstrap weights.

    Attributes:
        patients: Every patient that any model predicts; columns of `weights`.
        weights: See `fusion.metrics.bootstrap.patient_weights`.
        horizons: Days after the prediction time, increasing.
        brief: Whether ranks and overall errors will do: the C-indices and integrated scores, AUROC, AUPRC and Brier.
    """

    patients: tuple[str, ...]
    weights: Weights
    horizons: tuple[float, ...]
    brief: bool = False

    def score(
        self, table: ModelTable, task: str, landmark: float | None, only: Collection[str] | None = None
    ) -> Scored | None:
        """Score one model at one prediction time, on the patients in `only` if given; None if nobody is left."""
        rows = table.predictions[table.predictions["task"] == task]
        wanted = set(self.patients if only is None else only)
        place = {patient: number for number, patient in enumerate(self.patients) if patient in wanted}
        training = table.training_patients()
        if is_response(rows):
            responses = held_out_response(rows, landmark, training, place)
            if not responses:
                return None
            values = [
                replicate(partial(response_statistics, each, brief=self.brief), self.weights, each.patient)
                for each in responses
            ]
            whole = average(values) | ({} if self.brief else _as_values(response_points(responses)))
            support = dict.fromkeys(whole, min(response_support(each) for each in responses))
            events = int(responses[0].label.sum())
            ids = frozenset(self.patients[number] for each in responses for number in each.patient)
            return Scored(whole, support, ids, events)
        repeats = held_out(rows, landmark, training, place, self.horizons)
        if not repeats:
            return None
        tau = last_followed(repeats, self.horizons)
        values = [
            replicate(
                partial(survival_statistics, each, self.horizons, tau, brief=self.brief),
                self.weights,
                each.patient,
            )
            for each in repeats
        ]
        whole = average(values) | ({} if self.brief else _as_values(survival_points(repeats, self.horizons)))
        supports = [survival_support(each, self.horizons, whole) for each in repeats]
        support = {name: min(each[name] for each in supports) for name in whole}
        ids = frozenset(self.patients[number] for each in repeats for number in each.patient)
        return Scored(whole, support, ids, int(repeats[0].event.sum()))

    def compare(self, first: ModelTable, second: ModelTable, task: str, landmark: float | None, known: Pair) -> Json:
        """Paired differences of every score, `first` minus `second`; on their common patients where they differ."""
        one, other = known
        if one.patients != other.patients:
            common = one.patients & other.patients
            again = [self.score(table, task, landmark, common) for table in (first, second)]
            if again[0] is None or again[1] is None:
                return {}
            one, other = again[0], again[1]
        names = [name for name in one.values if name in other.values and name.split("/")[0] not in NOT_COMPARED]
        return nested({name: difference(one.values[name], other.values[name], one.support[name]) for name in names})


def is_response(rows: pd.DataFrame) -> bool:
    """Whether these predictions are of a response rather than of a time."""
    return "prob_responder" in rows.columns and bool(rows["prob_responder"].notna().any())
