"""Landmark Cox on the last values alone, without the course that led to them: the plainest dynamic model."""

from collections.abc import Sequence

import numpy as np

from fusion.baselines.base import Floats
from fusion.baselines.landmark import LandmarkCox
from fusion.types import VisitTable


def course_columns(table: VisitTable) -> list[bool]:
    """Whether each column tells the course of a value and not the value: `plasma:mean_vaf:change_first`."""
    stems = set(table.feature_names)
    parts = [name.rpartition(":") for name in table.feature_names]
    return [stem.count(":") > 0 and stem in stems and kind not in ("missing", "detected") for stem, _, kind in parts]


class LandmarkLast(LandmarkCox):
    """At each landmark, a ridge Cox on the last value known of each column that is no change over time."""

    name = "landmark_last"

    def _covariates(self, table: VisitTable) -> tuple[Floats, Sequence[str]]:
        kept = ~np.array(course_columns(table), dtype=np.bool_)
        return table.features[:, kept], [name for name, keep in zip(table.modality, kept, strict=True) if keep]
