"""Binomial regression by Newton steps under many patient weightings at once, for calibration slopes and smooth curves.

Dimension key: W weightings, N patients, P columns of the design.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Link = Literal["logit", "cloglog"]

STEPS = 30
TOLERANCE = 1e-5
#: A trace that keeps every step defined; fits without a finite maximum run into `LIMIT` and end as NaN.
RIDGE = 1e-9
#: Linear predictors beyond this are probabilities of 0 or 1, and coefficients beyond it have no finite maximum.
LIMIT = 30.0


def inverse(link: Link, predictor: Floats) -> Floats:
    """Probability at a linear predictor."""
    bounded = np.clip(predictor, -LIMIT, LIMIT)
    if link == "logit":
        return 1.0 / (1.0 + np.exp(-bounded))
    return -np.expm1(-np.exp(bounded))


def transform(link: Link, probability: Floats) -> Floats:
    """Linear predictor of a probability; 0 and 1 are moved inside by 1e-6, as they have none."""
    inside = np.clip(probability, 1e-6, 1.0 - 1e-6)
    if link == "logit":
        return np.log(inside / (1.0 - inside))
    return np.log(-np.log1p(-inside))


def fit(
    design: Floats,
    case: Floats,
    control: Floats,
    weights: Floats,
    link: Link,
    offset: Floats | None = None,
) -> Floats:
    """Coefficients of every weighting, "W P"; NaN where the likelihood has no finite maximum.

    Args:
        design: "N P".
        case: Weight of each patient as one with the event, "N" (inverse probability of censoring, or 0/1).
        control: Weight of each patient as one without, "N".
        weights: "W N".
        link: `logit`, or `cloglog` for the probability of an event by a horizon.
        offset: Added to the linear predictor, "N".
    """
    base = np.zeros(len(design)) if offset is None else offset
    size, columns = design.shape
    products = np.einsum("np,nq->npq", design, design).reshape(size, columns**2)
    cases, controls = weights * case, weights * control
    possible = (cases.sum(axis=1) > 0) & (controls.sum(axis=1) > 0)
    coefficients = np.full((len(weights), columns), np.nan)

    def climb(rows: Ints, start: Floats) -> None:
        """Newton steps for some weightings at once; those that settle leave the climb."""
        current = np.broadcast_to(start, (len(rows), columns)).copy()
        case_of, control_of = cases[rows], controls[rows]
        for _ in range(STEPS):
            pull, push, bend, sag = _derivatives(link, base + current @ design.T)
            gradient = (case_of * pull - control_of * push) @ design
            curvature = ((case_of * bend + control_of * sag) @ products).reshape(-1, columns, columns)
            curvature += RIDGE * np.eye(columns)
            step = np.clip(np.linalg.solve(curvature, gradient[..., None])[..., 0], -2.0, 2.0)
            current = current + step
            settled = (np.abs(step) < TOLERANCE).all(axis=1)
            bounded = (np.abs(current) < LIMIT).all(axis=1)
            coefficients[rows[settled & bounded]] = current[settled & bounded]
            going = ~settled & bounded
            if not going.any():
                return
            if not going.all():
                rows, current = rows[going], current[going]
                case_of, control_of = case_of[going], control_of[going]

    # Resamples start from the fit of the first weighting, the sample itself, from which they are a few steps away.
    candidates = np.flatnonzero(possible)
    climb(candidates[:1], np.zeros(columns))
    if len(candidates) > 1:
        climb(candidates[1:], np.nan_to_num(coefficients[candidates[0]]))
    return coefficients


def _derivatives(link: Link, predictor: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Slope of the log likelihood of a case, and of a control downwards; then the curvature of either, downwards."""
    if link == "logit":
        chance = inverse(link, predictor)
        spread = chance * (1.0 - chance)
        return 1.0 - chance, chance, spread, spread
    hazard = np.exp(np.clip(predictor, -LIMIT, 5.0))
    pull = hazard / np.expm1(hazard)
    return pull, hazard, pull * (hazard + pull - 1.0), hazard
