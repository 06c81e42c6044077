"""One covariate in few numbers that hold no single patient, and how far it differs between two cohorts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.modalities.clinical import OLDEST

Floats = NDArray[np.float64]
Json = dict[str, Any]

#: Numbers of fewer patients are not summarised, and classes of fewer are merged.
FEWEST_NUMBERS, FEWEST_IN_CLASS = 20, 5
#: What rare classes, and combinations of modalities, are merged under.
RARE = "(rare)"
#: Percentiles kept; the training range reaches from the first to the last, so that 2 % of its own patients are outside.
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def summarise(column: "pd.Series[Any]") -> Json:
    """Summarise a covariate by what it holds."""
    return summarise_numbers(column) if pd.api.types.is_numeric_dtype(column) else summarise_classes(column)


def summarise_numbers(column: "pd.Series[Any]") -> Json:
    """`kind`, `patients` whose value is known, share `missing`; of at least 20 patients `mean`, `sd`, `quantiles`."""
    values = _numbers(column)
    known = values[np.isfinite(values)]
    summary: Json = {
        "kind": "numeric",
        "patients": len(known),
        "missing": share(len(values) - len(known), len(values)),
    }
    if len(known) >= FEWEST_NUMBERS:
        quantiles = np.quantile(known, np.array(PERCENTILES) / 100)
        summary |= {"mean": rounded(known.mean(), 6), "sd": rounded(known.std(ddof=1), 6)}
        summary["quantiles"] = {str(p): rounded(value) for p, value in zip(PERCENTILES, quantiles, strict=True)}
    return summary


def summarise_classes(column: "pd.Series[Any]") -> Json:
    """`kind`, `patients` whose value is known, share `missing`, `counts` by class."""
    counts = _counts(column)
    known = sum(counts.values())
    missing = share(len(column) - known, len(column))
    return {"kind": "categorical", "patients": known, "missing": missing, "counts": merge_rare(counts)}


def _numbers(column: "pd.Series[Any]") -> Floats:
    """Values as float64, NaN where blank or no number; ages are capped, as the model reads them."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    values = np.where(np.isinf(values), np.nan, values)
    return np.minimum(values, OLDEST) if str(column.name).lower() == "age" else values


def as_text(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Values as text, None where blank; 1.0 reads as "1", as a file with no blanks would have it."""
    texts = [None if pd.isna(v) else f"{v:g}" if isinstance(v, float) else str(v) for v in column.astype(object)]
    return pd.Series(texts, index=column.index, dtype=object)


def _counts(column: "pd.Series[Any]") -> dict[str, int]:
    return {str(name): int(n) for name, n in as_text(column).value_counts(sort=False).items()}


def merge_rare(counts: Mapping[Any, int]) -> dict[str, int]:
    """Counts in order of their names, those of few patients under one name."""
    kept = {str(name): int(counts[name]) for name in sorted(counts, key=str) if counts[name] >= FEWEST_IN_CLASS}
    rare = sum(int(n) for n in counts.values()) - sum(kept.values())
    return kept | ({RARE: rare} if rare else {})


def outside(column: "pd.Series[Any]", before: Json) -> "pd.Series[bool]":
    """Which known values lie outside the range of training."""
    values = _numbers(column)
    low, high = (before["quantiles"][str(each)] for each in (PERCENTILES[0], PERCENTILES[-1]))
    return pd.Series((values < low) | (values > high), index=column.index)


def new_classes(column: "pd.Series[Any]", before: Json) -> dict[str, int]:
    """Patients by class that was rare in training, or absent."""
    return {name: n for name, n in sorted(_counts(column).items()) if name not in before["counts"]}


def difference(before: Json, column: "pd.Series[Any]") -> float | None:
    """Standardised difference of a column to the summary of training; None where it is undefined."""
    if before["kind"] == "numeric":
        return _numeric_difference(before, summarise_numbers(column))
    return _class_difference(before["counts"], _counts(column))


def _numeric_difference(before: Json, now: Json) -> float | None:
    """Difference of means in units of the pooled sd; None where either has too few patients or no spread."""
    if "mean" not in before or "mean" not in now:
        return None
    spread = float(np.sqrt((before["sd"] ** 2 + now["sd"] ** 2) / 2))
    return (now["mean"] - before["mean"]) / spread if spread > 0 else None


def _class_difference(before: Mapping[str, int], now: Mapping[str, int]) -> float | None:
    """Standardised difference of shares over classes (Yang and Dalton 2012), never negative.

    Classes that were rare in training, or absent, count as one. None where a cohort has no known value, and where
    all of one cohort is in a class and all of the other in another: the difference has no bound.

    >>> round(_class_difference({"a": 50, "b": 50}, {"a": 80, "b": 20}), 4)
    0.6626
    """
    frequent = [name for name in before if name != RARE]
    tables = []
    for counts in (before, now):
        listed = [counts.get(name, 0) for name in frequent]
        tables.append(np.array([*listed, sum(counts.values()) - sum(listed)], dtype=np.float64))
    if min(table.sum() for table in tables) == 0:
        return None
    first, second = (table[:-1] / table.sum() for table in tables)  # the last share is what the others leave
    covariance = (np.diag(first) - np.outer(first, first) + np.diag(second) - np.outer(second, second)) / 2
    gap = second - first
    solution = np.linalg.pinv(covariance, hermitian=True) @ gap
    if not np.allclose(covariance @ solution, gap, atol=1e-8):
        return None
    return float(np.sqrt(max(gap @ solution, 0.0)))


def share(part: int, whole: int) -> float:
    """A share, 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0


def rounded(value: float | None, digits: int = 4) -> float | None:
    """To so many significant digits."""
    return None if value is None else float(f"{value:.{digits}g}")
