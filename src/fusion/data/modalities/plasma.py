"""Circulating tumour DNA and other plasma numbers: tumour fraction on a log scale that knows its limit of detection."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fusion.data.cohort import Cohort
from fusion.data.modalities.serial_table import SerialData, SerialTable
from fusion.data.tables import read_plasma

#: The analyte that has a limit of detection, and the columns that may hold the limit.
TUMOR_FRACTION = "tumor_fraction"
LIMIT_COLUMNS = ("lod", "ctdna_lod", "tumor_fraction_lod")


class Plasma(SerialTable):
    """plasma.csv: numbers per plasma sample.

    Where the limit of detection is told, in a column `lod` or in cohort.yaml (`plasma: {lod: 0.001}`), tumour fraction
    becomes log10(TF + LOD / 2), and a column tells whether it was detected. A sample that was not (column `detected`,
    or a value at or below the limit) counts as zero: the limit that a file shows in its place is no measurement.
    """

    stem = "plasma"

    def load(self, cohort: Cohort) -> SerialData:
        path = self.table_path(cohort)
        settings = cohort.settings.get("plasma") or {}
        table, course = read_plasma(path), self._course(cohort)
        return replace(plasma_data(table, course, settings.get("lod"), path.name), day=self._days(cohort))


def plasma_data(
    table: pd.DataFrame, course: "pd.Series[str]", lod: float | None = None, source: str = "plasma.csv"
) -> SerialData:
    """Values, limits and detection of the samples in `course`, from the table as read."""
    table = table.loc[table.index.isin(course.index)]
    limit_column = next((name for name in LIMIT_COLUMNS if name in table), None)
    limit: pd.Series[Any] | None = None
    if limit_column is not None:
        limit = table[limit_column]
    elif lod is not None:
        limit = pd.Series(float(lod), index=table.index)
    values = table.drop(columns=[name for name in LIMIT_COLUMNS if name in table])
    if limit is None or TUMOR_FRACTION not in values:
        return SerialData(values=values, course=course, units={}, source=source)

    fraction = values[TUMOR_FRACTION]
    detected = values["detected"] if "detected" in values else (fraction > limit.fillna(0.0)).astype(float)
    detected = detected.where(fraction.notna(), np.nan)
    values = values.drop(columns="detected", errors="ignore")
    return SerialData(
        values=values.assign(**{TUMOR_FRACTION: fraction.where(detected != 0, 0.0)}),
        course=course,
        units={},
        source=source,
        limits={TUMOR_FRACTION: limit},
        detected={TUMOR_FRACTION: detected},
    )
