"""Whole slides as bags of patch features from any encoder, standardised by the training patches.

Dimension key: N patches of a slide, R patches of all slides, D width of a patch, K components or prototypes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.modalities.bag_table import BagTable, chosen_patches
from fusion.data.modalities.base import FittedState, Modality, PackedRows
from fusion.data.modalities.components import Components, fit_components
from fusion.data.modalities.scaling import Scaling, fit_scaling
from fusion.data.precision import require_precision
from fusion.data.store import room_for_rows
from fusion.prototypes import Prototypes, fit_prototypes

#: Patches of each training slide that the scaling is learned from.
PATCHES_TO_FIT = 64

#: And of all of them together: thousands of slides need fewer of each.
MOST_TO_FIT = 50_000

#: Principal components of the patches in which prototypes for the plain baselines live.
PROTOTYPE_COMPONENTS = 32

#: Mean patch "D" of a slide, and the root of the share "K" that each prototype has of it.
Slide = tuple[NDArray[np.float64], NDArray[np.float64]]

#: Columns that say where a patch lies.
PLACE = ("x", "y")


def _less_each(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of all rows, then of all but each, "R+1 F"; blank where none is left.

    >>> _less_each(np.array([[1.0], [2.0], [6.0]])).T
    array([[3. , 4. , 3.5, 1.5]])
    """
    count = len(values)
    if count < 2:
        return np.concatenate([values, np.full((1, values.shape[1]), np.nan)])
    return np.concatenate([values.mean(axis=0, keepdims=True), (values.sum(axis=0) - values) / (count - 1)])


class Histology(Modality):
    """Bags of patch features of any width; a row is a patch.

    Args:
        name: Name in the config.
        assay: Value of `modality` in samples.csv, and name of the folder of bags.
        specimen: Only samples of this specimen.
        components: Principal components of the patches given to the network, or None for their full width.
        summary_components: Principal components of the slides' mean patch given to the plain baselines.
        max_patches: Patches read per slide, chosen by the sample's id; None for all.
        coordinates: Append the place of each patch to its row, as two columns `x` and `y` (`slide_places`). Every
            slide must have them.
        summary_prototypes: Prototypes of a mixture of patches whose shares of each slide are given to the plain
            baselines beside the components of the mean patch; 0 gives none.
        detail_prototypes: Where that is 0, prototypes whose shares the plain models inside an answer see.
        precision: How patches are kept in memory and in the store: `fp16`, `bf16`, or `fp32` for the very numbers of
            the files.
    """

    is_set = True

    def __init__(
        self,
        name: str = "histology",
        assay: str = "histology",
        specimen: str | None = None,
        components: int | None = None,
        summary_components: int = 6,
        max_patches: int | None = 4096,
        coordinates: bool = False,
        summary_prototypes: int = 0,
        detail_prototypes: int = 16,
        precision: str = "fp16",
    ) -> None:
        super().__init__(name, assay, specimen)
        self.components = components
        self.summary_components = summary_components
        self.max_patches = max_patches
        self.coordinates = coordinates
        self.summary_prototypes = summary_prototypes
        self.detail_prototypes = detail_prototypes
        self.precision = require_precision(precision)
        self._scaling: Scaling
        self._patch_components: Components | None
        self._slide_scaling: Scaling
        self._slide_components: Components
        self._prototypes: Prototypes | None
        self._share_scaling: Scaling
        self._slides: tuple[BagTable, dict[str, Slide]] | None = None  # of the table that was last asked about

    def load(self, cohort: Cohort) -> BagTable:
        return BagTable(cohort.folder / self.assay, self.max_patches, self.precision, cohort.store)

    def fit(self, table: BagTable, sample_ids: Sequence[str]) -> None:
        ids = self.training_ids(sample_ids)
        width, each = table.width(ids[0]), max(1, min(PATCHES_TO_FIT, MOST_TO_FIT // len(ids)))
        parts = [self._checked(table, s, width, chosen_patches(s, table.num_patches(s), each)) for s in ids]
        patches = np.concatenate(parts).astype(np.float64)
        self._scaling = fit_scaling(patches)
        self._patch_components = None
        if self.components is not None:
            self._patch_components = fit_components(self._scaling.standardise(patches), num=self.components)
        self._prototypes, self._slides = None, None
        if num := self.summary_prototypes or self.detail_prototypes:
            self._prototypes = fit_prototypes(
                self._scaling.standardise(patches), num=num, components=PROTOTYPE_COMPONENTS
            )
        means, roots = self._slides_of(table, ids)
        self._slide_scaling = fit_scaling(means)
        self._slide_components = fit_components(self._slide_scaling.standardise(means), num=self.summary_components)
        if self._prototypes is not None:
            self._share_scaling = fit_scaling(roots)

    def _checked(
        self, table: BagTable, sample_id: str, width: int, rows: NDArray[np.int64] | None = None
    ) -> NDArray[Any]:
        if table.width(sample_id) != width:
            raise ValueError(
                f"{self.name}: the patches of sample {sample_id} have {table.width(sample_id)} features, training had "
                f"{width}; use the same patch encoder for all slides"
            )
        return table.bag(sample_id, rows)

    def _standardised(self, table: BagTable, sample_id: str) -> NDArray[np.float64]:
        bag = self._checked(table, sample_id, len(self._scaling.mean))
        return self._scaling.standardise(bag.astype(np.float64))

    def _slides_of(self, table: BagTable, sample_ids: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean patch "S D" and root shares of the prototypes "S K" of some slides, each read once."""
        if self._slides is None or self._slides[0] is not table:
            self._slides = table, {}
        known = self._slides[1]
        for sample in sample_ids:
            if sample not in known:
                known[sample] = self._slide(self._standardised(table, sample))
        widths = len(self._scaling.mean), self._num_prototypes
        means, roots = (
            np.array([known[sample][which] for sample in sample_ids], dtype=np.float64).reshape(len(sample_ids), width)
            for which, width in enumerate(widths)
        )
        return means, roots

    def _slide(self, patches: NDArray[np.float64]) -> Slide:
        """Mean patch and roots of the shares, so that 5 % stand out against 1 %; blank where there is no patch."""
        if not len(patches):
            return np.full(patches.shape[1], np.nan), np.full(self._num_prototypes, np.nan)
        shares = np.zeros(0) if self._prototypes is None else self._prototypes.membership(patches).mean(axis=0)
        return patches.mean(axis=0), np.sqrt(shares)

    def transform(self, table: BagTable, sample_ids: Sequence[str]) -> PackedRows:
        """Rows of these slides, one slide read at a time."""
        counts = [table.num_patches(sample) for sample in sample_ids]
        offsets = np.cumsum([0, *counts]).astype(np.int64)
        rows = room_for_rows(int(offsets[-1]), self.num_features, table.store)
        for place, sample in enumerate(sample_ids):
            rows[offsets[place] : offsets[place + 1]] = self._rows(table, sample)
        return PackedRows(rows=rows, offsets=offsets)

    def _rows(self, table: BagTable, sample_id: str) -> NDArray[np.float32]:
        patches = self._standardised(table, sample_id)
        if self._patch_components is not None:
            patches = self._patch_components.scores(patches)
        if self.coordinates:
            patches = np.column_stack([patches, table.places(sample_id)])
        return patches.astype(np.float32, copy=False)

    @property
    def feature_names(self) -> tuple[str, ...]:
        place = PLACE if self.coordinates else ()
        if self._patch_components is None:
            return (*(f"f{i}" for i in range(len(self._scaling.mean))), *place)
        return (*(f"pc{i + 1}" for i in range(self._patch_components.loadings.shape[1])), *place)

    @property
    def sizes(self) -> Mapping[str, int]:
        return {**super().sizes, "coordinate_columns": len(PLACE) if self.coordinates else 0}

    def summarise(self, table: BagTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        summary = self._mean_columns(self._slides_of(table, sample_ids)[0]).astype(np.float32)
        return np.column_stack([summary, self._shares(table, sample_ids)]) if self.summary_prototypes else summary

    @property
    def summary_names(self) -> tuple[str, ...]:
        shares = self._share_names if self.summary_prototypes else ()
        return (*(f"pc{i + 1}" for i in range(self._slide_components.loadings.shape[1])), *shares)

    def detail(self, table: BagTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        """Shares of the prototypes, unless the summary has them."""
        return super().detail(table, sample_ids) if self.summary_prototypes else self._shares(table, sample_ids)

    @property
    def detail_names(self) -> tuple[str, ...]:
        return () if self.summary_prototypes else self._share_names

    def _shares(self, table: BagTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        if self._prototypes is None:
            return np.zeros((len(sample_ids), 0), dtype=np.float32)
        _, roots = self._slides_of(table, sample_ids)
        return self._share_scaling.standardise(roots).astype(np.float32)

    @property
    def _num_prototypes(self) -> int:
        return 0 if self._prototypes is None else len(self._prototypes.constant)

    @property
    def _share_names(self) -> tuple[str, ...]:
        return tuple(f"prototype{k + 1}" for k in range(self._num_prototypes))

    def without_each_patch(self, table: BagTable, sample_ids: Sequence[str], *, detail: bool) -> NDArray[np.float32]:
        """Columns of the plain models for slides of one visit: whole, then less each of their patches, "R+1 P".

        Of several slides they are the mean, as in a visit table.

        Args:
            table: The slides.
            sample_ids: Slides of one patient and visit, in the order of their patches.
            detail: Whether the columns of `detail` follow those of the summary.
        """
        slides = [self._standardised(table, sample) for sample in sample_ids]
        parts = [self._mean_columns(_less_each(patches)) for patches in slides]
        if self._prototypes is not None and (self.summary_prototypes or detail):
            shares = [self._share_columns(self._prototypes, patches) for patches in slides]
            parts = [np.column_stack(pair) for pair in zip(parts, shares, strict=True)]
        whole = np.stack([part[0] for part in parts])
        rows = [whole.mean(axis=0, keepdims=True)]
        rows += [whole.mean(axis=0) + (part[1:] - part[0]) / len(parts) for part in parts]
        return np.concatenate(rows).astype(np.float32)

    def _mean_columns(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Components of mean patches, "S C"."""
        return self._slide_components.scores(self._slide_scaling.standardise(means))

    def _share_columns(self, prototypes: Prototypes, patches: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of the prototypes with all patches, then without each, "R+1 K"."""
        roots = np.sqrt(_less_each(prototypes.membership(patches)).clip(min=0.0))
        return self._share_scaling.standardise(roots)

    def missing_features(self, table: BagTable) -> tuple[str, ...]:
        """None: a bag has all its columns, or another width, which is refused."""
        return ()

    def state(self) -> FittedState:
        arrays = {
            "mean": self._scaling.mean,
            "sd": self._scaling.sd,
            "slide_mean": self._slide_scaling.mean,
            "slide_sd": self._slide_scaling.sd,
            "slide_loadings": self._slide_components.loadings,
            "slide_scale": self._slide_components.scale,
        }
        if self._patch_components is not None:
            arrays |= {"loadings": self._patch_components.loadings, "scale": self._patch_components.scale}
        if self._prototypes is not None:
            arrays |= {f"prototype_{name}": array for name, array in vars(self._prototypes).items()}
            arrays |= {"share_mean": self._share_scaling.mean, "share_sd": self._share_scaling.sd}
        return FittedState(values={}, arrays=arrays)

    def restore(self, state: FittedState) -> None:
        arrays = state.arrays
        self._scaling = Scaling(mean=arrays["mean"], sd=arrays["sd"])
        self._slide_scaling = Scaling(mean=arrays["slide_mean"], sd=arrays["slide_sd"])
        self._slide_components = Components(loadings=arrays["slide_loadings"], scale=arrays["slide_scale"])
        self._patch_components, self._slides = None, None
        if "loadings" in arrays:
            self._patch_components = Components(loadings=arrays["loadings"], scale=arrays["scale"])
        self._prototypes = None
        if "share_mean" in arrays:
            names = [field.name for field in dataclasses.fields(Prototypes)]
            self._prototypes = Prototypes(**{name: arrays[f"prototype_{name}"] for name in names})
            self._share_scaling = Scaling(mean=arrays["share_mean"], sd=arrays["share_sd"])
