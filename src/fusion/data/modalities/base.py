"""The contract of a modality: read raw files once, fit on training samples only, turn samples into packed rows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort


@dataclass(frozen=True)
class PackedRows:
    """Rows of some samples laid end to end; sample s holds rows `offsets[s]:offsets[s + 1]`."""

    rows: NDArray[np.float32]  # "R F"
    offsets: NDArray[np.int64]  # "S+1"

    @classmethod
    def one_each(cls, rows: NDArray[np.floating[Any]]) -> "PackedRows":
        """One row per sample: what a vector assay packs."""
        return cls(rows=rows.astype(np.float32), offsets=np.arange(len(rows) + 1, dtype=np.int64))


@dataclass(frozen=True)
class FittedState:
    """What an in-fold fit learned: plain JSON values and named arrays, never a pickle."""

    values: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


class Modality(ABC):
    """One assay of a cohort: its reader, its in-fold preprocessing, and the rows that its encoder sees.

    The life of an object: `load(cohort)` gives the raw table (once per cohort); `fit(table, sample_ids)` learns from
    the training samples; `transform(table, sample_ids)` gives rows, for any table of the same assay, whose features
    may be in another order, more, or fewer. `state` and `restore` carry the fit between processes.

    Attributes:
        name: Name in the config, unique in a run (`plasma_methylation`).
        assay: The value of `modality` in samples.csv that it reads (`methylation`).
        specimen: Only samples of this specimen (`plasma`), or None for all.
        is_set: A sample is a set of rows, so that two samples of one visit are laid together; of two vectors the
            later one counts.
    """

    is_set = False

    def __init__(self, name: str, assay: str | None = None, specimen: str | None = None) -> None:
        self.name = name
        self.assay = assay or name
        self.specimen = specimen

    def sample_ids(self, cohort: Cohort) -> list[str]:
        """Ids of the samples that this modality reads, in the order of `cohort.samples`."""
        return list(cohort.samples_of(self.assay, self.specimen).index)

    def placement(self, cohort: Cohort) -> pd.DataFrame:
        """Where each sample belongs: `sample_id`, `patient_id`, `visit`, in the order of `sample_ids`."""
        samples = cohort.samples.loc[self.sample_ids(cohort), ["patient_id", "visit"]]
        return samples.rename_axis("sample_id").reset_index()

    def training_ids(self, sample_ids: Sequence[str]) -> list[str]:
        """The samples to fit on, in an order of their own so that the fit does not depend on the caller's."""
        if not sample_ids:
            raise ValueError(
                f"{self.name}: no patient of this training part has a sample; "
                f"take {self.name!r} out of `modality`, or use fewer folds"
            )
        return sorted(sample_ids)

    @abstractmethod
    def load(self, cohort: Cohort) -> Any:
        """Read the raw table of this assay from the cohort folder (a type private to the modality)."""

    @abstractmethod
    def fit(self, table: Any, sample_ids: Sequence[str]) -> None:
        """Learn vocabulary, scaling and feature choice from these samples and no others."""

    @abstractmethod
    def transform(self, table: Any, sample_ids: Sequence[str]) -> PackedRows:
        """Rows of these samples, in this order, `num_features` wide, finite float32."""

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """Name of every column of a row, known after `fit`."""

    @property
    def num_features(self) -> int:
        """Width of a row, known after `fit`."""
        return len(self.feature_names)

    @property
    def sizes(self) -> Mapping[str, Any]:
        """Keyword arguments that an encoder of these rows is built with, known after `fit`."""
        return {"num_features": self.num_features}

    @abstractmethod
    def summarise(self, table: Any, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        """One fixed vector per sample, "S G": what the plain baselines see of this assay."""

    @property
    @abstractmethod
    def summary_names(self) -> tuple[str, ...]:
        """Name of every column of `summarise`, known after `fit`."""

    def detail(self, table: Any, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        """More than a mean tells, "S H": what the plain models inside an answer see beside the summary; none here.

        The plain models that the answer is compared with see the summary alone.
        """
        return np.zeros((len(sample_ids), 0), dtype=np.float32)

    @property
    def detail_names(self) -> tuple[str, ...]:
        """Name of every column of `detail`, known after `fit`."""
        return ()

    @abstractmethod
    def missing_features(self, table: Any) -> tuple[str, ...]:
        """Features that the fit knows and this table lacks: reported when a model meets another cohort."""

    @abstractmethod
    def state(self) -> FittedState:
        """What `fit` learned."""

    @abstractmethod
    def restore(self, state: FittedState) -> None:
        """Take over what another object's `fit` learned."""
