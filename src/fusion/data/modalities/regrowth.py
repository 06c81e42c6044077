"""What serial ctDNA tells of the clone that treatment does not kill, from a curve that falls and grows again.

A level is read as `a + log((1 - q) exp(-d t) + q exp(g t))` with noise (the regression-growth model of Stein et al.,
Oncologist 13:1046, 2008, with a resistant share q as in Claret et al., J Clin Oncol 27:4103, 2009). One patient's few
samples fix no curve, so none is fitted: the answer is a mean over many curves, each as likely as the samples so far and
the other patients make it. Undetected samples count as lying below their limit.

Dimension key: S samples, K curves, A starting levels, V samples of one patient, C columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

Floats = NDArray[np.float64]

#: Curves: log of the resistant share, of the daily rates of fall and of growth, and of the noise; mean and sd of each.
#: Half of the tumours halve within 5 to 12 days and double within 32 to 82; that is where the data start from.
CURVES: Final = 512
SPREAD: Final = {"share": (-4.0, 2.0), "fall": (-2.4, 0.7), "growth": (-4.3, 0.7), "noise": (-0.9, 0.3)}
#: Starting levels, in sds of those seen in training.
STARTS: Final = np.linspace(-2.5, 2.5, 9)
#: Rounds of expectation and maximisation: enough to move the curves to the cohort, too few to pick single ones.
ROUNDS: Final = 5
#: Patients that the curves are weighed by; more would change nothing.
MOST_PATIENTS: Final = 500
#: Days after the start of treatment for which a level is foretold; fixed, so that all samples tell the same thing.
FORETOLD: Final = (182.0, 365.0)
COLUMNS: Final = tuple(f"expected_day_{day:.0f}" for day in FORETOLD)


@dataclass(frozen=True)
class Regrowth:
    """Curves and how common each is.

    Attributes:
        curves: Log of resistant share, fall per day, growth per day and noise, "K 4".
        weight: Share of each curve in the training part, "K".
        start: Natural logarithms of levels at the start of treatment, "A".
        start_weight: Share of each, "A".
    """

    curves: Floats
    weight: Floats
    start: Floats
    start_weight: Floats

    @classmethod
    def fit(cls, values: Floats, limit: Floats, day: Floats, patient: NDArray[Any]) -> "Regrowth":
        """Weigh the curves by training samples, patient by patient in order of time.

        Args:
            values: Level of each sample, "S"; NaN where blank.
            limit: Below it a level is not known, above zero, "S".
            day: Day of each sample from the start of treatment, "S".
            patient: Patient of each sample, "S".
        """
        known = np.isfinite(values)
        logs = np.log(np.maximum(values, limit)[known])
        centre, spread = (float(logs.mean()), float(logs.std())) if known.any() else (0.0, 1.0)
        start = centre + 1.5 * STARTS * max(spread, 0.1)
        bell = np.exp(-0.5 * STARTS**2)
        fitted = cls(_curves(), np.full(CURVES, 1 / CURVES), start, bell / bell.sum())
        likelihood_NKA = np.array(
            [
                _relative(fitted._logs(values[own], limit[own], day[own]).sum(axis=0))
                for own, _ in zip(_patients(patient), range(MOST_PATIENTS), strict=False)
            ]
        )
        for _ in range(ROUNDS):
            posterior_NKA = likelihood_NKA * fitted.weight[:, None] * fitted.start_weight
            posterior_NKA /= posterior_NKA.sum(axis=(1, 2), keepdims=True)
            weight, start_weight = (posterior_NKA.sum(axis=axis).mean(axis=0) for axis in (2, 1))
            fitted = replace(fitted, weight=_open(weight), start_weight=_open(start_weight))
        return fitted

    def read(self, values: Floats, limit: Floats, day: Floats, patient: NDArray[Any]) -> Floats:
        """Log of the level foretold against that at the start, from the samples of the patient up to each, "S C".

        Arguments as of `fit`.
        """
        told_KC = self._shape(np.array(FORETOLD)).T
        columns_SC = np.zeros((len(values), len(COLUMNS)))
        for own in _patients(patient):
            so_far_VKA = _relative(np.cumsum(self._logs(values[own], limit[own], day[own]), axis=0))
            weight_VK = so_far_VKA @ self.start_weight * self.weight
            columns_SC[own] = weight_VK @ told_KC / weight_VK.sum(axis=1, keepdims=True)
        return columns_SC

    def _shape(self, time: Floats) -> Floats:
        """Log of the level against that at the start, "V K"."""
        share, fall, growth = self.curves[:, :3].T
        killed = np.log1p(-np.exp(share)) - np.exp(fall) * time[:, None]
        return np.logaddexp(killed, share + np.exp(growth) * time[:, None])

    def _logs(self, values: Floats, limit: Floats, day: Floats) -> Floats:
        """Log likelihood of each sample by itself, 0 of a blank, "V K A"."""
        noise = np.exp(self.curves[:, 3])[:, None]
        expected_VKA = self._shape(np.maximum(day, 0.0))[:, :, None] + self.start
        log_VKA = np.zeros_like(expected_VKA)
        for place in np.flatnonzero(np.isfinite(values)):
            value, least = values[place], limit[place]
            away_KA = (np.log(max(value, least)) - expected_VKA[place]) / noise
            log_VKA[place] = log_ndtr(away_KA) if value <= least else -0.5 * away_KA**2 - np.log(noise)
        return log_VKA


def _relative(logs: Floats) -> Floats:
    """Likelihoods in units of the greatest over curves and starts, from their logarithms, "... K A"."""
    return np.exp(logs - logs.max(axis=(-2, -1), keepdims=True))


def _open(shares: Floats) -> Floats:
    """Shares of which none is zero: a patient unlike all others still has a likeliest curve."""
    return 0.99 * shares + 0.01 / len(shares)


def _curves() -> Floats:
    """Curves spread evenly over what is plausible, "K 4"; the same ones in every fit."""
    from scipy.stats import qmc  # takes a second, which who predicts need not wait for

    even = qmc.Sobol(len(SPREAD), seed=0).random(CURVES)
    mean, sd = np.array(list(SPREAD.values())).T
    curves = mean + sd * ndtri(np.clip(even, 1e-6, 1 - 1e-6))
    curves[:, 0] = np.minimum(curves[:, 0], -0.05)  # a share is below one
    return np.asarray(curves, dtype=np.float64)


def _patients(patient: NDArray[Any]) -> Iterator[slice]:
    """Where the samples of each patient lie, one after the other."""
    first = np.flatnonzero(np.r_[True, patient[1:] != patient[:-1]][: len(patient)])
    for begin, end in zip(first, np.r_[first[1:], len(patient)][: len(first)], strict=True):
        yield slice(int(begin), int(end))
