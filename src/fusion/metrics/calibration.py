"""Are the probabilities true? Slope, intercept, smooth and grouped curves, ICI, D-calibration, and net benefit.

Dimension key: W weightings, N patients, P columns of a design.

Everything here takes the predicted probability of an event (by a horizon, or of a response) and two weights per
patient: `case`, the weight as one who had the event, and `control`, as one who had not. For a response they are 0/1;
for survival they are the inverse probabilities of censoring of `fusion.metrics.functional.censoring_weights`.
The recalibration model is a binomial regression of the outcome on the transformed probability x, with link cloglog for
survival (x = log(-log S(t)), where a proportional hazards model has slope 1) and logit for response:
slope: coefficient of x (1 is ideal, below 1 is over-fitted). Intercept: constant when the slope is held at 1
(0 is ideal, above 0 means that events are under-predicted). ICI, E50, E90: mean, median and 90th percentile of the
distance between the predicted probability and a smooth recalibration, by a restricted cubic spline in x with 3 knots
(Austin, Harrell, van Klaveren 2020, with inverse weights in place of a hazard regression). They stand beside curves
without an interval: a distance is never negative, so resamples lie above it and percentiles would not cover.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from fusion.metrics.binomial import Link, fit, inverse, transform
from fusion.metrics.functional import censoring_weights
from fusion.metrics.weighted import mean, ratio
from fusion.survival import StepFunction, kaplan_meier, kaplan_meier_band

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def _spline(x: Floats, knots: Floats) -> Floats:
    """Restricted cubic spline with three knots, linear beyond them, "N P"; a constant if knots nearly coincide."""
    low, middle, high = knots
    if min(middle - low, high - middle) < 1e-3:
        return np.ones((len(x), 1))
    x, low, middle, high = x - middle, low - middle, 0.0, high - middle

    def cubed(knot: float) -> Floats:
        return np.maximum(x - knot, 0.0) ** 3

    bend = cubed(low) - (cubed(middle) * (high - low) - cubed(high) * (middle - low)) / (high - middle)
    return np.stack([np.ones_like(x), x, bend / (high - low) ** 2], axis=1)


def calibration(probability: Floats, case: Floats, control: Floats, weights: Floats, link: Link) -> dict[str, Floats]:
    """Calibration slope, intercept and observed/expected ratio under every weighting, "W" each."""
    x = transform(link, probability)
    line = np.stack([np.ones_like(x), x], axis=1)
    return {
        "calibration_slope": fit(line, case, control, weights, link)[:, 1],
        "calibration_intercept": fit(line[:, :1], case, control, weights, link, offset=x)[:, 0],
        "observed_expected": ratio(weights @ case, weights @ probability),
    }


def calibration_distance(probability: Floats, case: Floats, control: Floats, link: Link) -> tuple[float, float, float]:
    """ICI, E50 and E90: mean, median and 90th percentile of the distance to the smooth recalibration."""
    if not len(probability):
        return float("nan"), float("nan"), float("nan")
    x = transform(link, probability)
    distance = np.abs(_smooth(x, x, case, control, link) - probability)
    e50, e90 = np.quantile(distance, [0.5, 0.9])
    return float(distance.mean()), float(e50), float(e90)


def integrated_calibration_index(
    probability: Floats, case: Floats, control: Floats, weights: Floats, link: Link
) -> Floats:
    """ICI under every weighting, "W", for paired differences; the knots are those of the sample itself."""
    x = transform(link, probability)
    design = _spline(x, np.quantile(x, [0.1, 0.5, 0.9]))
    observed = inverse(link, fit(design, case, control, weights, link) @ design.T)
    return ratio((weights * np.abs(observed - probability)).sum(axis=1), weights.sum(axis=1))


def _smooth(at: Floats, x: Floats, case: Floats, control: Floats, link: Link) -> Floats:
    """Recalibrated probability at transformed predictions `at`, "n"; NaN where one class is absent."""
    knots = np.quantile(x, [0.1, 0.5, 0.9])
    coefficients = fit(_spline(x, knots), case, control, np.ones((1, len(x))), link)[0]
    return inverse(link, _spline(at, knots) @ coefficients)


@dataclass(frozen=True)
class CalibrationCurve:
    """What a calibration plot shows: groups by quantile of prediction, and a smooth curve.

    Attributes:
        predicted: Mean predicted probability of an event in each group.
        observed: Observed probability (Kaplan-Meier for survival) in each group.
        low: Lower 95 % limit of `observed`.
        high: Upper 95 % limit of `observed`.
        smooth_predicted: Predicted probabilities, increasing, where the smooth curve is drawn.
        smooth_observed: Smooth recalibrated probability there.
        ici: Mean distance of the smooth curve from the prediction.
        e50: Median distance.
        e90: 90th percentile of the distance.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    smooth_predicted: Floats
    smooth_observed: Floats
    ici: float
    e50: float
    e90: float


def _groups(probability: Floats, groups: int) -> list[Ints]:
    """Patients by quantile of prediction; equal predictions stay together, empty groups are left out."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, groups + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="left")
    return [np.flatnonzero(place == number) for number in np.unique(place)]


def _curve(probability: Floats, observed: Floats, case: Floats, control: Floats, link: Link) -> CalibrationCurve:
    """Join grouped points "3 groups+1 columns: predicted, observed, low, high" with the smooth curve."""
    x = transform(link, probability)
    grid = np.linspace(np.quantile(x, 0.01), np.quantile(x, 0.99), 50)
    ici, e50, e90 = calibration_distance(probability, case, control, link)
    return CalibrationCurve(
        predicted=observed[:, 0],
        observed=observed[:, 1],
        low=observed[:, 2],
        high=observed[:, 3],
        smooth_predicted=inverse(link, grid),
        smooth_observed=_smooth(grid, x, case, control, link),
        ici=ici,
        e50=e50,
        e90=e90,
    )


def calibration_curve(
    probability: Floats,
    duration: Floats,
    event: Bools,
    horizon: float,
    censoring: StepFunction,
    groups: int = 5,
) -> CalibrationCurve:
    """Predicted against observed probability of an event by `horizon`; observed by Kaplan-Meier within groups."""
    rows = []
    for inside in _groups(probability, groups):
        curve = kaplan_meier(duration[inside], event[inside])
        band = kaplan_meier_band(duration[inside], event[inside])
        observed = [1.0 - float(each(horizon)) for each in (curve, band.upper, band.lower)]
        rows.append([float(probability[inside].mean()), *observed])
    case, control = censoring_weights(duration, event, np.array([horizon]), censoring)
    return _curve(probability, np.array(rows), case[:, 0], control[:, 0], "cloglog")


def response_calibration_curve(probability: Floats, label: Bools, groups: int = 5) -> CalibrationCurve:
    """Predicted against observed probability of response; Wilson's limits within groups."""
    rows = []
    for inside in _groups(probability, groups):
        size, share, z = len(inside), float(label[inside].mean()), 1.959964
        centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
        half = z * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2)) / (1 + z**2 / size)
        rows.append([float(probability[inside].mean()), share, centre - half, centre + half])
    return _curve(probability, np.array(rows), label.astype(np.float64), (~label).astype(np.float64), "logit")


def d_calibration(survival: Floats, event: Bools, bins: int = 10) -> tuple[float, float]:
    """Chi-square statistic and p of D-calibration (Haider 2020): is S(T) uniform?

    Args:
        survival: Predicted survival at each patient's own time, "N".
        event: A censored patient is spread over the bins at and below its survival.
        bins: Number of equal bins of [0, 1].
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    own = np.clip((survival * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(own[event], minlength=bins).astype(np.float64)
    for probability, place in zip(survival[~event], own[~event], strict=True):
        if probability <= 0:
            count[0] += 1.0
            continue
        count[place] += (probability - edges[place]) / probability
        count[:place] += 1.0 / (bins * probability)
    expected = len(survival) / bins
    statistic = float(((count - expected) ** 2 / expected).sum())
    return statistic, float(chdtrc(bins - 1, statistic))


def net_benefit(
    probability: Floats, case: Floats, control: Floats, thresholds: Floats, weights: Floats | None = None
) -> Floats:
    """Net benefit of treating those whose predicted probability is at least each threshold, "W thresholds".

    True positives minus false positives weighted by the odds of the threshold, per patient. "Treat all" is a
    `probability` of one for everybody; "treat none" is zero.
    """
    once = np.ones((1, len(probability))) if weights is None else weights
    treated = (probability[:, None] >= thresholds).astype(np.float64)
    gain = case[:, None] * treated - control[:, None] * treated * (thresholds / (1.0 - thresholds))
    return np.stack([mean(once, column) for column in gain.T], axis=1)
