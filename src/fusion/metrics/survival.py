"""All scores of one model for one endpoint at one prediction time, under many patient weightings at once.

Dimension key: W weightings, N held-out patients, Q times after the prediction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from fusion.metrics.calibration import calibration, calibration_distance, d_calibration
from fusion.metrics.decision import decision_statistics
from fusion.metrics.functional import brier_terms, censoring_weights, read_curves, scaled_brier, time_average
from fusion.metrics.time_lost import HIGH, LOW, rmst_difference
from fusion.metrics.weighted import auc, concordance, mean
from fusion.survival import StepFunction

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Bins of D-calibration.
BINS = 10
#: Scored at every horizon, and once more by this name at the middle one.
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
        risk_group: 0 low, 1 middle, 2 high, by cuts of the training part; -1 where unknown, "N".
        survival: Probability of no event by `times` after the prediction time, NaN where not predicted, "N Q".
        times: Increasing; holds every horizon, "Q".
        training: Curves by fold.
    """

    patient: Ints
    fold: Ints
    duration: Floats
    event: Bools
    risk: Floats
    risk_group: Ints
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

    @cached_property
    def reference_brier(self) -> Floats:
        """The same of the reference, "N Q"."""
        return brier_terms(self.reference, *self.weights)

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


def survival_support(held_out: HeldOut, horizons: Sequence[float], names: Iterable[str]) -> dict[str, int]:
    """Events behind every named figure; the smaller of cases and controls where a figure needs both."""
    duration, event = held_out.duration, held_out.event
    middle, last = horizons[len(horizons) // 2], horizons[-1]

    def by(horizon: float) -> int:
        return int((event & (duration <= horizon)).sum())

    def both(horizon: float) -> int:
        return min(by(horizon), int((duration > horizon).sum()))

    support = {}
    for name in names:
        kind, *rest = name.split("/")
        if kind in ("c_index", "d_calibration"):
            support[name] = int(event.sum())
        elif kind in CALIBRATION:
            support[name] = both(middle)
        elif kind in ("auc", "calibration"):
            support[name] = both(float(rest[0]))
        else:
            support[name] = by(float(rest[0]) if rest else last)
    return support


def auc_at(held_out: HeldOut, horizon: float, weights: Floats) -> Floats:
    """AUC of the predicted probability of an event by the horizon, "W"; of the risk where none is predicted."""
    at = held_out.column(horizon)
    if not held_out.followed[at]:
        return np.full(len(weights), np.nan)
    case, control = held_out.weights
    marker = 1.0 - held_out.survival[:, at] if held_out.known[at] else held_out.risk
    return auc(weights, marker, case[:, at], control[:, at], held_out.fold)


def survival_statistics(
    held_out: HeldOut, horizons: Sequence[float], tau: float, weights: Floats, brief: bool = False
) -> dict[str, Floats]:
    """Every score under every weighting, "W" each; NaN where it is undefined.

    Names: `c_index` and `c_index_uno` (up to the last horizon) of the risk; `auc/<h>` of the probability of an event
    by the horizon; `brier/<h>`, `scaled_brier/<h>` (1 - Brier / Brier of the training Kaplan-Meier); `ibs` and
    `scaled_ibs` (over the grid up to the last horizon); `calibration/<h>/slope`, `/intercept`, `/observed_expected`,
    those of the middle horizon also as `calibration_slope` and so on; `net_benefit/<h>/<threshold>` at the middle
    horizon; `rmst_difference/<tau>` in days between low and high risk group. If `brief`, the C-indices and the
    integrated scores alone: the others take most of the time.
    """
    undefined = np.full(len(weights), np.nan)
    duration, event, fold, risk = held_out.duration, held_out.event, held_out.fold, held_out.risk
    middle, last = horizons[len(horizons) // 2], horizons[-1]
    result = {
        "c_index": concordance(weights, risk, duration, event, event.astype(np.float64), fold),
        "c_index_uno": concordance(weights, risk, duration, event, held_out.uno_weights(last), fold),
        "ibs": undefined,
        "scaled_ibs": undefined,
    }
    grid = np.flatnonzero(held_out.known & (held_out.times <= last))
    if held_out.known[held_out.column(last)]:
        times = held_out.times[grid]
        result["ibs"] = mean(weights, time_average(held_out.brier[:, grid], times))
        reference = mean(weights, time_average(held_out.reference_brier[:, grid], times))
        result["scaled_ibs"] = scaled_brier(result["ibs"], reference)
    if brief:
        return result
    result[f"rmst_difference/{tau:g}"] = rmst_difference(weights, duration, event, held_out.risk_group, tau)
    for horizon in horizons:
        result[f"auc/{horizon:g}"] = auc_at(held_out, horizon, weights)
        result |= brier_at(held_out, horizon, weights)
        result |= calibration_at(held_out, horizon, weights)
    for name in CALIBRATION:
        result[name] = result[f"calibration/{middle:g}/{name.removeprefix('calibration_')}"]
    at, where = held_out.column(middle), f"/{middle:g}"
    case, control = (each[:, at] for each in held_out.weights)
    probability = 1.0 - held_out.survival[:, at]
    if not held_out.known[at]:
        case = control = probability = np.full(len(duration), np.nan)
    return result | decision_statistics(probability, case, control, weights, at=where)


def brier_at(held_out: HeldOut, horizon: float, weights: Floats) -> dict[str, Floats]:
    """`brier/<h>` and `scaled_brier/<h>`, "W" each."""
    at = held_out.column(horizon)
    brier = reference = np.full(len(weights), np.nan)
    if held_out.known[at]:
        brier, reference = mean(weights, held_out.brier[:, at]), mean(weights, held_out.reference_brier[:, at])
    return {f"brier/{horizon:g}": brier, f"scaled_brier/{horizon:g}": scaled_brier(brier, reference)}


def calibration_at(held_out: HeldOut, horizon: float, weights: Floats) -> dict[str, Floats]:
    """`calibration/<h>/slope`, `/intercept` and `/observed_expected`, "W" each."""
    at = held_out.column(horizon)
    result = dict.fromkeys(CALIBRATION, np.full(len(weights), np.nan))
    if held_out.known[at]:
        case, control = held_out.weights
        probability = 1.0 - held_out.survival[:, at]
        result |= calibration(probability, case[:, at], control[:, at], weights, "cloglog")
        if not varies_within(probability, held_out.fold):
            result["calibration_slope"] = np.full(len(weights), np.nan)
    return {f"calibration/{horizon:g}/{name.removeprefix('calibration_')}": each for name, each in result.items()}


def last_followed(repeats: Sequence[HeldOut], horizons: Sequence[float]) -> float:
    """Last horizon to which low and high risk groups are followed in every repeat; the first one if there is none."""
    groups = [each.duration[each.risk_group == group] for each in repeats for group in (LOW, HIGH)]
    followed = min((float(group.max()) if len(group) else 0.0) for group in groups)
    return max((horizon for horizon in horizons if horizon <= followed), default=horizons[0])


def survival_points(repeats: Sequence[HeldOut], horizons: Sequence[float]) -> dict[str, float]:
    """Figures without an interval, averaged over repeats; NaN where undefined.

    `d_calibration/chi2` and its `p` over ten bins; `calibration/<h>/ici` and `/e90`, which are distances: resamples
    lie above them, and an interval by percentiles would not cover the truth.
    """
    result = {}
    statistic = float(np.mean([_d_calibration(each) for each in repeats]))
    result["d_calibration/chi2"] = statistic
    result["d_calibration/p"] = float(chdtrc(BINS - 1, statistic))
    for horizon in horizons:
        distances = [_distance(each, horizon) for each in repeats]
        result[f"calibration/{horizon:g}/ici"], result[f"calibration/{horizon:g}/e90"] = (
            float(np.mean([each[place] for each in distances])) for place in (0, 1)
        )
    return result


def _distance(held_out: HeldOut, horizon: float) -> tuple[float, float]:
    at = held_out.column(horizon)
    if not held_out.known[at]:
        return float("nan"), float("nan")
    case, control = (each[:, at] for each in held_out.weights)
    ici, _, e90 = calibration_distance(1.0 - held_out.survival[:, at], case, control, "cloglog")
    return ici, e90


def _d_calibration(held_out: HeldOut) -> float:
    """Statistic of D-calibration; who outlives the predicted curve counts as censored at its end."""
    predicted = np.isfinite(held_out.survival).all(axis=0)
    if not predicted.any() or not len(held_out.duration):
        return float("nan")
    times = held_out.times[predicted]
    inside = held_out.duration <= times[-1]
    own = read_curves(held_out.survival[:, predicted], times, np.minimum(held_out.duration, times[-1])[:, None])
    return d_calibration(own[:, 0], held_out.event & inside, BINS)[0]


def varies_within(values: Floats, group: Ints) -> bool:
    """Whether predictions differ inside a fold; where they do not, a slope only tells folds apart."""
    return any(float(np.ptp(values[group == member])) > 1e-6 for member in np.unique(group))
