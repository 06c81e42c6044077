"""A fitted fold beside the patients that it did not see, ready to be asked why.

Dimension key: B patients, held-out ones first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from fusion.data.cohort import Cohort
from fusion.data.dataset import select_patients
from fusion.explain.pool import Pool, summary_slices
from fusion.training.fold import FittedFold
from fusion.types import PatientBatch


@dataclass(frozen=True)
class FoldView:
    """A fitted fold, its held-out patients and those that it was fitted on.

    Attributes:
        fitted: The fold.
        cohort: The cohort.
        tables: Raw table of every modality.
        held_out: Patients to explain.
        inside: Patients of the training part: donors, and the mean that features are compared with.
        batch: All of them, the held-out ones first.
    """

    fitted: FittedFold
    cohort: Cohort
    tables: Mapping[str, object]
    held_out: tuple[str, ...]
    inside: tuple[str, ...]
    batch: PatientBatch

    @property
    def patients(self) -> Int[Tensor, " B"]:
        """Places of the held-out patients."""
        return torch.arange(len(self.held_out))

    @property
    def donors(self) -> Int[Tensor, " B"]:
        """Places of the training patients."""
        return torch.arange(len(self.held_out), self.batch.num_patients)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the model."""
        return tuple(self.fitted.ensemble.losses)

    @cached_property
    def pool(self) -> Pool:
        """All patients, their samples encoded once."""
        columns = summary_slices(self.fitted.modalities, self.fitted.ensemble.plan.detail)
        return Pool(ensemble=self.fitted.ensemble, batch=self.batch, columns=columns)

    @cached_property
    def held_out_batch(self) -> PatientBatch:
        """The held-out patients alone, with the rows of their samples."""
        return replace(select_patients(self.batch, self.patients), targets={})


def open_view(
    fitted: FittedFold,
    cohort: Cohort,
    tables: Mapping[str, object],
    held_out: Sequence[str],
    inside: Sequence[str],
) -> FoldView:
    """Pack the patients of a fold.

    Args:
        fitted: The fitted fold.
        cohort: The cohort.
        tables: Raw table of every modality.
        held_out: Patients that the fold did not see.
        inside: Patients that it was fitted on.

    Raises:
        ValueError: Nobody is held out.
    """
    if not held_out:
        raise ValueError("this fold holds no patient out; explain a fold that does, or another patient")
    batch = fitted.pack(cohort, tables, (*held_out, *inside))
    fitted.ensemble.eval()
    return FoldView(
        fitted=fitted, cohort=cohort, tables=tables, held_out=tuple(held_out), inside=tuple(inside), batch=batch
    )
