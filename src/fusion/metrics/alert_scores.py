"""Figures of an alert with intervals, and what sets two alerts apart; the words are those of `fusion.metrics.alerts`.

Dimension key: W weightings (the sample itself first).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.metrics.bootstrap import Figure, average, difference, figure, patient_weights
from fusion.metrics.weighted import ratio

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AlertFigures:
    """How an alert did, with 95 % intervals from a bootstrap of patients, averaged over repeats.

    Attributes:
        sensitivity: See the words of `fusion.metrics.alerts`.
        false_alarms: Per patient-year.
        lead: Median lead time in days.
        lead_quartiles: Lower and upper quartile of the lead time; None without a true alarm.
        patients: With a monitored visit.
        progressions: Of these.
        years: At risk of false alarms.
        alarms: All of them, mean over repeats.
        open_alarms: Of these, open.
        threshold: Mean over folds.
    """

    sensitivity: Figure
    false_alarms: Figure
    lead: Figure
    lead_quartiles: tuple[float, float] | None
    patients: int
    progressions: int
    years: float
    alarms: float
    open_alarms: float
    threshold: float


def _replicates(followed: pd.DataFrame, patients: list[str], weights: NDArray[np.int16]) -> dict[str, Floats]:
    place = {name: number for number, name in enumerate(patients)}
    repeats = []
    for _, rows in followed.groupby("repeat"):
        drawn = weights[:, [place[str(name)] for name in rows["patient_id"]]].astype(np.float64)
        event, lead = rows["event"].to_numpy(dtype=np.float64), rows["lead"].to_numpy(dtype=np.float64)
        caught = np.isfinite(lead)
        false, years = rows["false"].to_numpy(dtype=np.float64), rows["years"].to_numpy(dtype=np.float64)
        quartiles = _weighted_quartiles(lead[caught], drawn[:, caught])
        repeats.append(
            {
                "sensitivity": ratio(drawn @ caught.astype(np.float64), drawn @ event),
                "false_alarms": ratio(drawn @ false, drawn @ years),
                **dict(zip(("low", "median", "high"), quartiles, strict=True)),
            }
        )
    return average(repeats)


def _weighted_quartiles(values: Floats, weights: Floats) -> Floats:
    """Quartiles of values that are each there `weights` times, "3 W"; between two values, their mean."""
    result = np.full((3, len(weights)), np.nan)
    if not len(values):
        return result
    order = np.argsort(values)
    ascending, total = values[order], weights.sum(axis=1)
    below = np.cumsum(weights[:, order], axis=1)
    for row, share in enumerate((0.25, 0.5, 0.75)):
        target = share * total[:, None]
        first = np.argmax(below >= target - 1e-9, axis=1)
        second = np.argmax(below > target + 1e-9, axis=1)
        result[row] = np.where(total > 0, (ascending[first] + ascending[second]) / 2, np.nan)
    return result


def alert_figures(followed: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> AlertFigures:
    """Figures of an alert, from `followed_patients`.

    Raises:
        ValueError: Nobody was monitored.
    """
    if followed.empty:
        raise ValueError("nobody has a visit after baseline while at risk; there is nothing to monitor")
    patients = sorted(followed["patient_id"].astype(str).unique())
    values = _replicates(followed, patients, patient_weights(len(patients), resamples, seed))
    repeats = followed["repeat"].nunique()
    single = followed.drop_duplicates("patient_id")
    events, caught = int(single["event"].sum()), int(followed["lead"].notna().sum())
    quartiles = (float(values["low"][0]), float(values["high"][0]))
    finite = followed["threshold"].to_numpy(dtype=np.float64)
    return AlertFigures(
        sensitivity=figure(values["sensitivity"], events),
        false_alarms=figure(values["false_alarms"], int(followed["false"].sum())),
        lead=figure(values["median"], caught),
        lead_quartiles=quartiles if np.isfinite(quartiles).all() else None,
        patients=len(patients),
        progressions=events,
        years=float(followed["years"].sum()) / repeats,
        alarms=float(followed["alarms"].sum()) / repeats,
        open_alarms=float(followed["open"].sum()) / repeats,
        threshold=float(finite.mean()),
    )


def compare_alerts(
    first: pd.DataFrame, second: pd.DataFrame, resamples: int = 1000, seed: int = 0
) -> dict[str, Figure]:
    """First minus second on the same patients: `sensitivity`, `false_alarms` and `lead`, with interval and p.

    Raises:
        ValueError: They are not of the same patients and repeats.
    """
    key = ["repeat", "patient_id"]
    if not first[key].astype(str).equals(second[key].astype(str)):
        raise ValueError("the two alerts were followed on different patients; use the same monitored visits for both")
    patients = sorted(first["patient_id"].astype(str).unique())
    weights = patient_weights(len(patients), resamples, seed)
    ours, theirs = (_replicates(each, patients, weights) for each in (first, second))
    events = int(first.drop_duplicates("patient_id")["event"].sum())
    names = {"sensitivity": "sensitivity", "false_alarms": "false_alarms", "lead": "median"}
    return {name: difference(ours[column], theirs[column], events) for name, column in names.items()}
