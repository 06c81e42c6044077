"""Reads bags of patch features, one file per sample, as the field's tools leave them.

Dimension key: N patches, D features of a patch.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fusion.data.problems import CohortError, Problem

BAG_SUFFIXES = (".h5", ".hdf5", ".npy", ".pt")


@dataclass(frozen=True)
class Bag:
    """The patches of one sample.

    Attributes:
        features: "N D".
        coords: Place of each patch on the slide, "N 2", or None when the file has none.
    """

    features: NDArray[np.float32]
    coords: NDArray[np.float64] | None


def find_bag(folder: Path, sample_id: str) -> Path | None:
    """The bag of a sample in a folder of bags (`<cohort>/histology`), or None."""
    paths = (folder / f"{sample_id}{suffix}" for suffix in BAG_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def bag_shape(path: Path) -> tuple[int, int]:
    """Patches and width of a bag; of an h5 or npy file only the header is read.

    Raises:
        CohortError: The file cannot be read, or holds no features of a shape that is known.
    """
    if path.suffix == ".pt":
        features = _read_pt(path)[0]
        return features.shape[0], features.shape[1]
    if path.suffix == ".npy":
        return _two_axes(path, _read_npy(path).shape)
    with _open_h5(path) as file:
        num_patches, dim = _two_axes(path, _features_of(path, file).shape)
        if isinstance(coords := file.get("coords"), h5py.Dataset):
            _require_places(path, coords.shape, num_patches)
        return num_patches, dim


def read_bag(path: Path) -> Bag:
    """Read a bag: h5 with `features` [N, D] or [1, N, D] and perhaps `coords`, npy, or pt.

    A `.pt` file is read as plain tensors; one that needs unpickling of anything else is refused.

    Raises:
        CohortError: As `bag_shape`.
    """
    coords: NDArray[np.float64] | None = None
    if path.suffix == ".pt":
        features, coords = _read_pt(path)
    elif path.suffix == ".npy":
        features = np.array(_read_npy(path), dtype=np.float32)
    else:
        with _open_h5(path) as file:
            dataset = _features_of(path, file)
            _two_axes(path, dataset.shape)
            try:
                features = dataset.astype(np.float32)[...]
                coords = _coords_of(file)
            except Exception as error:  # libhdf5 raises OSError, RuntimeError and others on damaged chunks
                raise _damaged(path, error) from error
    num_patches, dim = _two_axes(path, features.shape)
    features = features.reshape(num_patches, dim)
    if coords is not None:
        _require_places(path, coords.shape, num_patches)
        coords = coords.reshape(num_patches, 2)
    return Bag(features, coords)


def sample_rows(path: Path, limit: int) -> NDArray[np.float32]:
    """At most `limit` patches, from the first, the middle and the last of the bag: enough to see what is in it."""
    if path.suffix in (".pt", ".npy"):
        return read_bag(path).features[:limit]
    with _open_h5(path) as file:
        dataset = _features_of(path, file)
        num_patches, dim = _two_axes(path, dataset.shape)
        starts = [0] if num_patches <= limit else [0, (num_patches - limit // 3) // 2, num_patches - limit // 3]
        length = limit if num_patches <= limit else limit // 3
        try:
            parts = [
                dataset[0, start : start + length] if dataset.ndim == 3 else dataset[start : start + length]
                for start in starts
            ]
        except Exception as error:  # as in `read_bag`
            raise _damaged(path, error) from error
    return np.concatenate(parts).astype(np.float32).reshape(-1, dim)


def _open_h5(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except Exception as error:  # libhdf5 raises several kinds for a file that is cut or is no HDF5
        raise _damaged(path, error) from error


def _features_of(path: Path, file: h5py.File) -> h5py.Dataset:
    try:
        names = sorted(str(name) for name in file)
        dataset = file["features"] if "features" in names else None
        kind = dataset.dtype.kind if isinstance(dataset, h5py.Dataset) else ""
    except Exception as error:  # as in `_open_h5`: a damaged tree of names
        raise _damaged(path, error) from error
    if dataset is None or not kind:
        found = f"no dataset features (the file holds {', '.join(names[:5]) or 'nothing'})"
        raise _fault(path, "features", found, "store the patch features [N, D] as dataset features")
    if kind not in "fiu":
        raise _fault(path, "features", f"values of type {dataset.dtype}", "store plain numbers")
    return dataset


def _coords_of(file: h5py.File) -> NDArray[np.float64] | None:
    if "coords" not in file or not isinstance(file["coords"], h5py.Dataset):
        return None
    return np.asarray(file["coords"][...], dtype=np.float64)


def _require_places(path: Path, shape: tuple[int, ...], num_patches: int) -> None:
    if shape not in ((num_patches, 2), (1, num_patches, 2)):
        raise _fault(path, "coords", f"coords of shape {shape} for {num_patches} patches", "store one [x, y] per patch")


def _two_axes(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2:
        raise _fault(path, "features", f"features of shape {tuple(shape)}", "store [N, D] or [1, N, D]")
    return int(shape[0]), int(shape[1])


def _read_npy(path: Path) -> NDArray[np.float32]:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header of rubbish raises ValueError, SyntaxError, EOFError and others
        raise _damaged(path, error) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise _fault(path, "features", "no array of numbers", "save one float array [N, D]")
    return values


def _read_pt(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file, or one that would run code on loading
        raise _damaged(path, error, remedy="save a plain tensor [N, D] or {'features': ..., 'coords': ...}") from error
    coords = None
    if isinstance(content, dict):
        coords = content.get("coords")
        content = content.get("features")
    if not isinstance(content, torch.Tensor) or content.is_complex() or content.is_sparse:
        raise _fault(path, "features", "no tensor of features", "save a plain tensor [N, D]")
    features = content.detach().to(torch.float32).numpy()
    features = features.reshape(_two_axes(path, features.shape))
    return features, coords.detach().to(torch.float64).numpy() if isinstance(coords, torch.Tensor) else None


def _fault(path: Path, column: str, found: str, remedy: str) -> CohortError:
    return CohortError([Problem(f"{path.parent.name}/{path.name}", f"sample {path.stem}", column, found, remedy)])


def _damaged(path: Path, error: Exception, remedy: str = "write or copy the file again") -> CohortError:
    message = str(error).split(" (")[0].splitlines()[0][:80] if str(error) else type(error).__name__
    return _fault(path, "", f"a file that cannot be read ({message})", remedy)
