"""Standardisation learned in-fold: mean and sd of the known values, a clip against outliers, blanks to neutral."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Standardised values are held within this many standard deviations.
CLIP = 5.0

#: No assay measures beyond this; keeps sums of squares finite whatever a file says.
LARGEST = 1e12

#: Values worked on at a time: what takes several passes stays in the cache, and 450,000 CpGs take no second table.
BLOCK = 500_000


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of every feature; a constant feature has sd 1.

    >>> scaling = fit_scaling(np.array([[1.0, 5.0], [3.0, np.nan]]))
    >>> scaling.standardise(np.array([[4.0, np.nan], [99.0, 5.0]]))
    array([[2., 0.],
           [5., 0.]])
    """

    mean: Floats  # "G"
    sd: Floats  # "G"

    def standardise(self, values: Floats, out: Floats | None = None) -> Floats:
        """Standardised values "S G", clipped; 0, the training mean, where blank.

        Args:
            values: Values, NaN where blank.
            out: Where to write, which may be `values` themselves; a new array by default.
        """
        result = np.empty(np.shape(values)) if out is None else out
        for rows in blocks(len(values), width=len(self.mean)):
            scaled = bounded(values[rows])
            scaled -= self.mean
            scaled /= self.sd
            np.clip(scaled, -CLIP, CLIP, out=scaled)
            result[rows] = np.nan_to_num(scaled, copy=False, nan=0.0)
        return result


def blocks(length: int, width: int) -> Iterator[slice]:
    """Slices of `length` items of `width` values each, about `BLOCK` values to a slice.

    >>> list(blocks(5, width=200_000))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
    """
    step = max(1, BLOCK // max(width, 1))
    return (slice(start, start + step) for start in range(0, length, step))


def bounded(values: Floats) -> Floats:
    """A copy of values "S G" as float64 within `LARGEST`; what is infinite is not a measurement and becomes blank."""
    values = np.array(values, dtype=np.float64)
    values[np.isinf(values)] = np.nan
    return np.clip(values, -LARGEST, LARGEST, out=values)


def moments(values: Floats) -> tuple[Floats, Floats]:
    """Mean and sd of the known values "S G" of every feature; 0 and 0 where none is known."""
    mean, sd = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for columns in blocks(values.shape[1], width=len(values)):
        mean[columns], sd[columns] = _moments(bounded(values[:, columns]))
    return mean, sd


def _moments(values: Floats) -> tuple[Floats, Floats]:
    blank = np.isnan(values)
    count = np.maximum(len(values) - blank.sum(axis=0), 1)
    values[blank] = 0.0
    mean = values.sum(axis=0) / count
    values -= mean
    values[blank] = 0.0
    return mean, np.sqrt(np.square(values, out=values).sum(axis=0) / count)


def fit_scaling(values: Floats, robust: bool = False) -> Scaling:
    """Mean and sd of the known values "S G" of every feature.

    Args:
        values: Training values, NaN where blank. A feature with no value gets mean 0 and sd 1.
        robust: Pull the outermost hundredth on each side in first, so that one wild value does not set the sd.
    """
    mean, sd = moments(_winsorised(bounded(values)) if robust else values)
    # Rounding leaves a constant feature with a tiny sd, by which its noise must not be divided.
    varies = sd > 1e-9 * np.maximum(np.abs(mean), 1e-3)
    return Scaling(mean=mean, sd=np.where(varies, sd, 1.0))


def _winsorised(values: Floats) -> Floats:
    result = values.copy()
    for column in range(values.shape[1]):
        known = values[np.isfinite(values[:, column]), column]
        if len(known):
            low, high = np.quantile(known, [0.01, 0.99])
            if high > low:
                result[:, column] = np.clip(values[:, column], low, high)
    return result
