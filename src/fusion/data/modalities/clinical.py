"""Baseline covariates of patients.csv, as one sample per patient at the first visit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import FittedState, Modality, PackedRows
from fusion.data.modalities.covariate_columns import covariate_columns
from fusion.data.modalities.scaling import CLIP, fit_scaling

#: Ages above this are held here: few people are older, and they could be recognised.
OLDEST = 90.0

#: A level of fewer training patients than this says nothing that could be learned.
MIN_LEVEL_COUNT = 2


@dataclass(frozen=True)
class NumericColumn:
    """A covariate that is standardised; a blank is the training mean, flagged where training had blanks too."""

    mean: float
    sd: float
    flag_missing: bool

    def columns(self, values: "pd.Series[Any]", name: str) -> dict[str, NDArray[np.float64]]:
        numbers = _numbers(values, name)
        scaled = np.clip((numbers - self.mean) / self.sd, -CLIP, CLIP)
        columns = {name: np.nan_to_num(scaled, nan=0.0)}
        return columns | ({f"{name}:missing": np.isnan(numbers).astype(float)} if self.flag_missing else {})


@dataclass(frozen=True)
class CategoricalColumn:
    """A covariate with one column per training level; a blank or a new level is in none of them."""

    levels: tuple[str, ...]
    flag_missing: bool

    def columns(self, values: "pd.Series[Any]", name: str) -> dict[str, NDArray[np.float64]]:
        text = _text(values)
        columns = {f"{name}={level}": (text == level).astype(float) for level in self.levels}
        return columns | ({f"{name}:missing": (~np.isin(text, self.levels)).astype(float)} if self.flag_missing else {})


Column = NumericColumn | CategoricalColumn


class Clinical(Modality):
    """Baseline covariates: numbers standardised, categories one column per level.

    There is no such assay in samples.csv: a patient of whom any covariate is known has one sample, whose id is the
    patient's, at the first visit.

    Args:
        name: Name in the config.
        columns: Covariates to read; all of patients.csv by default.
        exclude: Covariates to leave out. The site is by default: it says where a patient was treated, not how ill
            they are, and a model that reads it fails at the next hospital.
    """

    def __init__(
        self, name: str = "clinical", columns: Sequence[str] | None = None, exclude: Sequence[str] = ("site",)
    ) -> None:
        super().__init__(name)
        self.columns = None if columns is None else tuple(columns)
        self.exclude = tuple(exclude)
        self._columns: dict[str, Column]

    def sample_ids(self, cohort: Cohort) -> list[str]:
        return list(self.load(cohort).dropna(how="all").index)

    def placement(self, cohort: Cohort) -> pd.DataFrame:
        ids = self.sample_ids(cohort)
        return pd.DataFrame({"sample_id": ids, "patient_id": ids, "visit": np.zeros(len(ids), dtype=np.int64)})

    def load(self, cohort: Cohort) -> pd.DataFrame:
        absent = set(self.columns or ()) - set(cohort.patients.columns)
        if absent:
            raise ValueError(f"{self.name}: patients.csv has no column {', '.join(sorted(absent))}; name others")
        names = cohort.patients.columns if self.columns is None else self.columns
        return cohort.patients[[name for name in names if self.columns is not None or name not in self.exclude]]

    def fit(self, table: pd.DataFrame, sample_ids: Sequence[str]) -> None:
        training = table.loc[self.training_ids(sample_ids)]
        fitted = {name: _fit_column(training[name], name) for name in sorted(table.columns)}
        self._columns = {name: column for name, column in fitted.items() if column is not None}
        if not self._columns:
            raise ValueError(
                f"{self.name}: no covariate of patients.csv differs between training patients; "
                f"take {self.name!r} out of `modality`"
            )

    def _encode(self, table: pd.DataFrame, sample_ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        chosen = table.reindex(columns=list(self._columns)).loc[list(sample_ids)]
        return {k: v for name, column in self._columns.items() for k, v in column.columns(chosen[name], name).items()}

    def transform(self, table: pd.DataFrame, sample_ids: Sequence[str]) -> PackedRows:
        return PackedRows.one_each(np.column_stack(list(self._encode(table, sample_ids).values())))

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(name for names in self._names for name in names)

    @property
    def _names(self) -> list[tuple[str, ...]]:
        """Names of the columns of each covariate."""
        none = pd.Series(dtype=object)
        return [tuple(column.columns(none, name)) for name, column in self._columns.items()]

    @property
    def sizes(self) -> Mapping[str, Any]:
        """As of any vector assay, and which columns are one covariate (`token_of`) and its flag (`missing_of`)."""
        return {**super().sizes, **covariate_columns(self._names)}

    def summarise(self, table: pd.DataFrame, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        return self.transform(table, sample_ids).rows

    @property
    def summary_names(self) -> tuple[str, ...]:
        return self.feature_names

    def missing_features(self, table: pd.DataFrame) -> tuple[str, ...]:
        return tuple(name for name in self._columns if name not in table.columns)

    def state(self) -> FittedState:
        return FittedState(values={"columns": {n: dict(vars(c)) for n, c in self._columns.items()}}, arrays={})

    def restore(self, state: FittedState) -> None:
        self._columns = {name: _restored(column) for name, column in state.values["columns"].items()}


def _fit_column(values: "pd.Series[Any]", name: str) -> Column | None:
    """What a covariate becomes, or None where it is the same for all."""
    flag_missing = bool(values.isna().any())
    if pd.api.types.is_numeric_dtype(values):
        numbers = _numbers(values, name)
        if len(np.unique(numbers[np.isfinite(numbers)])) < 2:
            return None
        scaling = fit_scaling(numbers[:, None], robust=True)
        return NumericColumn(mean=float(scaling.mean[0]), sd=float(scaling.sd[0]), flag_missing=flag_missing)
    text = _text(values)
    levels, counts = np.unique(text[text != ""], return_counts=True)
    if len(levels) < 2:
        return None
    frequent = tuple(str(level) for level in levels[counts >= MIN_LEVEL_COUNT])
    return CategoricalColumn(levels=frequent, flag_missing=flag_missing) if frequent else None


def _restored(column: Mapping[str, Any]) -> Column:
    if "levels" in column:
        return CategoricalColumn(levels=tuple(column["levels"]), flag_missing=column["flag_missing"])
    return NumericColumn(**column)


def _numbers(values: "pd.Series[Any]", name: str) -> NDArray[np.float64]:
    """Values as float64, NaN where blank or infinite."""
    try:
        numbers = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        raise ValueError(
            f"patients.csv: column {name!r} was numeric in training and holds text here; write numbers as in training"
        ) from None
    numbers = np.where(np.isinf(numbers), np.nan, numbers)
    return np.minimum(numbers, OLDEST) if name.lower() == "age" else numbers


def _text(values: "pd.Series[Any]") -> NDArray[Any]:
    """Values as an array of str, "" where blank; 1.0 reads as "1", as a file with no blanks would have it."""
    plain = values.astype(object).where(values.notna(), "")
    return np.array([f"{v:g}" if isinstance(v, float) else str(v) for v in plain], dtype=str)
