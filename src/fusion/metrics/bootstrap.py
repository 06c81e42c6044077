"""Patient-level bootstrap: one set of weights for all models and repeats, intervals, paired differences.

Dimension key: W weightings (the first one is the sample itself, the others are resamples), N patients.

A resample draws patients, never visits. Its weights are the same for every model, every repeat of cross-validation,
and every landmark, so that differences between them are paired. With repeats, a statistic is computed from the
out-of-fold predictions of each repeat and then averaged: an interval speaks of patients, not of how folds fell.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.int16]
Ints = NDArray[np.int64]
Figure = dict[str, float | str | None]
Statistics = Mapping[str, Floats]

#: Below this, a figure is marked as no fact.
FEW_EVENTS = 10
#: An interval is given only where nearly all resamples have a value.
DEFINED = 0.9
#: Weights are taken so many at a time, patients times weightings: what fits a processor's cache is a third faster.
CHUNK, FEWEST_WEIGHTINGS = 100_000, 100


def patient_weights(num_patients: int, resamples: int, seed: int) -> Weights:
    """Times each patient is drawn, "W N": a first row of ones for the sample itself, then `resamples` draws."""
    generator = np.random.default_rng(seed)
    chance = np.full(num_patients, 1.0 / max(num_patients, 1))
    drawn = generator.multinomial(num_patients, chance, size=resamples)
    return np.concatenate([np.ones((1, num_patients), dtype=np.int16), drawn.astype(np.int16)])


def replicate(statistic: Callable[[Floats], Statistics], weights: Weights, patients: Ints) -> dict[str, Floats]:
    """Evaluate `statistic`, which maps weights "w n" of the scored `patients` to values "w", under all weightings."""
    rows = max(FEWEST_WEIGHTINGS, CHUNK // max(len(patients), 1))
    chunks = [
        statistic(weights[start : start + rows, patients].astype(np.float64)) for start in range(0, len(weights), rows)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def average(repeats: Sequence[Statistics]) -> dict[str, Floats]:
    """Mean over repeats of cross-validation; undefined where it is undefined in any of them."""
    return {name: np.mean([repeat[name] for repeat in repeats], axis=0) for name in repeats[0]}


def _percentiles(resampled: Floats) -> tuple[float | None, float | None]:
    defined = resampled[np.isfinite(resampled)]
    if len(defined) == 0 or len(defined) < DEFINED * len(resampled):
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def figure(values: Floats, events: int) -> Figure:
    """Value with a percentile 95 % interval from `values`, "W"; null with a note where undefined, never zero.

    Args:
        values: The statistic under every weighting, the sample itself first.
        events: How many events (or patients of the rarer class) stand behind it.
    """
    low, high = _percentiles(values[1:])
    if not np.isfinite(values[0]):
        return {"value": None, "low": None, "high": None, "note": "undefined"}
    result: Figure = {"value": float(values[0]), "low": low, "high": high}
    if events < FEW_EVENTS:
        result["note"] = "too few events"
    elif low is None and len(values) > 1:
        result["note"] = "undefined in many resamples"
    return result


def difference(first: Floats, second: Floats, events: int) -> Figure:
    """`first` minus `second` under the same weightings, with interval and two-sided bootstrap p."""
    both = np.isfinite(first) & np.isfinite(second)
    values = np.subtract(first, second, out=np.full(len(first), np.nan), where=both)
    result = figure(values, events)
    resampled = values[1:][np.isfinite(values[1:])]
    if result["low"] is None:
        return {**result, "p": None}
    tail = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    return {**result, "p": min(1.0, 2.0 * (tail + 1) / (len(resampled) + 1))}
