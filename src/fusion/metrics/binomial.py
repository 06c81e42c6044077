"""Binomial regression by Newton steps under many patient weightings at once, for calibration slopes and smooth curves.

Dimension key: W weightings, N patients, P columns of the design.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Link = Literal["logit", "cloglog"]

STEPS = 30
TOLERANCE = 1e-5
#: Steps converge quadratically, so that after one of this size about its square is left: far below what a quantile of
#: resamples can tell.
TOLERANCE_OF_RESAMPLES = 1e-3
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
    columns = design.shape[1]
    sides = []
    for share, slopes in zip((case, control), _SLOPES[link], strict=True):
        rows = np.flatnonzero(share)
        sides.append(_Side(design[rows], base[rows], weights[:, rows] * share[rows], slopes))
    possible = np.logical_and(*(side.weights.sum(axis=1) > 0 for side in sides))
    coefficients = np.full((len(weights), columns), np.nan)

    def climb(rows: Ints, start: Floats, tolerance: float) -> None:
        """Newton steps for some weightings at once; those that settle leave the climb."""
        current = start[None]  # one row for all: the first step asks for one set of derivatives
        going = [side.weights[rows] for side in sides]
        for _ in range(STEPS):
            (pull, bend), (push, sag) = (
                side.derivatives(current, mine) for side, mine in zip(sides, going, strict=True)
            )
            curvature = (bend + sag).reshape(-1, columns, columns) + RIDGE * np.eye(columns)
            step = np.clip(np.linalg.solve(curvature, (pull - push)[..., None])[..., 0], -2.0, 2.0)
            current = current + step
            settled = (np.abs(step) < tolerance).all(axis=1)
            bounded = (np.abs(current) < LIMIT).all(axis=1)
            coefficients[rows[settled & bounded]] = current[settled & bounded]
            on = ~settled & bounded
            if not on.any():
                return
            if not on.all():
                rows, current, going = rows[on], current[on], [mine[on] for mine in going]

    # Resamples start from the fit of the first weighting, the sample itself, from which they are a few steps away.
    candidates = np.flatnonzero(possible)
    climb(candidates[:1], np.zeros(columns), TOLERANCE)
    if len(candidates) > 1:
        climb(candidates[1:], np.nan_to_num(coefficients[candidates[0]]), TOLERANCE_OF_RESAMPLES)
    return coefficients


Slopes = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class _Side:
    """Those who count as cases, or as controls: few are both, and the slopes of the one are of no use to the other.

    Attributes:
        design: "n P".
        base: Offset of each, "n".
        weights: "W n".
        slopes: Of the log likelihood and, downwards, of its slope, at a linear predictor.
    """

    design: Floats
    base: Floats
    weights: Floats
    slopes: Slopes

    def derivatives(self, coefficients: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """Gradient "w P" and curvature "w P*P" of some weightings."""
        slope, bend = self.slopes(self.base + coefficients @ self.design.T)
        return (weights * slope) @ self.design, (weights * bend) @ self.products

    @cached_property
    def products(self) -> Floats:
        """Products of every two columns, "n P*P"; the same at each step."""
        size, columns = self.design.shape
        return np.einsum("np,nq->npq", self.design, self.design).reshape(size, columns**2)


def _logit_case(predictor: Floats) -> tuple[Floats, Floats]:
    chance = inverse("logit", predictor)
    return 1.0 - chance, chance * (1.0 - chance)


def _logit_control(predictor: Floats) -> tuple[Floats, Floats]:
    chance = inverse("logit", predictor)
    return chance, chance * (1.0 - chance)


def _cloglog_case(predictor: Floats) -> tuple[Floats, Floats]:
    hazard = np.exp(np.clip(predictor, -LIMIT, 5.0))
    pull = hazard / np.expm1(hazard)
    return pull, pull * (hazard + pull - 1.0)


def _cloglog_control(predictor: Floats) -> tuple[Floats, Floats]:
    hazard = np.exp(np.clip(predictor, -LIMIT, 5.0))
    return hazard, hazard


#: Slopes of a case and, downwards, of a control.
_SLOPES: dict[Link, tuple[Slopes, Slopes]] = {
    "logit": (_logit_case, _logit_control),
    "cloglog": (_cloglog_case, _cloglog_control),
}
