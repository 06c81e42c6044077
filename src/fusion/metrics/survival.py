"""All scores of one model for one endpoint at one prediction time, under many patient weightings at once.

Dimension key: W weightings, N held-out patients, Q times after the prediction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fusion.metrics.calibration import calibration
from fusion.metrics.functional import brier_terms, censoring_weights, scaled_brier, time_average
from fusion.metrics.weighted import auc, concordance, mean
from fusion.survival import StepFunction

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


#: Scored at the middle horizon.
CALIBRATION = ("calibration_slope", "calibration_intercept", "observed_expected")


@dataclass(frozen=True)
class Training:
    """Curves of the training part of one fold, from the same prediction time as the held-out patients.

    Attributes:
        censoring: G(t), for the weights.
        survival: Kaplan-Meier, the reference that knows no covariates.
    """

    censoring: StepFunction
    survival: StepFunction


@dataclass(frozen=True)
class HeldOut:
    """Held-out patients of one repeat of cross-validation, as one model saw them at one prediction time.

    Attributes:
        patient: Place of each patient in the list of all patients, "N".
        fold: Fold whose model made the prediction, "N".
        duration: Days from the prediction time to the event or the end of follow-up, "N".
        event: True where the endpoint was reached, "N".
        risk: Higher is worse; comparable within a fold, "N".
        survival: Probability of no event by `times` after the prediction time, NaN where not predicted, "N Q".
        times: Increasing; holds every horizon, "Q".
        training: Curves by fold.
    """

    patient: Ints
    fold: Ints
    duration: Floats
    event: Bools
    risk: Floats
    survival: Floats
    times: Floats
    training: Mapping[int, Training]

    def folds(self) -> list[tuple[Ints, Training]]:
        """Rows of every fold, with the curves of its training part."""
        return [(np.flatnonzero(self.fold == fold), self.training[int(fold)]) for fold in np.unique(self.fold)]

    @cached_property
    def weights(self) -> tuple[Floats, Floats]:
        """Weights of cases and controls at `times`, each fold by its own censoring curve, "N Q" each."""
        case, control = np.zeros(self.survival.shape), np.zeros(self.survival.shape)
        for rows, training in self.folds():
            case[rows], control[rows] = censoring_weights(
                self.duration[rows], self.event[rows], self.times, training.censoring
            )
        return case, control

    @cached_property
    def reference(self) -> Floats:
        """Survival by Kaplan-Meier of each patient's training part, "N Q"."""
        reference = np.zeros(self.survival.shape)
        for rows, training in self.folds():
            reference[rows] = training.survival(self.times)
        return reference

    @cached_property
    def followed(self) -> Bools:
        """Whether training patients of every fold are followed to `times`, "Q"."""
        case, control = self.weights
        return np.asarray(np.isfinite(case + control).all(axis=0))

    @cached_property
    def known(self) -> Bools:
        """Whether probabilities can be scored at `times`: followed, and predicted for everybody, "Q"."""
        return np.asarray(self.followed & np.isfinite(self.survival).all(axis=0) & (len(self.survival) > 0))

    @cached_property
    def brier(self) -> Floats:
        """Each patient's share of the Brier score at `times`, "N Q"."""
        return brier_terms(self.survival, *self.weights)

    def column(self, horizon: float) -> int:
        """Place of a horizon among `times`."""
        return int(np.searchsorted(self.times, horizon))

    def uno_weights(self, tau: float) -> Floats:
        """Return 1 / G(T-)^2 of events before tau and within the follow-up of the training part, "N"."""
        weight = np.zeros(len(self.fold))
        for rows, training in self.folds():
            known = training.censoring.left(self.duration[rows])
            counted = self.event[rows] & (self.duration[rows] < tau) & (known > 0)
            weight[rows] = np.divide(1.0, known**2, out=np.zeros(len(rows)), where=counted)
        return weight


def survival_support(held_out: HeldOut, horizons: Sequence[float]) -> dict[str, int]:
    """Events behind every figure of `survival_statistics`; for AUC, the smaller of cases and controls."""
    duration, event = held_out.duration, held_out.event
    by = {horizon: int((event & (duration <= horizon)).sum()) for horizon in horizons}
    beyond = {horizon: int((duration > horizon).sum()) for horizon in horizons}
    middle, last = horizons[len(horizons) // 2], horizons[-1]
    support = {"c_index": int(event.sum()), "c_index_uno": by[last], "ibs": by[last]}
    for horizon in horizons:
        support[f"auc.{horizon:g}"] = min(by[horizon], beyond[horizon])
        support[f"brier.{horizon:g}"] = support[f"scaled_brier.{horizon:g}"] = by[horizon]
    for name in CALIBRATION:
        support[name] = min(by[middle], beyond[middle])
    return support


def auc_at(held_out: HeldOut, horizon: float, weights: Floats) -> Floats:
    """AUC of the predicted probability of an event by the horizon, "W"; of the risk where none is predicted."""
    at = held_out.column(horizon)
    if not held_out.followed[at]:
        return np.full(len(weights), np.nan)
    case, control = held_out.weights
    marker = 1.0 - held_out.survival[:, at] if held_out.known[at] else held_out.risk
    return auc(weights, marker, case[:, at], control[:, at], held_out.fold)


def survival_statistics(held_out: HeldOut, horizons: Sequence[float], weights: Floats) -> dict[str, Floats]:
    """Every score under every weighting, "W" each; NaN where it is undefined.

    Names: `c_index` and `c_index_uno` (up to the last horizon) of the risk; `auc.<h>` of the probability of an event
    by the horizon; `brier.<h>`, `scaled_brier.<h>` (1 - Brier / Brier of the training Kaplan-Meier), `ibs` (over the
    grid up to the last horizon); at the middle horizon `calibration_slope`, `calibration_intercept` and
    `observed_expected`.
    """
    undefined = np.full(len(weights), np.nan)
    duration, event, fold, risk = held_out.duration, held_out.event, held_out.fold, held_out.risk
    middle, last = horizons[len(horizons) // 2], horizons[-1]
    result = {
        "c_index": concordance(weights, risk, duration, event, event.astype(np.float64), fold),
        "c_index_uno": concordance(weights, risk, duration, event, held_out.uno_weights(last), fold),
        "ibs": undefined,
    }
    grid = np.flatnonzero(held_out.known & (held_out.times <= last))
    if held_out.known[held_out.column(last)]:
        result["ibs"] = mean(weights, time_average(held_out.brier[:, grid], held_out.times[grid]))
    for horizon in horizons:
        at = held_out.column(horizon)
        result[f"auc.{horizon:g}"] = auc_at(held_out, horizon, weights)
        result[f"brier.{horizon:g}"] = result[f"scaled_brier.{horizon:g}"] = undefined
        if held_out.known[at]:
            case, control = held_out.weights
            brier = mean(weights, held_out.brier[:, at])
            reference = mean(weights, brier_terms(held_out.reference[:, at], case[:, at], control[:, at]))
            result[f"brier.{horizon:g}"], result[f"scaled_brier.{horizon:g}"] = brier, scaled_brier(brier, reference)
    at = held_out.column(middle)
    if not held_out.known[at]:
        return {**result, **dict.fromkeys(CALIBRATION, undefined)}
    case, control = held_out.weights
    probability = 1.0 - held_out.survival[:, at]
    result.update(calibration(probability, case[:, at], control[:, at], weights, "cloglog"))
    if not varies_within(probability, fold):
        result["calibration_slope"] = undefined
    return result


def varies_within(values: Floats, group: Ints) -> bool:
    """Whether predictions differ inside a fold; where they do not, a slope only tells folds apart."""
    return any(float(np.ptp(values[group == member])) > 1e-6 for member in np.unique(group))
