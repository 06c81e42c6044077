"""What the assays with a feature x sample matrix share: feature choice, scaling and components, learned in-fold.

Dimension key: S samples, G features, K components.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import FittedState, Modality, PackedRows
from fusion.data.modalities.components import Components, fit_components
from fusion.data.modalities.products import gated_products, product_names
from fusion.data.modalities.scaling import Scaling, blocks, fit_scaling, moments
from fusion.data.modalities.varimax import rotated
from fusion.data.tables import Matrix, find_table, read_matrix

Floats = NDArray[np.float64]

#: Values "S G" of some features of some samples, the samples given before.
ValuesOf = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True)
class MatrixTable:
    """Raw values of an assay, addressed by sample and feature.

    Attributes:
        matrix: Values "samples features" with their ids.
        coverage: Reads behind each value, where a `<assay>_coverage` table lies beside it.
        batch: Batch of each sample, "" where not given.
        unit: Unit named in cohort.yaml, or None.
        source: Name of the file, for messages.
    """

    matrix: Matrix
    coverage: Matrix | None
    batch: Mapping[str, str]
    unit: str | None
    source: str
    _places: dict[str, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._places.update({sample: i for i, sample in enumerate(self.matrix.sample_ids)})

    @cached_property
    def column(self) -> dict[str, int]:
        """Column of each feature."""
        return {feature: i for i, feature in enumerate(self.matrix.features)}

    @cached_property
    def _coverage_column(self) -> dict[str, int]:
        return {} if self.coverage is None else {feature: i for i, feature in enumerate(self.coverage.features)}

    def take(self, sample_ids: Sequence[str], features: Sequence[str]) -> Floats:
        """Values "S G", NaN where the table lacks the feature."""
        absent = [sample for sample in sample_ids if sample not in self._places]
        if absent:
            raise ValueError(
                f"{self.source}: no column for sample {absent[0]} ({len(absent)} such); "
                "add it, or take the sample out of samples.csv"
            )
        return _take(self.matrix, [self._places[sample] for sample in sample_ids], self.column, features)

    def take_coverage(self, sample_ids: Sequence[str], features: Sequence[str]) -> Floats | None:
        """Reads "S G" behind the values of `take`, NaN where unknown; None where the cohort has no coverage table."""
        if self.coverage is None:
            return None
        places = {sample: i for i, sample in enumerate(self.coverage.sample_ids)}
        found = [sample for sample in sample_ids if sample in places]
        reads = np.full((len(sample_ids), len(features)), np.nan)
        known = _take(self.coverage, [places[s] for s in found], self._coverage_column, features)
        reads[[sample in places for sample in sample_ids]] = known
        return reads


def _take(matrix: Matrix, rows: Sequence[int], column: Mapping[str, int], features: Sequence[str]) -> Floats:
    place = np.array([column.get(feature, -1) for feature in features], dtype=np.int64)
    known = place >= 0
    values = np.full((len(rows), len(features)), np.nan)
    values[:, known] = matrix.values[np.ix_(np.asarray(rows, dtype=np.int64), place[known])]
    return values


class MatrixModality(Modality):
    """A vector per sample: the most variable features, standardised, then their principal components.

    Args:
        name: Name in the config.
        assay: Value of `modality` in samples.csv, and stem of the table.
        specimen: Only samples of this specimen.
        num_selected: Features kept, by training variance in model space.
        components: Principal components given to the network, or None for the features themselves.
        summary_components: Principal components given to the plain baselines.
        max_missing: Features blank in a larger share of training samples are left out.
        center_batches: Subtract each training batch's own mean.
    """

    def __init__(
        self,
        name: str,
        assay: str,
        specimen: str | None,
        num_selected: int,
        components: int | None,
        summary_components: int,
        max_missing: float,
        center_batches: bool,
    ) -> None:
        super().__init__(name, assay, specimen)
        self.num_selected = num_selected
        self.components = components
        self.summary_components = summary_components
        self.max_missing = max_missing
        self.center_batches = center_batches
        self._features: tuple[str, ...]
        self._scaling: Scaling
        self._components: Components
        self._turned: Components  # those of the summary, turned so that each is one process
        self._batch_shift: dict[str, Floats]

    @abstractmethod
    def _fit_model_space(self, table: MatrixTable, sample_ids: Sequence[str], features: Sequence[str]) -> ValuesOf:
        """Learn what the change of scale needs of all `features`; gives training values in model space, as below."""

    @abstractmethod
    def _model_space(self, table: MatrixTable, sample_ids: Sequence[str]) -> ValuesOf:
        """What gives values "S G" of any features in model space, NaN where blank.

        A function, so that the features need not be in memory at once, and what they share is counted once.
        """

    def _required_features(self) -> frozenset[str]:
        """Features kept whatever their variance."""
        return frozenset()

    def load(self, cohort: Cohort) -> MatrixTable:
        path = find_table(cohort.folder, self.assay)
        if path is None:
            raise ValueError(
                f"{self.name}: {cohort.folder} holds no {self.assay} table; see the cohort folder's format"
            )
        coverage = find_table(cohort.folder, f"{self.assay}_coverage")
        samples = cohort.samples_of(self.assay, self.specimen)
        return MatrixTable(
            matrix=read_matrix(path, self.assay),
            coverage=None if coverage is None else read_matrix(coverage, f"{self.assay}_coverage"),
            batch=dict(zip(samples.index, samples["batch"], strict=True)) if "batch" in samples else {},
            unit=cohort.settings.get(self.assay, {}).get("unit"),
            source=path.name,
        )

    def fit(self, table: MatrixTable, sample_ids: Sequence[str]) -> None:
        ids = self.training_ids(sample_ids)
        features = sorted(table.matrix.features)
        values_of = self._fit_model_space(table, ids, features)
        chosen = self._choose(values_of, features, num_samples=len(ids))
        self._features = tuple(features[i] for i in chosen)
        values = values_of(self._features)
        self._batch_shift = self._fit_batches(table, ids, values) if self.center_batches else {}
        values = self._without_batch(table, ids, values)
        self._scaling = fit_scaling(values)
        wanted = max(self.components or 0, self.summary_components)
        self._components = self._fit_components(self._scaling.standardise(values, out=values), num=wanted)
        self._turned = rotated(self._components.first(self.summary_components))

    def _fit_components(self, values: Floats, num: int) -> Components:
        """Components of standardised training values "S G"."""
        return fit_components(values, num=num)

    def _choose(self, values_of: ValuesOf, features: Sequence[str], num_samples: int) -> NDArray[np.int64]:
        blank, sd = np.ones(len(features)), np.zeros(len(features))
        for some in blocks(len(features), width=num_samples):
            values = values_of(features[some])
            blank[some], sd[some] = np.isnan(values).mean(axis=0), moments(values)[1]
        usable = np.flatnonzero(blank <= self.max_missing)
        if not len(usable):
            raise ValueError(
                f"{self.name}: every feature is blank in more than {self.max_missing:.0%} of the training samples; "
                "raise `max_missing`"
            )
        ranked = usable[np.argsort(-sd[usable], kind="stable")]  # ties go by name: the order of `features`
        required = self._required_features()
        named = np.array([i for i in usable if features[int(i)] in required], dtype=np.int64)
        return np.union1d(ranked[: self.num_selected], named)

    def _fit_batches(self, table: MatrixTable, ids: Sequence[str], values: Floats) -> dict[str, Floats]:
        overall = moments(values)[0]
        batch = np.array([table.batch.get(sample, "") for sample in ids])
        return {str(name): moments(values[batch == name])[0] - overall for name in np.unique(batch) if name}

    def _without_batch(self, table: MatrixTable, ids: Sequence[str], values: Floats) -> Floats:
        if not self._batch_shift:
            return values
        none = np.zeros(values.shape[1])  # a batch that training did not see is taken as it is
        shifts = [self._batch_shift.get(table.batch.get(sample, ""), none) for sample in ids]
        return values - np.array(shifts).reshape(values.shape)

    def standardised(self, table: MatrixTable, sample_ids: Sequence[str]) -> Floats:
        """Chosen features "S G" in units of the training sd; 0, the training mean, where blank or absent."""
        values = self._model_space(table, sample_ids)(self._features)
        values = self._without_batch(table, sample_ids, values)
        return self._scaling.standardise(values, out=values)

    def _by_blocks(
        self, table: MatrixTable, sample_ids: Sequence[str], width: int, columns_of: Callable[[Floats], Floats]
    ) -> NDArray[np.float32]:
        """So many columns made of the standardised values, some samples at a time: all at once may be too many."""
        columns = np.empty((len(sample_ids), width), dtype=np.float32)
        for some in blocks(len(sample_ids), width=len(self._features)):
            columns[some] = columns_of(self.standardised(table, sample_ids[some]))
        return columns

    def transform(self, table: MatrixTable, sample_ids: Sequence[str]) -> PackedRows:
        return PackedRows.one_each(self._by_blocks(table, sample_ids, self.num_features, self._columns))

    def _columns(self, values: Floats) -> Floats:
        """Columns of a row "S F" from standardised values."""
        return values if self.components is None else self._components.scores(values)[:, : self.components]

    @property
    def features(self) -> tuple[str, ...]:
        """The chosen features, in the order of the rows of `loadings`."""
        return self._features

    @property
    def loadings(self) -> Floats:
        """What a standardised feature adds to each column of a row, "G F": leads attributions back to features."""
        if self.components is None:
            return np.eye(len(self._features))
        return self._components.weights[:, : self.components]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self._features if self.components is None else _component_names(self.loadings.shape[1])

    def summarise(self, table: MatrixTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        return self._by_blocks(table, sample_ids, len(self.summary_names), self._summary)

    def _summary(self, values: Floats) -> Floats:
        """Columns of `summarise` "S K" from standardised values."""
        return self._components.scores(values)[:, : self.summary_components]

    @property
    def summary_names(self) -> tuple[str, ...]:
        return _component_names(min(self.summary_components, self._components.loadings.shape[1]))

    def detail(self, table: MatrixTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        """Products of the turned components: what one process does where another is high, and what both ends do."""
        return self._by_blocks(table, sample_ids, len(self.detail_names), self._products)

    def _products(self, values: Floats) -> Floats:
        """Columns of `detail` from standardised values."""
        return gated_products(self._turned.scores(values))

    @property
    def turned(self) -> Components:
        """The components of whose products `detail` is made."""
        return self._turned

    @property
    def detail_names(self) -> tuple[str, ...]:
        return product_names(self._turned.loadings.shape[1])

    def missing_features(self, table: MatrixTable) -> tuple[str, ...]:
        present = set(table.matrix.features)
        return tuple(feature for feature in self._features if feature not in present)

    def state(self) -> FittedState:
        shifts = list(self._batch_shift.values())
        return FittedState(
            values={"features": list(self._features), "batches": list(self._batch_shift)},
            arrays={
                "mean": self._scaling.mean,
                "sd": self._scaling.sd,
                "loadings": self._components.loadings,
                "scale": self._components.scale,
                "turned_loadings": self._turned.loadings,
                "turned_scale": self._turned.scale,
                "batch_shift": np.array(shifts, dtype=np.float64).reshape(len(shifts), len(self._features)),
            },
        )

    def restore(self, state: FittedState) -> None:
        self._features = tuple(state.values["features"])
        self._scaling = Scaling(mean=state.arrays["mean"], sd=state.arrays["sd"])
        self._components = Components(loadings=state.arrays["loadings"], scale=state.arrays["scale"])
        if "turned_scale" in state.arrays:  # runs made before plain models saw products have none
            turned = (state.arrays[f"turned_{name}"] for name in ("loadings", "scale"))
            self._turned = Components(*turned)
        self._batch_shift = dict(zip(state.values["batches"], state.arrays["batch_shift"], strict=True))


def _component_names(num: int) -> tuple[str, ...]:
    return tuple(f"pc{i + 1}" for i in range(num))


def extended(state: FittedState, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> FittedState:
    """`state` with what a subclass learned beside it."""
    return FittedState(values={**state.values, **values}, arrays={**state.arrays, **arrays})
