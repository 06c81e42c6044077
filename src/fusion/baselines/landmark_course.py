"""Landmark Cox on last value, lowest value so far and slope since the first: the course as a statistician writes it."""

from collections.abc import Sequence

import numpy as np

from fusion.baselines.base import Floats, first_row
from fusion.baselines.landmark import LandmarkCox
from fusion.baselines.landmark_last import course_columns
from fusion.types import VisitTable

#: Days that a slope is told for.
SLOPE_DAYS = 21.0


def nadir_and_slope(table: VisitTable, columns: Sequence[int]) -> tuple[Floats, Floats]:
    """Lowest value so far, and least-squares slope per 21 days over the visits so far, "N C" each.

    NaN where nothing was known by then; a slope of zero from a single visit.

    Args:
        table: Last values known at each visit; rows sorted by patient and visit.
        columns: The columns asked for, "C".
    """
    values, place = table.features[:, columns], np.arange(len(table)) - first_row(table)
    lowest, slope = values.copy(), np.where(np.isfinite(values), 0.0, np.nan)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    days = np.where(known, table.day[:, None] / SLOPE_DAYS, 0.0)
    sums = [known.astype(np.float64), days, filled, days * days, days * filled]
    for step in range(1, int(place.max(initial=0)) + 1):
        rows = np.flatnonzero(place == step)
        lowest[rows] = np.fmin(lowest[rows], lowest[rows - 1])
        for total in sums:
            total[rows] += total[rows - 1]
    count, day, value, day_day, day_value = sums
    spread = count * day_day - day**2
    has_slope = spread > 1e-6
    slope[has_slope] = ((count * day_value - day * value) / np.where(has_slope, spread, 1.0))[has_slope]
    return lowest, slope


class LandmarkCourse(LandmarkCox):
    """At each landmark, a ridge Cox on last values, and of serial assays on their nadir and slope as well."""

    name = "landmark_course"

    def _covariates(self, table: VisitTable) -> tuple[Floats, Sequence[str]]:
        course = course_columns(table)
        serial = {table.feature_names[i].rpartition(":")[0] for i, is_course in enumerate(course) if is_course}
        columns = [i for i, name in enumerate(table.feature_names) if name in serial]
        kept = [i for i, is_course in enumerate(course) if not is_course]
        blocks = [table.modality[i] for i in (*kept, *columns, *columns)]
        return np.concatenate([table.features[:, kept], *nadir_and_slope(table, columns)], axis=1), blocks
