"""Standardisation learned in-fold: mean and sd of the known values, a clip against outliers, blanks to neutral."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Standardised values are held within this many standard deviations.
CLIP = 5.0

#: No assay measures beyond this; keeps sums of squares finite whatever a file says.
LARGEST = 1e12


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

    def standardise(self, values: Floats) -> Floats:
        """Standardised values "S G", clipped; 0, the training mean, where blank."""
        scaled = (bounded(values) - self.mean) / self.sd
        return np.nan_to_num(np.clip(scaled, -CLIP, CLIP), nan=0.0)


def bounded(values: Floats) -> Floats:
    """Values "S G" as float64 within `LARGEST`; what is infinite is not a measurement and becomes blank."""
    values = np.asarray(values, dtype=np.float64)
    return np.clip(np.where(np.isinf(values), np.nan, values), -LARGEST, LARGEST)


def moments(values: Floats) -> tuple[Floats, Floats]:
    """Mean and sd of the known values "S G" of every feature; 0 and 0 where none is known."""
    values = bounded(values)
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.where(known, values - mean, 0.0)
    return mean, np.sqrt(np.square(deviation).sum(axis=0) / count)


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
