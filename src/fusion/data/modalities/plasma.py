"""Circulating tumour DNA and other plasma numbers: tumour fraction on a log scale that knows its limit of detection."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import FittedState, PackedRows
from fusion.data.modalities.regrowth import COLUMNS, Regrowth
from fusion.data.modalities.scaling import Scaling, fit_scaling
from fusion.data.modalities.serial_table import SerialData, SerialTable, by_sample
from fusion.data.tables import read_plasma

#: The analyte that has a limit of detection, and the columns that may hold the limit.
TUMOR_FRACTION = "tumor_fraction"
LIMIT_COLUMNS = ("lod", "ctdna_lod", "tumor_fraction_lod")

#: What counts as undetected where no limit is told and the values are not skewed.
SMALLEST_LIMIT = 1e-4


class Plasma(SerialTable):
    """plasma.csv: numbers per plasma sample.

    Where the limit of detection is told, in a column `lod` or in cohort.yaml (`plasma: {lod: 0.001}`), tumour fraction
    becomes log10(TF + LOD / 2), and a column tells whether it was detected. A sample that was not (column `detected`,
    or a value at or below the limit) counts as zero: the limit that a file shows in its place is no measurement.
    Its details are what `Regrowth` reads from the tumour fractions so far; in a row they stand, standardised, beside
    the other columns of tumour fraction.
    """

    stem = "plasma"
    _regrowth: Regrowth | None = None
    _foretold: tuple[SerialData, pd.DataFrame] | None = None  # of all samples of the table that was last asked about
    _told: Scaling  # of the details

    def load(self, cohort: Cohort) -> SerialData:
        path = self.table_path(cohort)
        settings = cohort.settings.get("plasma") or {}
        table, course = read_plasma(path), self._course(cohort)
        return replace(plasma_data(table, course, settings.get("lod"), path.name), day=self._days(cohort))

    def fit(self, table: SerialData, sample_ids: Sequence[str]) -> None:
        super().fit(table, sample_ids)
        wanted = TUMOR_FRACTION in self._analytes and table.day is not None
        inside = table.course[table.course.index.isin(set(sample_ids))]
        self._regrowth = Regrowth.fit(*self._fractions(table, inside)) if wanted else None
        self._foretold = None
        self._told = fit_scaling(self.detail(table, list(inside.index)).astype(np.float64))

    def transform(self, table: SerialData, sample_ids: Sequence[str]) -> PackedRows:
        frame = self._encode(table, sample_ids)
        frame[list(self.detail_names)] = self._told.standardise(self.detail(table, sample_ids).astype(np.float64))
        return PackedRows.one_each(frame[list(self.feature_names)].to_numpy())

    @property
    def _names(self) -> list[tuple[str, ...]]:
        more = {TUMOR_FRACTION: self.detail_names}
        return [(*names, *more.get(names[0], ())) for names in super()._names]

    @property
    def summary_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.feature_names if name not in self.detail_names)

    def detail(self, table: SerialData, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        if self._regrowth is None:
            return super().detail(table, sample_ids)
        if self._foretold is None or self._foretold[0] is not table:
            told = self._regrowth.read(*self._fractions(table, table.course))
            self._foretold = table, pd.DataFrame(told, index=table.course.index)
        return self._foretold[1].loc[list(sample_ids)].to_numpy(dtype=np.float32)

    @property
    def detail_names(self) -> tuple[str, ...]:
        return () if self._regrowth is None else tuple(f"{TUMOR_FRACTION}:{column}" for column in COLUMNS)

    def _fractions(
        self, table: SerialData, course: "pd.Series[str]"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[Any]]:
        """Tumour fraction, its limit and the day of these samples, and whose they are."""
        ids, analyte = list(course.index), self._analytes[TUMOR_FRACTION]
        columns = (table.values.get(TUMOR_FRACTION), table.limits.get(TUMOR_FRACTION), table.day)
        values, limit, day = (by_sample(column, ids) for column in columns)
        limit = np.where(limit > 0, limit, SMALLEST_LIMIT if analyte.scale == "plain" else analyte.size)
        return np.where(np.isfinite(day), values, np.nan), limit, np.nan_to_num(day), course.to_numpy()

    def state(self) -> FittedState:
        state = super().state()
        curves = {} if self._regrowth is None else vars(self._regrowth)
        return replace(state, arrays={**curves, "told_mean": self._told.mean, "told_sd": self._told.sd})

    def restore(self, state: FittedState) -> None:
        super().restore(state)
        curves = dict(state.arrays)
        self._told = Scaling(mean=curves.pop("told_mean"), sd=curves.pop("told_sd"))
        self._regrowth = Regrowth(**curves) if curves else None
        self._foretold = None


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
