"""Where a survival curve has to be cut, or a probability, so that a stated share of patients is covered.

Dimension key: N rows (patients, or visits of patients), Q times after the prediction, L levels.

A bound is the day on which the predicted curve falls to a level q. It fails a patient whose event came before that day,
so what is needed is the lowest q at which the share of failures is at most alpha. Censored patients take no part in
that share directly; those whose fate by the bound is known stand for them (inverse probability of censoring weights).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.metrics.functional import read_curves
from fusion.survival import StepFunction, kaplan_meier

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Levels tried at once.
CHUNK = 32
#: Patients who must have been followed to a day for a bound to lie there.
FEWEST_FOLLOWED = 20


def day_of_level(survival: Floats, times: Floats, levels: Floats) -> Floats:
    """First day on which each curve is at or below each level, "N L"; the last time where it never is.

    Curves start at 1 on day 0 and are linear between the times. A rise, which rounding can leave, is flattened.

    Args:
        survival: "N Q".
        times: Days after the prediction, ascending, "Q".
        levels: Survival probabilities, "L".

    >>> day_of_level(np.array([[0.8, 0.4]]), np.array([30.0, 60.0]), np.array([1.0, 0.9, 0.6, 0.1]))
    array([[ 0., 15., 45., 60.]])
    """
    grid = np.concatenate([[0.0], times])
    values = np.minimum.accumulate(np.concatenate([np.ones((len(survival), 1)), survival], axis=1), axis=1)
    # Values fall, so the number of those above a level is the place of the first one that is not.
    rising = values[:, ::-1]
    above = np.array([len(grid) - np.searchsorted(row, levels, side="right") for row in rising], dtype=np.int64)
    above = above.reshape(len(survival), len(levels))
    right = np.clip(above, 1, len(grid) - 1)
    high, low = np.take_along_axis(values, right - 1, axis=1), np.take_along_axis(values, right, axis=1)
    share = (high - levels) / np.where(high > low, high - low, 1.0)
    days = grid[right - 1] + share * (grid[right] - grid[right - 1])
    return np.where(above == 0, 0.0, np.where(above >= len(grid), grid[-1], days))


def censoring_curve(duration: Floats, event: Bools, weight: Floats) -> StepFunction:
    """Probability of not yet being censored, rows weighted; at ties events come before censorings.

    >>> censoring_curve(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, False]), np.ones(4)).values
    array([0.5, 0. ])
    """
    # A censoring is moved to the next number after its day: it then follows the events of that day, as it should.
    return kaplan_meier(np.where(event, duration, np.nextafter(duration, np.inf)), ~event, weight)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a lower bound is read from a curve: the day on which it falls to `level`, but `longest` days at most."""

    level: float
    longest: float

    def lower(self, survival: Floats, times: Floats) -> Floats:
        """Bound of every curve in days, "N"."""
        return np.minimum(day_of_level(survival, times, np.array([self.level]))[:, 0], self.longest)


def longest_bound(duration: Floats, weight: Floats, last: float) -> float:
    """Last day to which enough patients were followed for a bound to be checked there; 0 where they are too few."""
    order = np.argsort(-duration, kind="stable")
    enough = np.cumsum(weight[order]) >= FEWEST_FOLLOWED - 1e-9
    return min(float(duration[order][np.argmax(enough)]), last) if enough.any() else 0.0


def survival_cut(survival: Floats, times: Floats, duration: Floats, event: Bools, weight: Floats, alpha: float) -> Cut:
    """Cut such that the bound comes after the event for at most a share `alpha` of patients.

    The share of failures at a level is A / (A + B): A sums 1 / G(T-) over events before the bound, B sums 1 / G(L-)
    over patients followed up to their bound L; G is the censoring curve of these rows. The patient to come is added to
    A with the mean weight there (1 without any), as split-conformal prediction does with its n + 1. Levels are tried
    from 1 (a bound of day 0, which never fails) downwards, up to the first that fails too often. With fewer than
    1 / alpha - 1 patients it is 1. No bound lies beyond the day to which `FEWEST_FOLLOWED` patients were followed.

    Candès, Lei & Ren (2023), J. R. Stat. Soc. B 85; Gui et al. (2024), Biometrika 111, whose cut-off follows the
    bound; for censoring that is not of type I: Sesia & Svetnik (2024), arXiv 2412.09729. Assumed: patients are
    exchangeable, and censoring does not depend on the patient, given that there is no event yet.

    Args:
        survival: Predicted curves, "N Q".
        times: Days of its columns, "Q".
        duration: Days to the event or to the end of follow-up, "N".
        event: "N".
        weight: Of each row; their sum is the number of patients, "N".
        alpha: Share of failures allowed.

    >>> curves = np.exp(-np.outer(np.ones(99), np.arange(1.0, 400.0)) / 100)
    >>> days = -100 * np.log(1 - np.arange(1, 100) / 100)  # exponential, as predicted
    >>> round(survival_cut(curves, np.arange(1.0, 400.0), days, np.ones(99, dtype=bool), np.ones(99), 0.1).level, 2)
    0.9
    """
    longest = longest_bound(duration, weight, float(times[-1]))
    early = event & (duration < longest)
    reached = read_curves(np.minimum.accumulate(survival, axis=1), times, np.minimum(duration, times[-1])[:, None])
    levels = np.unique(np.concatenate([[0.0, 1.0], reached[early, 0]]))[::-1]
    censoring = censoring_curve(duration, event, weight)
    inverse = np.divide(1.0, censoring.left(duration), out=np.ones(len(duration)), where=early)
    found = 1.0
    for start in range(0, len(levels), CHUNK):  # only the first tenth or so is looked at
        some = levels[start : start + CHUNK]
        bound = np.minimum(day_of_level(survival, times, some), longest)
        missed = early[:, None] & (duration[:, None] < bound)
        known = duration[:, None] >= bound
        kept = np.divide(weight[:, None], censoring.left(bound), out=np.zeros(bound.shape), where=known).sum(axis=0)
        failures, number = (weight * inverse) @ missed, weight @ missed
        failures = failures + np.divide(failures, number, out=np.ones(len(some)), where=number > 0)
        allowed = failures / (failures + kept) <= alpha + 1e-12
        stop = len(some) if allowed.all() else int(np.argmin(allowed))
        found = float(some[stop - 1]) if stop else found
        if stop < len(some):
            break
    return Cut(level=found, longest=longest)


def score_threshold(score: Floats, weight: Floats, alpha: float) -> float:
    """Least threshold that at most a share `alpha` of scores exceed, counting the patient to come as one that does.

    With equal weights: the ceil((n + 1)(1 - alpha))-th smallest score; 1, which no score exceeds, where n is too small.

    Args:
        score: One minus the probability given to the class that it was, "N".
        weight: Of each row; their sum is the number of patients, "N".
        alpha: Share allowed.

    >>> score_threshold(np.arange(1, 20) / 20, np.ones(19), 0.1)
    0.9
    """
    if not len(score):
        return 1.0
    order = np.argsort(score)
    values, above = score[order], weight.sum() - np.cumsum(weight[order])
    last_of_tie = np.append(values[1:] != values[:-1], True)
    allowed = last_of_tie & ((above + 1.0) / (weight.sum() + 1.0) <= alpha + 1e-12)
    return float(values[np.argmax(allowed)]) if allowed.any() else 1.0
