"""Landmark Cox on the visits alone: what their number and spacing give away by themselves."""

from collections.abc import Sequence

import numpy as np

from fusion.baselines.base import Floats, elapsed_days, first_row
from fusion.baselines.landmark import LandmarkCox
from fusion.types import VisitTable


def visit_process(table: VisitTable) -> Floats:
    """Visits before each row, days since the one before, mean days between visits so far, "N 3".

    The first visit has no gap (NaN). Only what lies behind is counted: the gap to the next visit would tell the future.
    """
    first, elapsed = first_row(table), elapsed_days(table)
    before = np.arange(len(table)) - first
    later = before > 0
    gap, mean_gap = np.full(len(table), np.nan), np.full(len(table), np.nan)
    gap[later] = elapsed[later] - elapsed[np.flatnonzero(later) - 1]
    mean_gap[later] = elapsed[later] / before[later]
    return np.column_stack([before, gap, mean_gap])


class LandmarkVisits(LandmarkCox):
    """At each landmark, a ridge Cox on the number and spacing of the visits up to it, and no measured value.

    How often a patient is seen depends on how the patient fares. A model that reads visit times may owe part of its
    score to that, and this one shows how much there is to owe.
    """

    name = "landmark_visits"

    def _covariates(self, table: VisitTable) -> tuple[Floats, Sequence[str]]:
        return visit_process(table), ("visits",) * 3

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort with more than one visit."""
        return task in train.outcomes and bool((train.visit > 0).any())
