"""The contract of a plain baseline: it sees one table of last known values and predicts at every visit of it.

N rows of a `VisitTable`, Q prediction times.
"""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusion.types import VisitTable

Floats = NDArray[np.float64]
Fitted = TypeVar("Fitted", bound="Baseline")


@dataclass(frozen=True)
class SurvivalEstimate:
    """What a survival baseline predicts at every row.

    Attributes:
        risk: Higher is worse, "N".
        survival: Probability of no event by each time after the visit, "N Q".
    """

    risk: Floats
    survival: Floats


@dataclass(frozen=True)
class ResponseEstimate:
    """Probability of nonresponder and responder at every row, "N 2"."""

    probability: Floats


BaselinePrediction = SurvivalEstimate | ResponseEstimate


class Baseline(ABC):
    """One plain model behind which nobody should have to look.

    Attributes:
        name: Value of `model` in baselines.parquet.
    """

    name: str

    @abstractmethod
    def applies(self, train: VisitTable, task: str) -> bool:
        """Whether the task is of its kind and the table has the columns that it needs."""

    @abstractmethod
    def fit(self: Fitted, train: VisitTable, task: str) -> Fitted:
        """Learn from the training part, tuning included."""

    def settled(self: Fitted) -> Fitted:
        """A twin to be fitted to other rows with what this one tuned; unless a model says otherwise, it tunes anew."""
        return copy.copy(self)

    @abstractmethod
    def predict(self, table: VisitTable, times: Floats) -> BaselinePrediction:
        """Predict at every row; `table` holds all visits of its patients, from the first on."""


def first_row(table: VisitTable) -> NDArray[np.int64]:
    """Index of the first visit of each row's patient."""
    _, first, place = np.unique(table.patient_ids, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def elapsed_days(table: VisitTable) -> Floats:
    """Days from the patient's first visit."""
    return table.day - table.day[first_row(table)]


def clinical_columns(table: VisitTable) -> list[int]:
    """Columns of the clinical modality."""
    return [i for i, modality in enumerate(table.modality) if modality == "clinical"]


def stage_columns(table: VisitTable) -> list[int]:
    """Columns of the stage, however it is coded."""
    return [i for i, name in enumerate(table.feature_names) if name.startswith("clinical:stage")]


def all_columns(table: VisitTable) -> list[int]:
    """Every column."""
    return list(range(len(table.modality)))
