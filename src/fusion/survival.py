"""Nonparametric survival curves as step functions, in float64: what metrics, baselines, losses and report build on.

All functions take `duration` (> 0, any unit) and `event` (True where the endpoint was reached), one entry per patient.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class StepFunction:
    """A right-continuous step function that is held constant beyond its last jump: no data there.

    Attributes:
        times: Where it jumps, strictly increasing.
        values: Value from each jump on.
        start: Value before the first jump.

    >>> curve = StepFunction(times=np.array([2.0, 5.0]), values=np.array([0.8, 0.4]), start=1.0)
    >>> curve(np.array([1.0, 2.0, 9.0])), curve.left(2.0)
    (array([1. , 0.8, 0.4]), array(1.))
    """

    times: Floats
    values: Floats
    start: float

    def __call__(self, t: Floats | float) -> Floats:
        """Value at `t`."""
        return self._at(np.searchsorted(self.times, t, side="right"))

    def left(self, t: Floats | float) -> Floats:
        """Value just before `t`."""
        return self._at(np.searchsorted(self.times, t, side="left"))

    def _at(self, jumps: NDArray[np.intp] | np.intp) -> Floats:
        return np.asarray(np.concatenate([[self.start], self.values])[jumps])


@dataclass(frozen=True)
class Band:
    """Pointwise confidence limits of a curve."""

    lower: StepFunction
    upper: StepFunction


@dataclass(frozen=True)
class _Counts:
    """Weighted numbers at every distinct time: with an event, censored, and still at risk just before it."""

    times: Floats
    events: Floats
    censored: Floats
    at_risk: Floats


def _counts(duration: Floats, event: Bools, weight: Floats | None = None) -> _Counts:
    weights = np.ones(len(duration)) if weight is None else weight
    times, place = np.unique(duration, return_inverse=True)
    size = len(times)
    total: Floats = np.bincount(place, weights=weights, minlength=size).astype(np.float64)
    events: Floats = np.bincount(place, weights=weights * event, minlength=size).astype(np.float64)
    at_risk: Floats = np.cumsum(total[::-1])[::-1]
    return _Counts(times=times, events=events, censored=total - events, at_risk=at_risk)


def kaplan_meier(duration: Floats, event: Bools, weight: Floats | None = None) -> StepFunction:
    """Survival function; jumps at event times only.

    >>> curve = kaplan_meier(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, False]))
    >>> curve.times, curve.values
    (array([1., 2.]), array([0.75, 0.5 ]))
    """
    counts = _counts(duration, event, weight)
    keep = counts.events > 0
    values = (1.0 - counts.events[keep] / counts.at_risk[keep]).cumprod()
    return StepFunction(times=counts.times[keep], values=values, start=1.0)


def kaplan_meier_band(duration: Floats, event: Bools, level: float = 0.95) -> Band:
    """Pointwise confidence limits of `kaplan_meier`: Greenwood's variance on the log(-log) scale.

    Where the curve reaches zero the variance is not defined: there the lower limit is zero and the upper one is held.
    """
    counts = _counts(duration, event)
    keep = counts.events > 0
    events, at_risk = counts.events[keep], counts.at_risk[keep]
    values = np.cumprod(1.0 - events / at_risk)
    positive = values > 0  # only the last value can be zero
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        spread = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(greenwood) / np.log(values)
        lower = np.where(positive, values ** np.exp(-spread), 0.0)
        upper = values ** np.exp(spread)
    if len(upper) and not positive[-1]:
        upper[-1] = upper[-2] if len(upper) > 1 else 1.0
    times = counts.times[keep]
    return Band(lower=StepFunction(times, lower, 1.0), upper=StepFunction(times, upper, 1.0))


def censoring_survival(duration: Floats, event: Bools) -> StepFunction:
    """Probability of not yet being censored (reverse Kaplan-Meier); at ties events come before censorings.

    >>> curve = censoring_survival(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, False]))
    >>> curve.times, curve.values
    (array([2., 3.]), array([0.5, 0. ]))
    """
    counts = _counts(duration, event)
    keep = counts.censored > 0
    left = counts.at_risk[keep] - counts.events[keep]
    values = (1.0 - counts.censored[keep] / left).cumprod()
    return StepFunction(times=counts.times[keep], values=values, start=1.0)


def nelson_aalen(duration: Floats, event: Bools, weight: Floats | None = None) -> StepFunction:
    """Cumulative hazard."""
    return breslow(np.zeros(len(duration)), duration, event, weight)


def breslow(log_hazard: Floats, duration: Floats, event: Bools, weight: Floats | None = None) -> StepFunction:
    """Cumulative baseline hazard of a proportional hazards model, so that S(t | x) = exp(-H(t) exp(log_hazard)).

    >>> curve = breslow(np.zeros(3), np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    >>> curve.times, curve.values.round(4)
    (array([1., 3.]), array([0.3333, 1.3333]))
    """
    weights = np.ones(len(duration)) if weight is None else weight
    shift = float(log_hazard.max()) if len(log_hazard) else 0.0  # keeps the exponentials finite
    counts = _counts(duration, event, weights)
    at_risk = _counts(duration, event, weights * np.exp(log_hazard - shift)).at_risk
    keep = (counts.events > 0) & (at_risk > 0)
    steps = counts.events[keep] / at_risk[keep] * np.exp(-shift)
    return StepFunction(times=counts.times[keep], values=np.cumsum(steps), start=0.0)


def aalen_johansen(duration: Floats, cause: NDArray[np.int64], of: int = 1) -> StepFunction:
    """Cumulative incidence of cause `of` where other causes compete; `cause` is 0 where censored.

    >>> curve = aalen_johansen(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 1, 0]))
    >>> curve.times, curve.values
    (array([1., 3.]), array([0.25, 0.5 ]))
    """
    overall = kaplan_meier(duration, cause > 0)
    counts = _counts(duration, cause == of)
    keep = counts.events > 0
    times = counts.times[keep]
    steps = overall.left(times) * counts.events[keep] / counts.at_risk[keep]
    return StepFunction(times=times, values=np.cumsum(steps), start=0.0)


def number_at_risk(duration: Floats, times: Floats) -> NDArray[np.int64]:
    """How many have a duration of at least each of `times`: the row below a Kaplan-Meier plot."""
    return (duration[:, None] >= times).sum(axis=0).astype(np.int64)


def median(curve: StepFunction) -> float:
    """First time at which a survival curve is at or below one half; infinite where it never is."""
    reached = np.flatnonzero(curve.values <= 0.5 + 1e-12)  # rounding must not pass over an exact half
    return float(curve.times[reached[0]]) if len(reached) else float("inf")


def median_follow_up(duration: Floats, event: Bools) -> float:
    """Median time to censoring by reverse Kaplan-Meier; infinite where fewer than half are censored in the end."""
    return median(censoring_survival(duration, event))


def restricted_mean(curve: StepFunction, tau: float) -> float:
    """Mean survival time up to `tau`: the area under a survival curve.

    >>> restricted_mean(StepFunction(times=np.array([2.0]), values=np.array([0.5]), start=1.0), tau=4.0)
    3.0
    """
    edges = np.concatenate([[0.0], curve.times[curve.times < tau], [tau]])
    return float(np.sum(np.diff(edges) * curve(edges[:-1])))
