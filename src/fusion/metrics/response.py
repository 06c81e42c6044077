"""Scores of a predicted response, under many patient weightings at once; plain functions for a single weighting.

Dimension key: W weightings, N patients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.metrics.calibration import calibration, calibration_distance
from fusion.metrics.decision import decision_statistics
from fusion.metrics.functional import Values, finite, flags
from fusion.metrics.survival import varies_within
from fusion.metrics.weighted import auc, average_precision, mean, ratio

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class HeldOutResponse:
    """Held-out patients of one repeat whose response is known but lay ahead.

    Attributes:
        patient: Place of each patient in the list of all patients, "N".
        fold: Fold whose model made the prediction, "N".
        label: True for a response, "N".
        probability: Predicted probability of response, "N".
        threshold: Share of responders in the training part, by fold: the cut for sensitivity and specificity.
    """

    patient: Ints
    fold: Ints
    label: Bools
    probability: Floats
    threshold: Mapping[int, float]


def response_statistics(held_out: HeldOutResponse, weights: Floats, brief: bool = False) -> dict[str, Floats]:
    """AUROC (pairs within a fold), AUPRC, Brier; unless `brief`, calibration, sensitivity and so on, "W" each."""
    probability, label = held_out.probability, held_out.label
    case, control = label.astype(np.float64), (~label).astype(np.float64)
    result = {
        "auroc": auc(weights, probability, case, control, held_out.fold),
        "auprc": average_precision(weights, probability, label),
        "brier": mean(weights, (probability - case) ** 2),
    }
    if brief:
        return result
    cut = np.array([held_out.threshold[int(fold)] for fold in held_out.fold])
    positive = probability >= cut
    result |= {
        "sensitivity": ratio(weights @ (case * positive), weights @ case),
        "specificity": ratio(weights @ (control * ~positive), weights @ control),
        **calibration(probability, case, control, weights, "logit"),
        **decision_statistics(probability, case, control, weights),
    }
    if not varies_within(probability, held_out.fold):
        result["calibration_slope"] = np.full(len(weights), np.nan)
    return result


def response_points(repeats: Sequence[HeldOutResponse]) -> dict[str, float]:
    """Figures without an interval, averaged over repeats: `threshold` of sensitivity, `ici` and `e90`."""
    rows = []
    for each in repeats:
        case = each.label.astype(np.float64)
        ici, _, e90 = calibration_distance(each.probability, case, 1.0 - case, "logit")
        rows.append((float(np.mean([each.threshold[int(fold)] for fold in each.fold])), ici, e90))
    return dict(zip(("threshold", "ici", "e90"), np.mean(rows, axis=0).tolist(), strict=True))


def response_support(held_out: HeldOutResponse) -> int:
    """Patients of the rarer class."""
    responders = int(held_out.label.sum())
    return min(responders, len(held_out.label) - responders)


def _single(label: Values, probability: Values, weight: Values | None) -> tuple[Bools, Floats, Floats]:
    labels, scores = flags("label", label), finite("probability", probability)
    weights = np.ones(len(labels)) if weight is None else finite("weight", weight)
    if not len(labels) == len(scores) == len(weights):
        raise ValueError(f"lengths differ: label {len(labels)}, probability {len(scores)}, weight {len(weights)}")
    return labels, scores, weights


def auroc(label: Values, probability: Values, weight: Values | None = None) -> float:
    """Area under the ROC curve, ties one half; NaN with one class only.

    >>> auroc(label=[0, 0, 1, 1], probability=[0.1, 0.4, 0.4, 0.8])
    0.875
    """
    labels, scores, weights = _single(label, probability, weight)
    group = np.zeros(len(labels), dtype=np.int64)
    return float(auc(weights[None], scores, labels.astype(np.float64), (~labels).astype(np.float64), group)[0])


def auprc(label: Values, probability: Values, weight: Values | None = None) -> float:
    """Average precision; NaN without a positive."""
    labels, scores, weights = _single(label, probability, weight)
    return float(average_precision(weights[None], scores, labels)[0])


@dataclass(frozen=True)
class ThresholdMetrics:
    """What a rule "positive if the probability is at least the threshold" does; NaN where a denominator is zero."""

    sensitivity: float
    specificity: float
    positive_predictive_value: float
    negative_predictive_value: float
    accuracy: float


def threshold_metrics(
    label: Values, probability: Values, threshold: float, weight: Values | None = None
) -> ThresholdMetrics:
    """Sensitivity, specificity, predictive values and accuracy; choose the threshold on training patients."""
    labels, scores, weights = _single(label, probability, weight)
    positive = scores >= threshold
    total = {
        (truth, call): float(weights[(labels == truth) & (positive == call)].sum())
        for truth in (True, False)
        for call in (True, False)
    }

    def share(top: float, other: float) -> float:
        return top / (top + other) if top + other > 0 else float("nan")

    return ThresholdMetrics(
        sensitivity=share(total[True, True], total[True, False]),
        specificity=share(total[False, False], total[False, True]),
        positive_predictive_value=share(total[True, True], total[False, True]),
        negative_predictive_value=share(total[False, False], total[True, False]),
        accuracy=share(total[True, True] + total[False, False], total[True, False] + total[False, True]),
    )
