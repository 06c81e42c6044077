"""Time lost: restricted mean survival of the low risk group minus that of the high one, under many weightings.

Dimension key: W weightings, N patients.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Places of `risk_group` in predictions.parquet.
LOW, HIGH = 0, 2


def restricted_means(weights: Floats, duration: Floats, event: Bools, tau: float) -> Floats:
    """Area under the Kaplan-Meier curve up to `tau` of every weighting, "W"; NaN where nobody has weight.

    A curve is held constant beyond its last patient, so ask for no `tau` beyond the follow-up.

    >>> restricted_means(np.ones((1, 4)), np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, False]), 4.0)
    array([2.75])
    """
    if not len(duration):
        return np.full(len(weights), np.nan)
    order = np.argsort(duration, kind="stable")
    times, starts = np.unique(duration[order], return_index=True)
    sorted_weights = weights[:, order]
    leaving = np.add.reduceat(sorted_weights, starts, axis=1)
    events = np.add.reduceat(sorted_weights * event[order], starts, axis=1)
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    hazard = np.divide(events, at_risk, out=np.zeros_like(events), where=at_risk > 0)
    survival = np.concatenate([np.ones((len(weights), 1)), np.cumprod(1.0 - hazard, axis=1)], axis=1)
    width = np.diff(np.concatenate([[0.0], np.minimum(times, tau), [tau]]))
    return np.where(at_risk[:, 0] > 0, survival @ width, np.nan)


def rmst_difference(weights: Floats, duration: Floats, event: Bools, risk_group: Ints, tau: float) -> Floats:
    """Days gained up to `tau` in the low against the high risk group, "W"; NaN where either is not followed to tau."""
    low, high = (np.flatnonzero(risk_group == group) for group in (LOW, HIGH))
    if not all(len(group) and duration[group].max() >= tau for group in (low, high)):
        return np.full(len(weights), np.nan)
    of_low, of_high = (restricted_means(weights[:, group], duration[group], event[group], tau) for group in (low, high))
    return np.asarray(of_low - of_high)
