"""Recalibration: an intercept and a slope that fit predictions to the outcomes of some patients of another cohort.

Dimension key: N rows, Q times, P parameters.

Survival: the cumulative hazard of row i becomes H_i(t) exp(a + (b - 1) (x_i - c)), so that S_i(t) becomes a power of
itself: curves stay between 0 and 1 and never rise, and what is conditional on being alive later changes alike. x_i is
the linear predictor, log H_i at one horizon, where b is the calibration slope; c is the mean of x in the fitting
patients; a is calibration in the large. Up to a constant, the log likelihood of censored outcomes under these hazards
is that of a Poisson regression of the event on x with the predicted cumulative hazard at the end of follow-up as
exposure (Crowson, Atkinson, Therneau 2016), so that a and b are its maximum likelihood estimates.

Response: logit p_i becomes logit p_i + a + (b - 1) (logit p_i - c), fitted by logistic regression (Cox 1958).

Standard errors are robust, with a patient's rows as one cluster: a patient may be seen at several prediction times.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fusion.metrics.binomial import inverse, transform
from fusion.metrics.functional import read_curves

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Mode = Literal["intercept", "slope", "both"]

MODES: tuple[Mode, ...] = ("intercept", "slope", "both")
#: With fewer events a new intercept adds more chance than it takes away error.
FEWEST_EVENTS = 10
#: Survival is kept above the first, and a cumulative hazard above the second: 0 has no logarithm.
LEAST_SURVIVAL, LEAST_HAZARD = 1e-15, 1e-6
#: Predictors that spread less than this do not tell patients apart, and have no slope.
NO_SPREAD = 1e-6
STEPS, LARGEST_STEP, TOLERANCE = 100, 1.0, 1e-9
#: Estimates beyond the first, or a likelihood flatter than the second, have no finite maximum.
LIMIT, FLAT = 20.0, 1e12

#: Expected outcome and its variance, "N" each, at a shift of the linear predictor, "N".
Expectation = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Recalibration:
    """What was fitted, and on whom.

    Attributes:
        intercept: a; above 0 events had been under-predicted. 0 where it was not fitted.
        slope: b; below 1 predictions had been too extreme. 1 where it was not fitted.
        intercept_se: Standard error, None where not fitted.
        slope_se: Likewise.
        centre: c, mean linear predictor of the fitting patients.
        patients: Who were fitted on.
        events: Those of them with the event; of a response, those of the rarer class.
    """

    intercept: float
    slope: float
    intercept_se: float | None
    slope_se: float | None
    centre: float
    patients: int
    events: int

    def shift(self, predictor: Floats) -> Floats:
        """What is added to log H, or to the logit."""
        return self.intercept + (self.slope - 1.0) * (predictor - self.centre)


def linear_predictor(survival: Floats, times: Floats, horizon: float) -> Floats:
    """Log of the predicted cumulative hazard at a horizon, "N", of curves "N Q" on `times`."""
    return np.log(np.maximum(cumulative_hazard(survival, times, np.full(len(survival), horizon)), LEAST_HAZARD))


def cumulative_hazard(survival: Floats, times: Floats, at: Floats) -> Floats:
    """Predicted cumulative hazard at a day of each row, "N"; the hazard is constant between points of the grid.

    Beyond the grid nothing is predicted: NaN.
    """
    hazard = -np.log(np.clip(survival, LEAST_SURVIVAL, 1.0))
    return 1.0 - read_curves(1.0 - hazard, times, at[:, None])[:, 0]  # a curve starts at 1, a hazard at 0


def fit_survival(
    predictor: Floats, exposure: Floats, event: Bools, patient: NDArray[np.generic], mode: Mode
) -> Recalibration:
    """Fit a survival model to the outcomes of some patients.

    Args:
        predictor: x, "N".
        exposure: Predicted cumulative hazard from the prediction time to the end of follow-up, "N".
        event: Whether follow-up ended with the event, "N".
        patient: Whose row it is, "N".
        mode: What to fit.

    Raises:
        ValueError: Too few events, no finite estimate, or no slope to estimate; says what to do instead.
    """

    def expected(shift: Floats) -> tuple[Floats, Floats]:
        mean = exposure * np.exp(shift)
        return mean, mean

    events = len(np.unique(patient[event]))
    return _fitted(predictor, expected, event, patient, mode, events)


def fit_response(probability: Floats, label: Bools, patient: NDArray[np.generic], mode: Mode) -> Recalibration:
    """Fit predicted probabilities of response, "N", to the responses of some patients; see `fit_survival`."""
    predictor = transform("logit", probability)

    def expected(shift: Floats) -> tuple[Floats, Floats]:
        mean = inverse("logit", predictor + shift)
        return mean, mean * (1.0 - mean)

    responders = len(np.unique(patient[label]))
    rarer = min(responders, len(np.unique(patient)) - responders)
    return _fitted(predictor, expected, label, patient, mode, rarer)


def recalibrated_survival(survival: Floats, predictor: Floats, fitted: Recalibration) -> Floats:
    """Curves "N Q" after recalibration."""
    with np.errstate(over="ignore"):  # a predictor far from all that was fitted on may ask for certain death
        return np.asarray(survival ** np.exp(fitted.shift(predictor))[:, None])


def recalibrated_probability(probability: Floats, fitted: Recalibration) -> Floats:
    """Probabilities of response, "N", after recalibration."""
    predictor = transform("logit", probability)
    return inverse("logit", predictor + fitted.shift(predictor))


def _fitted(
    predictor: Floats,
    expected: Expectation,
    observed: Bools,
    patient: NDArray[np.generic],
    mode: Mode,
    events: int,
) -> Recalibration:
    if events < FEWEST_EVENTS:
        raise ValueError(
            f"{events} events are too few to recalibrate on, at least {FEWEST_EVENTS} are needed; "
            "raise recalibration_fraction, name more patients in recalibration_ids, or give recalibrate=none"
        )
    centre = float(predictor.mean())
    centred = predictor - centre
    if mode != "intercept" and centred.std() < NO_SPREAD:
        raise ValueError("predictions are the same for all patients, so that they have no slope; use intercept")
    names = ["intercept", "slope"] if mode == "both" else [mode]
    columns = {"intercept": np.ones(len(centred)), "slope": centred}
    design = np.stack([columns[name] for name in names], axis=1)
    estimate, error = _climb(design, expected, observed.astype(np.float64), patient)
    value = {"intercept": 0.0, "slope": 0.0, **dict(zip(names, estimate.tolist(), strict=True))}
    if value["slope"] <= -1.0:
        raise ValueError(
            f"the fitted slope is {1.0 + value['slope']:.2f}: the predictions do not order these patients, which no "
            "recalibration mends; use intercept"
        )
    se: dict[str, float] = dict(zip(names, error.tolist(), strict=True))
    return Recalibration(
        intercept=value["intercept"],
        slope=1.0 + value["slope"],
        intercept_se=se.get("intercept"),
        slope_se=se.get("slope"),
        centre=centre,
        patients=len(np.unique(patient)),
        events=events,
    )


def _climb(
    design: Floats, expected: Expectation, observed: Floats, patient: NDArray[np.generic]
) -> tuple[Floats, Floats]:
    """Newton steps to the maximum likelihood, "P", and robust standard errors there, "P"."""
    current = np.zeros(design.shape[1])
    for _ in range(STEPS):
        mean, variance = expected(design @ current)
        curvature = design.T @ (design * variance[:, None])
        if np.abs(current).max() > LIMIT or np.linalg.cond(curvature) > FLAT:
            break
        step = np.linalg.solve(curvature, design.T @ (observed - mean))
        current = current + np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if np.abs(step).max() < TOLERANCE:
            scores = design * (observed - mean)[:, None]
            cluster = np.unique(patient, return_inverse=True)[1]
            summed = np.zeros((cluster.max() + 1, design.shape[1]))
            np.add.at(summed, cluster, scores)
            bread = np.linalg.inv(curvature)
            return current, np.sqrt(np.diag(bread @ (summed.T @ summed) @ bread))
    raise ValueError(
        "no finite recalibration fits these outcomes (the predictions separate them, or say that nothing can happen); "
        "use intercept, or more patients"
    )
