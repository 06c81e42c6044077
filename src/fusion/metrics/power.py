"""How many patients a study needs: power by cohort size from simulated replicates, and where it reaches a target.

Dimension key: K sizes of a cohort.

A replicate is one study as it might have been: it gives the gain in C-index from an assay, with a 95 % interval. Power
is the share of replicates whose interval lies above zero. Whether the gain is worth having is another question, and
answered apart: at which size the mean gain reaches the wanted one. Power rises with size; the gain need not: more
patients teach the model that lacks the assay, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from fusion.metrics.coverage import wilson

Floats = NDArray[np.float64]
Where = Literal["reached", "smallest", "beyond"]

#: Columns of a table of replicates that `power_table` reads.
COLUMNS = ("day", "patients", "difference", "low")


@dataclass(frozen=True)
class Crossing:
    """Where a curve over sizes reaches a level.

    Attributes:
        where: `reached` between two sizes; `smallest`: at the smallest size already; `beyond`: at none of the sizes.
        patients: The size, rounded up; the smallest size where it is reached there; None beyond the largest.
    """

    where: Where
    patients: int | None


@dataclass(frozen=True)
class Needed:
    """What a study has to be for one prediction day.

    Attributes:
        day: Day of the prediction.
        power: Size from which on the gain is told from none with the wanted power.
        low: The same by the upper limits of the power: as few might do.
        high: The same by its lower limits: as many might be needed.
        gain: Smallest size at which the mean gain reaches the wanted one.
        both: Smallest size that has the power, and at which the mean gain is the wanted one.
    """

    day: float
    power: Crossing
    low: Crossing
    high: Crossing
    gain: Crossing
    both: Crossing


def power_table(replicates: pd.DataFrame, add: float) -> pd.DataFrame:
    """Power and gain for every day and size, a row each, sorted.

    Args:
        replicates: A row per day and replicate: `day`, `patients` (enrolled), `difference` (gain in C-index), `low`
            (lower limit of its 95 % interval, NaN where undefined: such a study shows nothing), and any other numbers
            (`at_risk`, `events`, `without`, `with`), of which the mean is given.
        add: Gain that is wanted.

    Returns:
        `day`, `patients`, `replicates`; `power` with Wilson's 95 % interval `power_low`, `power_high`; mean
        `difference` with `difference_low`, `difference_high` (of the mean, not of one study); `share_add`, the share
        of studies whose estimate is `add` or more; and the means of the other numbers.

    >>> made = pd.DataFrame({"day": 0.0, "patients": 100, "difference": [0.02, 0.04], "low": [-0.01, 0.01]})
    >>> power_table(made, add=0.03)[["replicates", "power", "difference", "share_add"]].to_dict("records")
    [{'replicates': 2, 'power': 0.5, 'difference': 0.03, 'share_add': 0.5}]
    """
    if missing := [name for name in COLUMNS if name not in replicates]:
        raise ValueError(f"the replicates have no column {', '.join(missing)}; they need {', '.join(COLUMNS)}")
    others = [name for name in replicates.columns if name not in (*COLUMNS, "high", "replicate")]
    rows = []
    for (day, patients), group in replicates.groupby(["day", "patients"], sort=True):
        shown = float((group["low"] > 0).mean())
        gain = group["difference"].dropna().to_numpy(dtype=np.float64)
        mean = float(gain.mean()) if len(gain) else float("nan")
        half = 1.96 * float(gain.std(ddof=1)) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
        low, high = wilson(shown, len(group))
        row: dict[str, Any] = {"day": float(day), "patients": int(patients), "replicates": len(group)}
        row |= {"power": shown, "power_low": low, "power_high": high}
        row |= {"difference": mean, "difference_low": mean - half, "difference_high": mean + half}
        row |= {"share_add": float((group["difference"] >= add).mean())}
        rows.append(row | {name: float(group[name].mean()) for name in others})
    return pd.DataFrame(rows)


def rising(values: Sequence[float] | Floats, weights: Sequence[float] | Floats | None = None) -> Floats:
    """The non-decreasing curve nearest to `values`, "K" (isotonic regression): more patients never tell less.

    >>> rising([0.1, 0.5, 0.3, 0.9]).tolist()
    [0.1, 0.4, 0.4, 0.9]
    """
    place = np.arange(len(values))
    fitted = IsotonicRegression().fit_transform(place, np.asarray(values, dtype=np.float64), sample_weight=weights)
    return np.asarray(fitted, dtype=np.float64)


def crossing(
    sizes: Sequence[int] | NDArray[np.int64], values: Sequence[float] | Floats, level: float, start: int = 0
) -> Crossing:
    """Smallest size from `start` on at which `values` reach `level`, read on straight lines in log size.

    Args:
        sizes: Patients, increasing, "K".
        values: Of each size, "K"; those that are not finite are left out.
        level: To be reached.
        start: Smaller sizes do not count.

    >>> crossing([100, 200, 400], [0.3, 0.7, 0.9], level=0.8)
    Crossing(where='reached', patients=283)
    >>> crossing([100, 200], [0.3, 0.7], level=0.8)
    Crossing(where='beyond', patients=None)
    """
    places, heights = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if np.any(np.diff(places) <= 0):
        raise ValueError("sizes must increase; sort them and leave repeats out")
    known = np.isfinite(heights)
    places, heights = places[known], heights[known]
    if len(places) and places[0] < start <= places[-1]:  # the curve begins at `start`
        at_start = np.interp(np.log(start), np.log(places), heights)
        later = places > start
        places, heights = np.append(float(start), places[later]), np.append(at_start, heights[later])
    reached = np.flatnonzero((heights >= level - 1e-12) & (places >= start))
    if not len(reached):
        return Crossing("beyond", None)
    first = int(reached[0])
    if first == 0:
        return Crossing("reached" if start and places[0] == start else "smallest", int(places[0]))
    share = (level - heights[first - 1]) / (heights[first] - heights[first - 1])
    log_size = np.log(places[first - 1]) + share * (np.log(places[first]) - np.log(places[first - 1]))
    return Crossing("reached", int(np.ceil(np.exp(log_size) - 1e-6)))


def needed_patients(table: pd.DataFrame, power: float, add: float) -> list[Needed]:
    """Sizes that a study needs, for every day of a `power_table`.

    Raises:
        ValueError: `power` is not between 0 and 1.
    """
    if not 0.0 < power < 1.0:
        raise ValueError(f"power={power:g} is no share to aim at; choose one between 0 and 1, such as 0.8")
    found = []
    for day, rows in table.groupby("day", sort=True):
        sizes, weights = rows["patients"].to_numpy(), rows["replicates"].to_numpy(dtype=np.float64)
        reaches = {
            name: crossing(sizes, rising(rows[column].to_numpy(dtype=np.float64), weights), power)
            for name, column in (("power", "power"), ("low", "power_high"), ("high", "power_low"))
        }
        gains = rows["difference"].to_numpy(dtype=np.float64)
        shown = reaches["power"].patients
        both = Crossing("beyond", None) if shown is None else crossing(sizes, gains, add, start=shown)
        found.append(Needed(day=float(day), **reaches, gain=crossing(sizes, gains, add), both=both))
    return found
