"""Survival metrics as pure functions in float64, exact with ties, in O(n log n) time and O(n) memory.

Dimension key: N patients, H horizons.

`risk` is higher when the outlook is worse; `event` is True where the endpoint was reached. `censoring` is the curve
G(t) = P(censored after t) of *training* patients (`fusion.survival.censoring_survival`). Cases are weighted by
1 / G(T-) and controls by 1 / G(t), as R riskRegression does; scikit-survival takes G(T), which differs where an event
and a censoring fall on one day. Nothing is added to G: where it reaches zero a metric is refused, not guessed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.metrics.weighted import auc, ratio
from fusion.survival import StepFunction

#: What the public functions take for a column: an array, or a plain sequence of numbers.
Values = NDArray[Any] | Sequence[Any] | float
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: A reference with a smaller Brier score than this foresaw everything, up to rounding.
NO_ERROR = 1e-12


def finite(name: str, values: Values) -> Floats:
    """Return `values` as float64, or refuse them if one is NaN or infinite."""
    array = np.asarray(values, dtype=np.float64)
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise ValueError(
            f"`{name}` has {wrong} value(s) that are NaN or infinite; leave those patients out, and count them"
        )
    return array


def flags(name: str, values: Values) -> Bools:
    """Return `values` as booleans, or refuse them if one is neither 0 nor 1."""
    array = np.asarray(values)
    if array.dtype != np.bool_ and not np.isin(finite(name, array), (0.0, 1.0)).all():
        raise ValueError(f"`{name}` must hold only 0/1 or False/True; recode it (1 = it happened)")
    return array.astype(np.bool_)


def _patients(duration: Values, event: Values, weight: Values | None) -> tuple[Floats, Bools, Floats]:
    """Check what every metric takes; `weight` is one for all where absent."""
    durations, events = finite("duration", duration), flags("event", event)
    weights = np.ones(len(durations)) if weight is None else finite("weight", weight)
    if not len(durations) == len(events) == len(weights):
        raise ValueError(f"lengths differ: duration {len(durations)}, event {len(events)}, weight {len(weights)}")
    return durations, events, weights


def _run_edges(first: Bools) -> tuple[Ints, Ints]:
    """Start and end of the run that each row lies in; `first` marks the first row of every run."""
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(first))[: len(starts)]
    return np.repeat(starts, ends - starts), np.repeat(ends, ends - starts)


def _changes(*columns: NDArray[np.generic]) -> Bools:
    """True at the rows where any column differs from the row before."""
    first = np.zeros(len(columns[0]), dtype=bool)
    first[:1] = True
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    return first


def _later_and_lower(risk: Floats, case: Floats, control: Floats) -> float:
    """Sum of case[i] * control[j] over all i < j with risk[j] < risk[i].

    A merge sort in blocks: at every level, neighbouring blocks of `width` rows are sorted together by risk, and one
    cumulative sum tells each row of the left block how much weight of the right block lies below it.
    """
    size, total, width = len(risk), 0.0, 1
    by_risk = np.argsort(risk, kind="stable")
    while width < size:
        pair = by_risk // (2 * width)
        order = by_risk[np.argsort(pair, kind="stable")]
        pair, right = order // (2 * width), (order // width) % 2 == 1
        below = np.concatenate([[0.0], np.cumsum(np.where(right, control[order], 0.0))])
        block_start, _ = _run_edges(_changes(pair))
        tie_start, _ = _run_edges(_changes(pair, risk[order]))
        total += float(np.sum(np.where(right, 0.0, case[order]) * (below[tie_start] - below[block_start])))
        width *= 2
    return total


def _concordance(risk: Floats, duration: Floats, event: Bools, case: Floats, control: Floats) -> float:
    """Weighted share of comparable pairs that are concordant, ties in risk counting one half; NaN without a pair."""
    # By time, events before censorings; risk rises among tied events, so that they never count as concordant.
    order = np.lexsort((risk, ~event, duration))
    _, end = _run_edges(_changes(duration[order], event[order]))
    mass = np.concatenate([[0.0], np.cumsum(control[order])])
    comparable = float(np.sum(case[order] * (mass[-1] - mass[end])))
    concordant = _later_and_lower(risk[order], case[order], control[order])

    order = np.lexsort((~event, duration, risk))
    _, end = _run_edges(_changes(risk[order], duration[order], event[order]))
    _, tie_end = _run_edges(_changes(risk[order]))
    mass = np.concatenate([[0.0], np.cumsum(control[order])])
    tied = float(np.sum(case[order] * (mass[tie_end] - mass[end])))
    return (concordant + 0.5 * tied) / comparable if comparable > 0 else float("nan")


def concordance_index(risk: Values, duration: Values, event: Values, weight: Values | None = None) -> float:
    """Harrell's C: of all pairs whose order in time is known, the share in which the earlier one had the higher risk.

    A pair is comparable if the earlier time is an event; at the same time, an event against a censoring is, two events
    are not. Ties in risk count one half. `weight` gives patients multiplicities. NaN if no pair is comparable.

    >>> concordance_index(risk=[3, 2, 1], duration=[1, 2, 3], event=[1, 1, 0])
    1.0
    >>> concordance_index(risk=[3, 3, 1], duration=[1, 2, 2], event=[1, 1, 0])
    0.8333333333333334
    """
    durations, events, weights = _patients(duration, event, weight)
    return _concordance(finite("risk", risk), durations, events, weights * events, weights)


def uno_case_weight(duration: Floats, event: Bools, censoring: StepFunction, tau: float) -> Floats:
    """Return 1 / G(T-)^2 for events before `tau`, zero for all others, "N"."""
    counted = event & (duration < tau)
    known = censoring.left(duration)
    if np.any(known[counted] <= 0):
        limit = float(duration[counted & (known <= 0)].min())
        raise ValueError(
            f"no training patient is followed to the event at {limit:g}; lower `tau` to {limit:g} or below"
        )
    return np.divide(1.0, known**2, out=np.zeros(len(duration)), where=counted)


def concordance_index_uno(
    risk: Values,
    duration: Values,
    event: Values,
    censoring: StepFunction,
    tau: float | None = None,
    weight: Values | None = None,
) -> float:
    """Uno's C up to `tau` (all events if None): Harrell's pairs weighted by 1 / G(T-)^2, whatever the censoring."""
    durations, events, weights = _patients(duration, event, weight)
    inverse = uno_case_weight(durations, events, censoring, float("inf") if tau is None else tau)
    return _concordance(finite("risk", risk), durations, events, weights * inverse, weights)


def censoring_weights(
    duration: Floats, event: Bools, horizons: Floats, censoring: StepFunction
) -> tuple[Floats, Floats]:
    """Return weights of those with an event by each horizon, 1 / G(T-), and of those beyond it, 1 / G(t), "N H" each.

    Those censored before a horizon have neither; whom they stand for is carried by the others. Columns are NaN at
    horizons to which no training patient is followed (G = 0).
    """
    at_event, at_horizon = censoring.left(duration)[:, None], censoring(horizons)
    followed = at_horizon > 0
    case = event[:, None] & (duration[:, None] <= horizons)
    unknown = np.where(followed, 0.0, np.nan)
    case_weight = np.divide(1.0, at_event, out=np.zeros(case.shape), where=case & followed) + unknown
    control_weight = (duration[:, None] > horizons) / np.where(followed, at_horizon, np.nan)
    return case_weight, control_weight


def _followed_weights(
    duration: Floats, event: Bools, horizons: Floats, censoring: StepFunction
) -> tuple[Floats, Floats]:
    """`censoring_weights`, refused where they are unknown."""
    beyond = horizons[censoring(horizons) <= 0]
    if len(beyond):
        raise ValueError(f"no training patient is followed to day {beyond[0]:g}; ask for an earlier horizon")
    return censoring_weights(duration, event, horizons, censoring)


def cumulative_dynamic_auc(
    risk: Values,
    duration: Values,
    event: Values,
    times: Values,
    censoring: StepFunction,
    weight: Values | None = None,
) -> Floats:
    """AUC(t) of cases (event by t) against controls (beyond t), "H"; NaN where either is absent.

    `risk` is "N", or "N H" for a marker that depends on the horizon, such as the predicted probability of an event.
    """
    durations, events, weights = _patients(duration, event, weight)
    horizons = np.atleast_1d(finite("times", times))
    marker = finite("risk", risk)
    marker = np.repeat(marker[:, None], len(horizons), axis=1) if marker.ndim == 1 else marker
    group = np.zeros(len(durations), dtype=np.int64)
    case, control = _followed_weights(durations, events, horizons, censoring)
    columns = zip(marker.T, case.T, control.T, strict=True)
    return np.array([auc(weights[None], column, cases, controls, group)[0] for column, cases, controls in columns])


def brier_score(
    survival: Values,
    duration: Values,
    event: Values,
    times: Values,
    censoring: StepFunction,
    weight: Values | None = None,
) -> Floats:
    """Brier score at every horizon (Graf 1999), "H", of `survival`, the probability of no event by then, "N H"."""
    durations, events, weights = _patients(duration, event, weight)
    horizons = np.atleast_1d(finite("times", times))
    predicted = finite("survival", survival).reshape(len(durations), len(horizons))
    if predicted.size and (predicted.min() < 0 or predicted.max() > 1):
        raise ValueError("`survival` must lie in [0, 1]; give the probability of no event, not the risk")
    case, control = _followed_weights(durations, events, horizons, censoring)
    return np.asarray(weights @ brier_terms(predicted, case, control) / weights.sum())


def brier_terms(survival: Floats, case: Floats, control: Floats) -> Floats:
    """Return each patient's share of the Brier score, from survival and `censoring_weights` of one shape."""
    return case * survival**2 + control * (1.0 - survival) ** 2


def time_average(values: Floats, times: Floats) -> Floats:
    """Trapezoid mean over the last axis, from the first to the last of `times`; a single time is its own mean."""
    if len(times) == 1:
        return np.asarray(values[..., 0])
    width = np.diff(times)
    return np.asarray((0.5 * (values[..., 1:] + values[..., :-1]) * width).sum(axis=-1) / width.sum())


def integrated_brier_score(
    survival: Values,
    duration: Values,
    event: Values,
    times: Values,
    censoring: StepFunction,
    weight: Values | None = None,
) -> float:
    """Brier score averaged over time, by the trapezoid rule from the first to the last of `times`."""
    scores = brier_score(survival, duration, event, times, censoring, weight)
    return float(time_average(scores, np.atleast_1d(finite("times", times))))


def scaled_brier(brier: Values, reference: Values) -> Floats:
    """Return 1 - Brier / Brier of the reference (Kaplan-Meier of the training part): 0 is no better than no covariates.

    NaN where the reference makes next to no error, as where nobody has had the event yet: there is nothing to explain.

    >>> scaled_brier(brier=[0.15, 0.2], reference=0.2).round(4)
    array([0.25, 0.  ])
    """
    top, bottom = np.broadcast_arrays(np.asarray(brier, dtype=np.float64), np.asarray(reference, dtype=np.float64))
    return np.asarray(1.0 - ratio(top, np.where(bottom > NO_ERROR, bottom, np.nan)))


def read_curves(survival: Floats, times: Floats, at: Floats) -> Floats:
    """Curves "N Q" on `times` read at `at` "N H": 1 at day 0, linear between points, NaN beyond the last one."""
    grid = np.concatenate([[0.0], times])
    values = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    right = np.clip(np.searchsorted(grid, at, side="left"), 1, len(grid) - 1)
    share = (at - grid[right - 1]) / (grid[right] - grid[right - 1])
    before = np.take_along_axis(values, right - 1, axis=1)
    after = np.take_along_axis(values, right, axis=1)
    return np.where(at > grid[-1], np.nan, before + share * (after - before))
