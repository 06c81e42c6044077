"""Whole slides as bags of patch features from any encoder, standardised by the training patches.

Dimension key: N patches of a slide, R patches of all slides, D width of a patch, K components or prototypes.
"""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.data.bags import find_bag, read_bag
from fusion.data.cohort import Cohort
from fusion.data.modalities.base import FittedState, Modality, PackedRows
from fusion.data.modalities.components import Components, fit_components
from fusion.data.modalities.scaling import Scaling, fit_scaling
from fusion.data.pack import PackedBags
from fusion.data.precision import narrowed, require_precision, widened
from fusion.data.store import BagStore, room_for_rows
from fusion.prototypes import Prototypes, fit_prototypes

#: Patches of each training slide that the scaling is learned from.
PATCHES_TO_FIT = 64

#: And of all of them together: thousands of slides need fewer of each.
MOST_TO_FIT = 50_000

#: Principal components of the patches in which prototypes for the plain baselines live.
PROTOTYPE_COMPONENTS = 32

#: Columns that say where a patch lies.
PLACE = ("x", "y")


class BagTable:
    """The slides of a cohort, read from the pack of a store; without one each is read when first asked for and kept.

    Of a pack, memory holds what is being used, and the system takes back what is not. Without one, 240 slides of 400
    patches with 64 features take 12 MB; 10,000 patches of 1,536 features take 31 MB a slide, so that `max_patches`
    decides what a large cohort needs. The numbers are the same.
    """

    def __init__(
        self, folder: Path, max_patches: int | None, precision: str = "fp16", store: BagStore | None = None
    ) -> None:
        """Look at a folder of bags.

        Args:
            folder: The bags.
            max_patches: Patches of a slide that are read, as `chosen_patches` chooses them.
            precision: How features are kept, see `fusion.data.precision`.
            store: Where the folder is packed; None reads it as it is.
        """
        self.folder = folder
        self.max_patches = max_patches
        self.precision = precision
        self.store = store
        self.packed = None if store is None else store.open(folder, precision)
        self._bags: dict[str, NDArray[Any]] = {}
        self._places: dict[str, NDArray[np.float16] | None] = {}

    def num_patches(self, sample_id: str) -> int:
        """Patches of a slide, at most `max_patches`."""
        if (packed := self._pack_of(sample_id)) is None:
            return len(self._read(sample_id))
        num_patches = packed.num_patches(sample_id)
        return num_patches if self.max_patches is None else min(num_patches, self.max_patches)

    def width(self, sample_id: str) -> int:
        """Features of a patch."""
        packed = self._pack_of(sample_id)
        return self._read(sample_id).shape[1] if packed is None else packed.dim

    def bag(self, sample_id: str, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Patches "N D" of a slide, at most `max_patches`, in the order of the file; or these `rows` of them."""
        if (packed := self._pack_of(sample_id)) is None:
            kept = self._read(sample_id)
            return widened(kept if rows is None else kept[rows])
        chosen = self._chosen(sample_id, packed)
        if chosen is None:
            return packed.features(sample_id, rows)
        return packed.features(sample_id, chosen if rows is None else chosen[rows])

    def places(self, sample_id: str) -> NDArray[np.float16]:
        """Where the patches of `bag` lie, "N 2", as `slide_places` tells it."""
        if (packed := self._pack_of(sample_id)) is None:
            self._read(sample_id)
            places = self._places[sample_id]
        else:
            coords, chosen = packed.coords(sample_id), self._chosen(sample_id, packed)
            places = None if coords is None else slide_places(coords)
            places = places if places is None or chosen is None else places[chosen]
        if places is None or not np.isfinite(places).all():
            raise ValueError(
                f"histology: the bag of sample {sample_id} has no coords, or some that are no numbers; store one "
                "[x, y] per patch as `coords` in its .h5 or .pt file, or set coordinates=false"
            )
        return places

    def _pack_of(self, sample_id: str) -> PackedBags | None:
        return self.packed if self.packed is not None and sample_id in self.packed else None

    def _chosen(self, sample_id: str, packed: PackedBags) -> NDArray[np.int64] | None:
        """Patches of the file that `bag` gives; None for all."""
        num_patches = packed.num_patches(sample_id)
        if self.max_patches is None or num_patches <= self.max_patches:
            return None
        return chosen_patches(sample_id, num_patches, self.max_patches)

    def _read(self, sample_id: str) -> NDArray[Any]:
        """A bag from its own file, as it is kept in memory."""
        if sample_id not in self._bags:
            path = find_bag(self.folder, sample_id)
            if path is None:
                raise ValueError(
                    f"histology: no bag of sample {sample_id} in {self.folder}; "
                    "add it, or take the sample out of samples.csv"
                )
            bag = read_bag(path)
            chosen = chosen_patches(sample_id, len(bag.features), self.max_patches)
            self._bags[sample_id] = narrowed(bag.features, self.precision)[chosen]
            self._places[sample_id] = None if bag.coords is None else slide_places(bag.coords)[chosen]
        return self._bags[sample_id]


def slide_places(coords: NDArray[np.float64]) -> NDArray[np.float16]:
    """Places "N 2" in units of half the longer side of what was cut into patches, seen from its middle.

    >>> slide_places(np.array([[0.0, 0.0], [512.0, 256.0], [1024.0, 0.0]]))
    array([[-1.  , -0.25],
           [ 0.  ,  0.25],
           [ 1.  , -0.25]], dtype=float16)
    """
    if not len(coords):
        return np.zeros((0, 2), dtype=np.float16)
    low, high = coords.min(axis=0), coords.max(axis=0)
    half = (high - low).max() / 2
    return ((coords - (low + high) / 2) / (half if half > 0 else 1.0)).astype(np.float16)


def chosen_patches(sample_id: str, num_patches: int, max_patches: int | None) -> NDArray[np.int64]:
    """Which patches of a slide are read: all, or a sample that depends on the slide's id alone; increasing."""
    if max_patches is None or num_patches <= max_patches:
        return np.arange(num_patches)
    generator = np.random.default_rng(zlib.crc32(sample_id.encode()))
    return np.sort(generator.choice(num_patches, size=max_patches, replace=False))


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
        means = self._mean_patches(table, ids)
        self._slide_scaling = fit_scaling(means)
        self._slide_components = fit_components(self._slide_scaling.standardise(means), num=self.summary_components)
        self._prototypes = None
        if num := self.summary_prototypes or self.detail_prototypes:
            self._prototypes = fit_prototypes(
                self._scaling.standardise(patches), num=num, components=PROTOTYPE_COMPONENTS
            )
            self._share_scaling = fit_scaling(self._root_shares(self._prototypes, table, ids))

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

    def _mean_patches(self, table: BagTable, sample_ids: Sequence[str]) -> NDArray[np.float64]:
        means = np.full((len(sample_ids), len(self._scaling.mean)), np.nan)  # a slide without patches stays blank
        for i, sample in enumerate(sample_ids):
            patches = self._standardised(table, sample)
            if len(patches):
                means[i] = patches.mean(axis=0)
        return means

    def _root_shares(self, prototypes: Prototypes, table: BagTable, sample_ids: Sequence[str]) -> NDArray[np.float64]:
        """Square root of the share that each prototype has of each slide, "S K", so that 5 % stand out against 1 %."""
        roots = np.full((len(sample_ids), len(prototypes.constant)), np.nan)  # blank without patches
        for i, sample in enumerate(sample_ids):
            patches = self._standardised(table, sample)
            if len(patches):
                roots[i] = np.sqrt(prototypes.membership(patches).mean(axis=0))
        return roots

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
        summary = self._mean_columns(self._mean_patches(table, sample_ids)).astype(np.float32)
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
        roots = self._root_shares(self._prototypes, table, sample_ids)
        return self._share_scaling.standardise(roots).astype(np.float32)

    @property
    def _share_names(self) -> tuple[str, ...]:
        prototypes = 0 if self._prototypes is None else len(self._prototypes.constant)
        return tuple(f"prototype{k + 1}" for k in range(prototypes))

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
        self._patch_components = None
        if "loadings" in arrays:
            self._patch_components = Components(loadings=arrays["loadings"], scale=arrays["scale"])
        self._prototypes = None
        if "share_mean" in arrays:
            names = [field.name for field in dataclasses.fields(Prototypes)]
            self._prototypes = Prototypes(**{name: arrays[f"prototype_{name}"] for name in names})
            self._share_scaling = Scaling(mean=arrays["share_mean"], sd=arrays["share_sd"])
