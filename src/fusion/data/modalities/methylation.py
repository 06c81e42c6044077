"""DNA methylation: beta to M-value with regard to coverage, variable regions, standardised, principal components."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusion.data.modalities.base import FittedState
from fusion.data.modalities.components import Components
from fusion.data.modalities.matrix import Floats, MatrixModality, MatrixTable, ValuesOf, extended
from fusion.data.modalities.region_groups import read_region_groups, region_groups
from fusion.data.modalities.scaling import moments
from fusion.data.modalities.varimax import rotated

#: Reads that the training mean counts for when a coverage table says how few lie behind a beta.
PRIOR_READS = 4.0

#: Beta is held inside these before the logit, as one read more or less must not move it without end.
BETA_RANGE = (0.01, 0.99)


class Methylation(MatrixModality):
    """Methylation of regions or CpGs, of tissue or of plasma DNA (`specimen`).

    Beta becomes M = log2(beta / (1 - beta)). Where `methylation_coverage.*` lies beside the table, a beta with few
    reads behind it is first drawn towards the region's training mean. A blank is the training mean in M space.

    Args:
        name: Name in the config; unique, as tissue and plasma may both be in a run.
        assay: Value of `modality` in samples.csv.
        specimen: Only samples of this specimen.
        num_regions: Most variable regions kept.
        components: Principal components given to the network, or None for the regions themselves.
        summary_components: Principal components given to the plain baselines.
        max_missing: Regions blank in a larger share of training samples are left out.
        center_batches: Subtract each training batch's own mean.
        rotate: Turn the components by varimax, for encoders that bend each of them.
        groups: GMT, JSON or table file of groups of regions, told to the encoder where `components` is None; without
            it a region named by its place is grouped with its chromosome, a numbered one with its class.
    """

    def __init__(
        self,
        name: str = "methylation",
        assay: str = "methylation",
        specimen: str | None = None,
        num_regions: int = 1000,
        components: int | None = 8,
        summary_components: int = 8,
        max_missing: float = 0.3,
        center_batches: bool = False,
        rotate: bool = False,
        groups: str | None = None,
    ) -> None:
        super().__init__(
            name=name,
            assay=assay,
            specimen=specimen,
            num_selected=num_regions,
            components=components,
            summary_components=summary_components,
            max_missing=max_missing,
            center_batches=center_batches,
        )
        self.rotate = rotate
        self.groups = groups
        self._groups: dict[str, tuple[int, ...]]
        self._prior: dict[str, float]  # mean training beta of each region

    def _fit_model_space(self, table: MatrixTable, sample_ids: Sequence[str], features: Sequence[str]) -> ValuesOf:
        def values_of(some: Sequence[str]) -> Floats:
            prior = moments(table.take(sample_ids, some))[0]
            return self._in_model_space(table, sample_ids, some, prior)

        return values_of

    def _model_space(self, table: MatrixTable, sample_ids: Sequence[str]) -> ValuesOf:
        def values_of(some: Sequence[str]) -> Floats:
            prior = np.array([self._prior[feature] for feature in some])
            return self._in_model_space(table, sample_ids, some, prior)

        return values_of

    def _in_model_space(
        self, table: MatrixTable, sample_ids: Sequence[str], features: Sequence[str], prior: Floats
    ) -> Floats:
        """Values "S G" in model space, given the mean training beta of each region."""
        beta = table.take(sample_ids, features)
        return m_values(_shrunken(beta, table.take_coverage(sample_ids, features), prior))

    def fit(self, table: MatrixTable, sample_ids: Sequence[str]) -> None:
        super().fit(table, sample_ids)
        prior = moments(table.take(self.training_ids(sample_ids), self.features))[0]
        self._prior = dict(zip(self.features, prior.tolist(), strict=True))
        self._groups = region_groups(self.features, read_region_groups(Path(self.groups)) if self.groups else None)

    def _fit_components(self, values: Floats, num: int) -> Components:
        components = super()._fit_components(values, num)
        return rotated(components) if self.rotate else components

    @property
    def sizes(self) -> Mapping[str, Any]:
        """As of any vector assay; where the columns are regions, also `groups`, the columns of each group by name."""
        return super().sizes if self.components is not None else {**super().sizes, "groups": self._groups}

    def state(self) -> FittedState:
        prior = np.array([self._prior[feature] for feature in self.features])
        groups = {name: list(columns) for name, columns in self._groups.items()}
        return extended(super().state(), values={"groups": groups}, arrays={"prior": prior})

    def restore(self, state: FittedState) -> None:
        super().restore(state)
        groups = state.values.get("groups", {})  # runs made before there were groups read components alone
        self._groups = {name: tuple(columns) for name, columns in groups.items()}
        self._prior = dict(zip(self.features, state.arrays["prior"].tolist(), strict=True))


def m_values(beta: Floats) -> Floats:
    """Log2 odds of methylation, NaN where blank.

    >>> m_values(np.array([0.5, 0.8, 1.0])).round(2)
    array([0.  , 2.  , 6.63])
    """
    held = np.clip(beta, *BETA_RANGE)
    return np.log2(held / (1.0 - held))


def _shrunken(beta: Floats, reads: Floats | None, prior: Floats) -> Floats:
    """Beta drawn towards the region's mean by `PRIOR_READS` reads; as it is where coverage is not known."""
    if reads is None:
        return beta
    reads = np.maximum(reads, 0.0)
    drawn = (reads * beta + PRIOR_READS * prior) / (reads + PRIOR_READS)
    return np.where(np.isnan(reads), beta, drawn)
