"""The visit process: how often patients come, and whether coming, or staying away, tells of the outcome.

Models read how many visits there were and when the last one was. Where sicker patients come more often, or drop out
before they die, that is information of a kind that another hospital's calendar will not carry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from fusion.metrics.dynamic import rows_at

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: An association as strong as this by chance alone in one of a hundred cohorts is warned of.
ALARM = 0.01


def score_test(covariate: Floats, duration: Floats, event: Bools) -> tuple[float, float]:
    """Score test of one covariate in a Cox model: z (above 0: higher is worse) and two-sided p; NaN where undefined.

    With two groups it is the log-rank test, tied times included.

    >>> z, p = score_test(np.array([1.0, 1, 1, 1, 0, 0, 0, 0]), np.arange(1.0, 9.0), np.ones(8, dtype=bool))
    >>> round(z, 4), round(p, 4)
    (2.7101, 0.0067)
    """
    order = np.argsort(duration, kind="stable")
    x, known = covariate[order] - covariate.mean() if len(covariate) else covariate, event[order]
    starts = np.unique(duration[order], return_index=True)[1]
    if not known.any():
        return float("nan"), float("nan")

    def at_risk(values: Floats) -> Floats:
        return np.asarray(np.cumsum(values[::-1])[::-1][starts])

    number, total, square = at_risk(np.ones(len(x))), at_risk(x), at_risk(x**2)
    events = np.add.reduceat(known.astype(np.float64), starts)
    mean = total / number
    surplus = float((np.add.reduceat(x * known, starts) - events * mean).sum())
    spread = np.maximum(square / number - mean**2, 0.0)
    variance = float((events * (number - events) / np.maximum(number - 1, 1) * spread).sum())
    if variance <= 1e-12:
        return float("nan"), float("nan")
    return surplus / float(np.sqrt(variance)), float(chdtrc(1, surplus**2 / variance))


@dataclass(frozen=True)
class Association:
    """Whether a trait of the visits before a landmark goes with the outcome after it.

    Attributes:
        task: Endpoint.
        landmark: Day.
        trait: `visits` so far, or `gap` in days since the last one.
        patients: At risk at the landmark.
        events: After it.
        z: Above 0 where more visits, or a longer gap, go with earlier events.
        p: Two-sided.
    """

    task: str
    landmark: float
    trait: str
    patients: int
    events: int
    z: float
    p: float

    @property
    def alarming(self) -> bool:
        """Whether to warn of it."""
        return self.p < ALARM


@dataclass(frozen=True)
class VisitProcess:
    """Visits of the patients of a run.

    Attributes:
        visits: Least, median and greatest number of visits per patient.
        gaps: The same of the days between two visits of a patient; None where nobody came twice.
        associations: By endpoint, landmark and trait.
    """

    visits: tuple[float, float, float]
    gaps: tuple[float, float, float] | None
    associations: tuple[Association, ...]


def visit_process(predictions: pd.DataFrame, tasks: Sequence[str], landmarks: Sequence[float]) -> VisitProcess | None:
    """Describe the visits of a table of predictions, and test them against the endpoints; None without any visit.

    Visits are those of `predictions`, each counted once; associations take the first repeat.
    """
    if predictions.empty:
        return None
    visits = predictions[["patient_id", "visit", "day"]].drop_duplicates(["patient_id", "visit"])
    visits = visits.sort_values(["patient_id", "day"])
    gaps = visits.groupby("patient_id")["day"].diff().dropna()
    found = []
    first = predictions[predictions["repeat"] == predictions["repeat"].min()]
    for task in tasks:
        for landmark in landmarks:
            rows = rows_at(first[first["task"] == task], landmark)
            until = visits[visits["day"] <= landmark].groupby("patient_id")["day"]
            traits = {"visits": until.size(), "gap": landmark - until.max()}
            event = rows["event"].to_numpy(dtype=np.bool_)
            for trait, values in traits.items():
                covariate = values.reindex(rows["patient_id"]).to_numpy(dtype=np.float64)
                z, p = score_test(covariate, rows["residual"].to_numpy(dtype=np.float64), event)
                found.append(Association(task, float(landmark), trait, len(rows), int(event.sum()), z, p))
    return VisitProcess(
        visits=_spread(visits.groupby("patient_id").size()),
        gaps=_spread(gaps) if len(gaps) else None,
        associations=tuple(found),
    )


def _spread(values: pd.Series) -> tuple[float, float, float]:
    return float(values.min()), float(values.median()), float(values.max())
