"""Landmark Cox on the mean of the values up to the landmark: what steadier but staler covariates are worth."""

from collections.abc import Sequence

import numpy as np

from fusion.baselines.base import Floats, first_row
from fusion.baselines.landmark import LandmarkCox
from fusion.types import VisitTable


def running_mean(table: VisitTable) -> Floats:
    """Mean of each column over the patient's visits up to each row, "N P"; NaN where nothing was known by then.

    A row of the table holds the last value known, so a value counts once for every visit at which it was the last: a
    tissue assay that was measured once averages to itself, a blood value that was not measured anew counts again.
    """
    known = np.isfinite(table.features)
    total, count = np.where(known, table.features, 0.0), known.astype(np.float64)
    place = np.arange(len(table)) - first_row(table)
    for step in range(1, int(place.max(initial=0)) + 1):
        rows = np.flatnonzero(place == step)
        total[rows] += total[rows - 1]
        count[rows] += count[rows - 1]
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


class LandmarkMean(LandmarkCox):
    """At each landmark, a ridge Cox on the mean of the values known at the visits up to it."""

    name = "landmark_mean"

    def _covariates(self, table: VisitTable) -> tuple[Floats, Sequence[str]]:
        return running_mean(table), table.modality
