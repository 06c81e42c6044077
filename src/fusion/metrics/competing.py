"""Scores of one cause of the end where others compete with it, such as death where a transplantation may come first.

Dimension key: N held-out patients, Q times after the prediction.

A patient who is transplanted will not die of the disease any more: she is a control from then on, and what a model
owes is the cumulative incidence, not one minus a survival curve in a world without transplantation. So, with Blanche
et al. (Biometrics 2015), the cases at t are those whose end came by t by this cause, the controls all others, and
the weights correct for the end of follow-up alone. A run that predicts both the cause by itself (censored where
another came first) and any cause together holds all that is needed.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fusion.metrics.functional import brier_terms, censoring_weights
from fusion.metrics.survival import HeldOut
from fusion.survival import StepFunction

Floats = NDArray[np.float64]


def incidence(of_cause: Floats, of_any: Floats) -> Floats:
    """Cumulative incidence of a cause from survival curves, "N Q" each, on a common grid that starts after day 0.

    Whatever share of a step's hazard belongs to the cause takes that share of those who end in the step. `of_any`
    falls in every step by at least as much as `of_cause`, also where two models disagree on that.

    Args:
        of_cause: exp(-cumulative hazard of the cause).
        of_any: Probability that no cause has come.

    >>> incidence(np.array([[0.8, 0.8]]), np.array([[0.8, 0.4]]))
    array([[0.2, 0.2]])
    """
    smallest = np.finfo(np.float64).tiny
    of_cause, of_any = (-np.log(np.maximum(curve, smallest)) for curve in (of_cause, of_any))
    cause = np.diff(of_cause, axis=1, prepend=0.0)
    either = np.maximum(np.diff(of_any, axis=1, prepend=0.0), cause)
    reached = np.exp(either - np.cumsum(either, axis=1))
    share = np.divide(cause, either, out=np.zeros_like(cause), where=either > 0)
    return np.asarray(np.cumsum(reached * -np.expm1(-either) * share, axis=1))


def observed_incidence(of_cause: StepFunction, of_any: StepFunction, times: Floats) -> Floats:
    """Aalen-Johansen at `times`, "Q", from two Kaplan-Meier curves of the same patients: of the cause, of any cause."""
    jumps = of_cause.times
    hazard = 1.0 - of_cause(jumps) / of_cause.left(jumps)
    total = np.concatenate([[0.0], np.cumsum(of_any.left(jumps) * hazard)])
    return np.asarray(total[np.searchsorted(jumps, times, side="right")])


@dataclass(frozen=True)
class Competing:
    """The same held-out patients of one repeat, asked for one cause and for any cause.

    Attributes:
        cause: With the other causes as censorings.
        either: With every cause as an event, so that its censoring curve is that of follow-up.
    """

    cause: HeldOut
    either: HeldOut

    def __post_init__(self) -> None:
        same = (
            np.array_equal(self.cause.patient, self.either.patient)
            and np.array_equal(self.cause.fold, self.either.fold)
            and np.array_equal(self.cause.duration, self.either.duration)
            and np.array_equal(self.cause.times, self.either.times)
        )
        if not same or (self.cause.event & ~self.either.event).any():
            raise ValueError(
                "the two endpoints are not one end by cause and by any cause: both need the same patients and days, "
                "and an event of the cause is one of any cause"
            )

    @cached_property
    def probability(self) -> Floats:
        """Predicted cumulative incidence of the cause, "N Q"."""
        return incidence(self.cause.survival, self.either.survival)

    @cached_property
    def weights(self) -> tuple[Floats, Floats]:
        """Weights of cases and of controls, those with another cause among the latter, "N Q" each."""
        case, control = np.zeros(self.probability.shape), np.zeros(self.probability.shape)
        for rows, training in self.either.folds():
            duration, times = self.cause.duration[rows], self.cause.times
            mine, others = self.cause.event[rows], self.either.event[rows] & ~self.cause.event[rows]
            case[rows], beyond = censoring_weights(duration, mine, times, training.censoring)
            control[rows] = beyond + censoring_weights(duration, others, times, training.censoring)[0]
        return case, control

    @cached_property
    def reference(self) -> Floats:
        """Cumulative incidence in each patient's training part, "N Q"."""
        reference = np.zeros(self.probability.shape)
        for (rows, cause), (_, either) in zip(self.cause.folds(), self.either.folds(), strict=True):
            reference[rows] = observed_incidence(cause.survival, either.survival, self.cause.times)
        return reference

    @cached_property
    def brier(self) -> Floats:
        """Each patient's share of the Brier score, "N Q"."""
        return brier_terms(1.0 - self.probability, *self.weights)

    @cached_property
    def reference_brier(self) -> Floats:
        """The same of the reference, "N Q"."""
        return brier_terms(1.0 - self.reference, *self.weights)
