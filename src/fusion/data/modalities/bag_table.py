"""The slides of a cohort as arrays of patches, from files or from a pack: which of them are read, and their places.

Dimension key: N patches of a slide, D width of a patch.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.data.bags import find_bag, read_bag
from fusion.data.pack import PackedBags
from fusion.data.precision import narrowed, widened
from fusion.data.store import BagStore


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
