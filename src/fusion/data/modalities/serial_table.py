"""What blood assays share: numbers per sample, tamed and standardised in-fold, with their course in the patient."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import FittedState, Modality, PackedRows
from fusion.data.modalities.course import CHANGES, USUAL, Course
from fusion.data.modalities.covariate_columns import covariate_columns
from fusion.data.modalities.scaling import CLIP, bounded, fit_scaling
from fusion.data.modalities.units import conversion_factor
from fusion.data.tables import find_table

Floats = NDArray[np.float64]

#: No analyte bends below this: a value divided by it stays finite.
SMALLEST_BEND = 1e-12

#: An analyte whose training values are skewed beyond this is read on a logarithmic scale.
SKEWED = 1.0


@dataclass(frozen=True)
class SerialData:
    """Values of one assay and the course that each belongs to.

    Attributes:
        values: One row per sample, one column per analyte, float64, NaN where blank.
        course: `patient_id` by sample_id, each patient's samples in the order in which they became known.
        units: Unit of each analyte, where the table tells it.
        limits: Limit of detection by sample, of the analytes that have one; NaN where not told.
        detected: Whether an analyte with a limit was found, by sample; NaN where blank.
        source: Name of the file, for messages.
        day: Day of the draw by sample; NaN where not told.
    """

    values: pd.DataFrame
    course: "pd.Series[str]"
    units: Mapping[str, str]
    source: str
    limits: Mapping[str, "pd.Series[float]"] = field(default_factory=dict)
    detected: Mapping[str, "pd.Series[float]"] = field(default_factory=dict)
    day: "pd.Series[float] | None" = None

    def courses_of(self, sample_ids: Sequence[str]) -> "pd.Series[str]":
        """`course` of the patients of these samples, all of their samples."""
        return self.course[self.course.isin(set(self.course.loc[list(sample_ids)]))]


@dataclass(frozen=True)
class Analyte:
    """How one analyte is read: its scale, and what else is told of it.

    Attributes:
        scale: `plain`; `asinh` (linear below `size`, logarithmic above); `log10` of the value plus half its limit.
        size: For `asinh` the bend; for `log10` the limit of detection where a table does not tell it.
        mean: Training mean on that scale.
        sd: Training sd on that scale.
        unit: Unit in training, "" where not told.
        flag_missing: Whether blanks occurred in training, so that a column tells them.
        flag_detected: Whether both detected and undetected samples occurred in training.
    """

    scale: Literal["plain", "asinh", "log10"]
    size: float
    mean: float
    sd: float
    unit: str
    flag_missing: bool
    flag_detected: bool

    def level(self, values: Floats, limit: Floats) -> Floats:
        """Values in training sds from the training mean, not clipped, NaN where blank."""
        return (_scaled(values, limit, self.scale, self.size) - self.mean) / self.sd

    def log2(self, values: Floats, limit: Floats) -> Floats:
        """Logarithm to base 2, held at the limit of detection or at the bend; NaN where blank or not above zero."""
        if self.scale == "log10":
            return np.log2(10.0) * _scaled(values, limit, self.scale, self.size)
        held = np.maximum(values, self.size) if self.scale == "asinh" else values
        return np.log2(np.where(held > 0, held, np.nan))


def _scaled(values: Floats, limit: Floats, scale: str, size: float) -> Floats:
    if scale == "asinh":
        return np.arcsinh(values / size)
    if scale == "log10":
        return np.log10(np.maximum(values, 0.0) + np.where(limit > 0, limit, size) / 2)
    return values


class SerialTable(Modality):
    """Numbers of a blood sample: level of each analyte, and its change since earlier samples of the same patient.

    Only samples that became known earlier enter the changes, so that a later one changes nothing.

    Args:
        name: Name in the config; the stem of the table by default.
        assay: Value of `modality` in samples.csv; likewise.
        specimen: Only samples of this specimen.
        changes: What to add to the levels, by name; `fusion.data.modalities.course` has them all. Usually the
            differences from the patient's first sample, from the one before, and from the lowest so far.

    Attributes:
        stem: Name of the table without its suffix.
    """

    stem: str

    def __init__(
        self,
        name: str | None = None,
        assay: str | None = None,
        specimen: str | None = None,
        changes: Sequence[str] = USUAL,
    ) -> None:
        super().__init__(name or self.stem, assay or self.stem, specimen)
        unknown = [kind for kind in changes if kind not in CHANGES]
        if unknown:
            raise ValueError(f"{self.name}: no change is called {unknown[0]!r}; name some of {', '.join(CHANGES)}")
        self.changes = tuple(dict.fromkeys(changes))
        self._analytes: dict[str, Analyte]

    @abstractmethod
    def load(self, cohort: Cohort) -> SerialData: ...

    def _changes_of(self, analyte: str) -> tuple[str, ...]:
        """What is added to the level of an analyte."""
        return self.changes

    def table_path(self, cohort: Cohort) -> Path:
        """Where the table of this assay lies; a ValueError if it is not there."""
        path = find_table(cohort.folder, self.stem)
        if path is None:
            raise ValueError(f"{self.name}: {cohort.folder} holds no {self.stem} table; add it, or drop the modality")
        return path

    def sample_ids(self, cohort: Cohort) -> list[str]:
        """Ids of the samples in the order in which they became known, patient by patient."""
        return list(self._course(cohort).index)

    def _course(self, cohort: Cohort) -> "pd.Series[str]":
        samples = cohort.samples_of(self.assay, self.specimen)
        order = samples.rename_axis("sample_id").sort_values(["patient_id", "available_day", "day", "sample_id"])
        return order["patient_id"]

    def _days(self, cohort: Cohort) -> "pd.Series[float]":
        return cohort.samples_of(self.assay, self.specimen)["day"]

    def fit(self, table: SerialData, sample_ids: Sequence[str]) -> None:
        ids = self.training_ids(sample_ids)
        _check_listed(table, ids)
        fitted = {name: self._fit_analyte(table, name, ids) for name in sorted(table.values.columns)}
        self._analytes = {name: analyte for name, analyte in fitted.items() if analyte is not None}
        if not self._analytes:
            raise ValueError(
                f"{self.name}: no column of {table.source} differs between training samples; "
                f"take {self.name!r} out of `modality`"
            )

    def _fit_analyte(self, table: SerialData, name: str, ids: Sequence[str]) -> Analyte | None:
        """How to read an analyte, or None where it is the same in all training samples."""
        values = bounded(table.values.loc[list(ids), name].to_numpy(dtype=np.float64, na_value=np.nan))
        known = np.isfinite(values)
        if len(np.unique(values[known])) < 2:
            return None
        limit = by_sample(table.limits.get(name), ids)
        scale, size = _choose_scale(values[known], limit)
        scaling = fit_scaling(_scaled(values, limit, scale, size)[:, None], robust=True)
        detected = by_sample(table.detected.get(name), ids)
        return Analyte(
            scale=scale,
            size=size,
            mean=float(scaling.mean[0]),
            sd=float(scaling.sd[0]),
            unit=table.units.get(name, ""),
            flag_missing=not bool(known.all()),
            flag_detected=len(np.unique(detected[np.isfinite(detected)])) > 1,
        )

    def _course_of(self, table: SerialData, patient: "pd.Series[str]") -> Course:
        ids, levels, logarithms = list(patient.index), {}, {}
        for name, analyte in self._analytes.items():
            values = by_sample(table.values.get(name), ids)
            here = table.units.get(name, "")
            if here and analyte.unit:
                values = values * conversion_factor(name, here, analyte.unit)
            values, limit = bounded(values), by_sample(table.limits.get(name), ids)
            levels[name], logarithms[name] = analyte.level(values, limit), analyte.log2(values, limit)
        return Course(
            level=pd.DataFrame(levels, index=ids),
            log2=pd.DataFrame(logarithms, index=ids),
            patient=patient.to_numpy(),
            day=by_sample(table.day, ids),
        )

    def _encode(self, table: SerialData, sample_ids: Sequence[str]) -> pd.DataFrame:
        _check_listed(table, sample_ids)
        mine = table.courses_of(sample_ids)
        course = self._course_of(table, mine)
        levels, changes = course.level, {kind: CHANGES[kind](course) for kind in self.changes}
        columns: dict[str, pd.Series[float]] = {}
        for name, analyte in self._analytes.items():
            columns[name] = levels[name]
            columns |= {f"{name}:{kind}": changes[kind][name] for kind in self._changes_of(name)}
            if analyte.flag_detected:
                detected = by_sample(table.detected.get(name), list(mine.index))
                columns[f"{name}:detected"] = pd.Series(detected, index=levels.index)
            if analyte.flag_missing:
                columns[f"{name}:missing"] = levels[name].isna().astype(float)
        return pd.DataFrame(columns).clip(-CLIP, CLIP).fillna(0.0).loc[list(sample_ids)]

    def transform(self, table: SerialData, sample_ids: Sequence[str]) -> PackedRows:
        return PackedRows.one_each(self._encode(table, sample_ids).to_numpy())

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(name for names in self._names for name in names)

    @property
    def _names(self) -> list[tuple[str, ...]]:
        """Names of the columns of each analyte."""
        names = []
        for name, analyte in self._analytes.items():
            flags = {"detected": analyte.flag_detected, "missing": analyte.flag_missing}
            suffixes = [*self._changes_of(name), *(flag for flag, there in flags.items() if there)]
            names.append((name, *(f"{name}:{suffix}" for suffix in suffixes)))
        return names

    @property
    def sizes(self) -> Mapping[str, Any]:
        """As of any vector assay, and which columns are one analyte (`token_of`) and its flag (`missing_of`)."""
        return {**super().sizes, **covariate_columns(self._names)}

    def summarise(self, table: SerialData, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        return self._encode(table, sample_ids).to_numpy(dtype=np.float32)

    @property
    def summary_names(self) -> tuple[str, ...]:
        return self.feature_names

    def missing_features(self, table: SerialData) -> tuple[str, ...]:
        return tuple(name for name in self._analytes if name not in table.values.columns)

    def state(self) -> FittedState:
        return FittedState(values={"analytes": {n: dict(vars(a)) for n, a in self._analytes.items()}}, arrays={})

    def restore(self, state: FittedState) -> None:
        self._analytes = {name: Analyte(**analyte) for name, analyte in state.values["analytes"].items()}


def _check_listed(table: SerialData, sample_ids: Sequence[str]) -> None:
    absent = [sample for sample in sample_ids if sample not in table.values.index]
    if absent:
        raise ValueError(
            f"{table.source}: no row for sample {absent[0]} ({len(absent)} such); "
            "add it, or take the sample out of samples.csv"
        )


def by_sample(column: "pd.Series[Any] | None", ids: Sequence[str]) -> Floats:
    """Values of these samples as float64; NaN where blank or where the table has no such column."""
    if column is None:
        return np.full(len(ids), np.nan)
    return np.array(column.reindex(list(ids)).to_numpy(dtype=np.float64, na_value=np.nan))


def _choose_scale(values: Floats, limit: Floats) -> tuple[Literal["plain", "asinh", "log10"], float]:
    """Scale and its size for the known training values of an analyte."""
    if (limit > 0).any():
        return "log10", float(np.median(limit[limit > 0]))
    centred = values - values.mean()
    spread = np.sqrt(np.square(centred).mean())
    skewness = np.power(centred / spread, 3).mean() if spread > 0 else 0.0
    if values.min() >= 0 and skewness > SKEWED:
        return "asinh", max(float(np.quantile(values[values > 0], 0.1)), SMALLEST_BEND)
    return "plain", 1.0
