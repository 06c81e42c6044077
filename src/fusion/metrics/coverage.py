"""Measured coverage of conformal bounds and sets, with intervals, overall and by subgroup.

Dimension key: N rows (visits of patients).

A bound covers where the event came on its day or later. Of a patient censored before the bound nobody knows; those
followed that long stand for them: a miss counts 1 / G(T-), a hit 1 / G(L-), with G the censoring curve of the rows
that are scored. Visits weigh the same: weighing patients the same would look ahead, as those who die soon have few.
The interval is Wilson's with the effective number of patients (Kish), as if all visits of a patient were one answer;
it keeps its width where all are covered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.metrics.conformal import RESPONSE, WHO
from fusion.metrics.conformal_levels import censoring_curve

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Scored = Callable[[pd.DataFrame], dict[str, object]]

#: Smaller subgroups are counted, not scored: a person may be recognised, and a figure says nothing.
FEWEST_PATIENTS = 10
#: What the first row of every table of coverage is called.
ALL = "all patients"


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Share of patients who are covered, with a 95 % interval; NaN without a patient whose fate is known.

    Attributes:
        value: Share.
        low: Lower limit.
        high: Upper limit.
        patients: With a known fate or without.
    """

    value: float
    low: float
    high: float
    patients: int


def wilson(share: float, number: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share among `number` patients, which may be an effective number.

    >>> low, high = wilson(0.9, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if not number > 0:
        return float("nan"), float("nan")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * float(np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2)))
    return max(0.0, centre - half), min(1.0, centre + half)


def bound_coverage(
    duration: Floats, event: Bools, lower: Floats, patient: NDArray[np.object_] | None = None
) -> Coverage:
    """Share of events that come on the day of their bound or later.

    Args:
        duration: Days to the event or to the end of follow-up, "N".
        event: "N".
        lower: Bound in days, "N".
        patient: Whose row it is, "N"; all different where absent.

    >>> days = np.arange(1.0, 11.0)
    >>> bound_coverage(days, np.ones(10, dtype=bool), np.full(10, 2.0)).value
    0.9
    """
    ids = np.arange(len(duration)).astype(object) if patient is None else patient
    censoring = censoring_curve(duration, event, np.ones(len(duration)))
    kept, missed = duration >= lower, event & (duration < lower)
    at = np.where(kept, lower, duration)
    inverse = np.divide(1.0, censoring.left(at), out=np.zeros(len(at)), where=kept | missed)
    return _share(kept, inverse, ids)


def set_coverage(possible: Bools, patient: NDArray[np.object_] | None = None) -> Coverage:
    """Share of rows whose own response is in their set; `possible` says so for each, "N"."""
    ids = np.arange(len(possible)).astype(object) if patient is None else patient
    return _share(possible, np.ones(len(possible)), ids)


def _share(kept: Bools, weight: Floats, ids: NDArray[np.object_]) -> Coverage:
    names, place = np.unique(ids.astype(str), return_inverse=True)
    patients = len(names)
    total = float(weight.sum())
    if not total > 0:
        return Coverage(value=float("nan"), low=float("nan"), high=float("nan"), patients=patients)
    value = float(weight[kept].sum()) / total
    by_patient = np.bincount(place, weights=weight, minlength=patients)
    low, high = wilson(value, float(by_patient.sum() ** 2 / (by_patient**2).sum()))
    return Coverage(value=value, low=low, high=high, patients=patients)


def coverage_of_bounds(
    predictions: pd.DataFrame, bounds: pd.DataFrame, task: str, groups: pd.DataFrame | None = None, visits: int = 4
) -> pd.DataFrame:
    """Coverage of bounds at baseline, at the first `visits` visits after it, and at all later ones together.

    Args:
        predictions: Columns of `predictions.parquet`; rows at risk count.
        bounds: As `conformal_bounds` gives them.
        task: Endpoint.
        groups: As in `subgroups.csv`; subgroups are scored at baseline and over all visits.
        visits: Visits shown by themselves.

    Returns:
        `at`, `group`, `patients`, `events`, `coverage`, `low`, `high`, `median_lower_days`.
    """
    rows = predictions[(predictions["task"] == task) & predictions["at_risk"].astype(bool)]
    rows = rows[[*WHO, "duration", "event"]].merge(bounds[[*WHO, "lower_days"]], on=WHO, validate="one_to_one")

    def one(some: pd.DataFrame) -> dict[str, object]:
        event, lower = some["event"].to_numpy(dtype=np.bool_), some["lower_days"].to_numpy(dtype=np.float64)
        ids, duration = some["patient_id"].to_numpy(dtype=object), some["duration"].to_numpy(dtype=np.float64)
        found = bound_coverage(duration, event, lower, ids)
        events = int(some.loc[event, "patient_id"].nunique())
        return {**_columns(found), "events": events, "median_lower_days": float(np.median(lower))}

    return _table(rows, groups, visits, one)


def coverage_of_sets(
    predictions: pd.DataFrame, sets: pd.DataFrame, groups: pd.DataFrame | None = None, visits: int = 4
) -> pd.DataFrame:
    """Coverage of response sets at baseline, at later visits before the assessment, and in subgroups.

    Returns:
        `at`, `group` (with `label: responder` and `label: nonresponder` beside the subgroups), `patients`, `coverage`,
        `low`, `high`, and the shares of rows with one class (`single`), with both and with none (`empty`).
    """
    rows = predictions[(predictions["task"] == RESPONSE) & predictions["at_risk"].astype(bool)]
    rows = rows[rows["label"].isin((0, 1))]
    both = ["can_be_nonresponder", "can_be_responder"]
    rows = rows[[*WHO, "label"]].merge(sets[[*WHO, *both]], on=WHO, validate="one_to_one")
    labels = rows[["patient_id", "label"]].drop_duplicates("patient_id")
    labels = labels.assign(label=labels["label"].map({0: "nonresponder", 1: "responder"}))
    named = labels if groups is None else groups.merge(labels, on="patient_id", how="outer")

    def one(some: pd.DataFrame) -> dict[str, object]:
        possible = some["can_be_responder"].where(some["label"] == 1, some["can_be_nonresponder"])
        found = set_coverage(possible.to_numpy(dtype=np.bool_), some["patient_id"].to_numpy(dtype=object))
        size = some[both].sum(axis=1)
        shares = {name: float((size == number).mean()) for number, name in ((1, "single"), (2, "both"), (0, "empty"))}
        return {**_columns(found), **shares}

    return _table(rows, named, visits, one)


def _columns(found: Coverage) -> dict[str, object]:
    return {"patients": found.patients, "coverage": found.value, "low": found.low, "high": found.high}


def _table(
    rows: pd.DataFrame, groups: pd.DataFrame | None, visits: int, one: Callable[[pd.DataFrame], dict[str, object]]
) -> pd.DataFrame:
    places = [("baseline", rows["visit"] == 0), *((f"visit {n}", rows["visit"] == n) for n in range(1, visits + 1))]
    places += [(f"visits from {visits + 1}", rows["visit"] > visits), ("all visits", rows["visit"] >= 0)]
    found: list[dict[str, object]] = []
    for name, inside in places:
        if not inside.any():
            continue
        found.append({"at": name, "group": ALL, **one(rows[inside])})
        if groups is None or name not in ("baseline", "all visits"):
            continue
        named = groups.fillna("").astype(str).set_index("patient_id")
        for covariate in named.columns:
            level = rows["patient_id"].astype(str).map(named[covariate]).fillna("")
            for value in sorted(set(level) - {""}):
                some = rows[inside & (level == value)]
                if some["patient_id"].nunique() >= FEWEST_PATIENTS:
                    found.append({"at": name, "group": f"{covariate}: {value}", **one(some)})
    return pd.DataFrame(found)
