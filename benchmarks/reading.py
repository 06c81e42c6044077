"""What it costs to read a bag of patches, and to choose some of them: our pack, the field's files, and the floor.

    python benchmarks/reading.py [out=FILE]

One bag of 16,384 patches x 1,024 features in the page cache, written as the field's tools leave it (single precision;
h5 by TRIDENT and CLAM: resizable, one patch a chunk) and as a pack (half precision). The floor is one `preadv` of the
same bytes in half precision into new memory. Each work ends with the patches in an array of its own, in the precision
of its file. "First use" opens and maps the pack anew; within a run it is mapped once.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from _timing import interleaved, markdown, medians, save

from fusion.data.bags import read_bag
from fusion.data.pack import PackedBags, write_pack

PATCHES, DIM, CHOSEN = 16_384, 1024, 4096
FLOOR, OURS, TRIDENT = "one preadv", "ours", "h5 as TRIDENT and CLAM write it"
#: At most so many times the floor, and at most this part of the h5.
GOAL_FLOOR, GOAL_H5 = 1.3, 0.1

Works = Mapping[str, Callable[[], Any]]


def write_files(folder: Path) -> dict[str, Path]:
    """One random bag in every format."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((PATCHES, DIM), dtype=np.float32)
    coords = rng.integers(0, 400, (PATCHES, 2)) * 256
    paths = {name: folder / name for name in ("bag.h5", "gzip.h5", "whole.h5", "bag.pt", "half.pt", "bag.npy")}
    layouts: dict[str, dict[str, Any]] = {
        "bag.h5": {"chunks": (1, DIM), "maxshape": (None, DIM)},
        "gzip.h5": {"chunks": (1, DIM), "maxshape": (None, DIM), "compression": "gzip"},
        "whole.h5": {},
    }
    for name, layout in layouts.items():
        with h5py.File(paths[name], "w") as file:
            file.create_dataset("features", data=features, **layout)
            file["coords"] = coords
    torch.save(torch.from_numpy(features), paths["bag.pt"])
    torch.save(torch.from_numpy(features).half(), paths["half.pt"])
    np.save(paths["bag.npy"], features)
    paths["pack"] = folder / "pack.safetensors"
    write_pack(paths["pack"], [paths["bag.h5"]], "fp16", key="")
    return paths


def packed(paths: Mapping[str, Path]) -> PackedBags:
    """The pack, mapped anew."""
    return PackedBags(paths["pack"], key="", sample_ids=["bag"], check_all=False)


def bytes_of(handle: int, size: int) -> np.ndarray:
    """The floor: so many bytes of the pack, in new memory."""
    buffer = np.empty(size, dtype=np.uint8)
    if os.preadv(handle, [buffer], os.fstat(handle).st_size - size) != size:
        raise OSError("a short read")
    return buffer


def from_h5(path: Path, rows: np.ndarray | None = None) -> np.ndarray:
    with h5py.File(path, "r") as file:
        dataset = file["features"]
        return dataset[...] if rows is None else dataset[rows]


def whole_bag(paths: Mapping[str, Path], pack: PackedBags, handle: int) -> Works:
    """Every way to a whole bag."""
    return {
        FLOOR: lambda: bytes_of(handle, 2 * PATCHES * DIM),
        OURS: lambda: np.array(pack.features("bag")),
        "ours, first use": lambda: np.array(packed(paths).features("bag")),
        "ours, as single precision": lambda: pack.features("bag").astype(np.float32),
        TRIDENT: lambda: from_h5(paths["bag.h5"]),
        "the same, gzip": lambda: from_h5(paths["gzip.h5"]),
        "h5 in one piece": lambda: from_h5(paths["whole.h5"]),
        ".pt": lambda: torch.load(paths["bag.pt"], weights_only=True),
        ".pt, half precision": lambda: torch.load(paths["half.pt"], weights_only=True),
        ".npy": lambda: np.load(paths["bag.npy"]),
    }


def chosen_patches(paths: Mapping[str, Path], pack: PackedBags, handle: int, rows: np.ndarray) -> Works:
    """Every way to some patches of it."""
    tensor_rows = torch.from_numpy(rows)
    return {
        FLOOR: lambda: bytes_of(handle, 2 * CHOSEN * DIM),
        OURS: lambda: pack.features("bag", rows),
        "ours, first use": lambda: packed(paths).features("bag", rows),
        TRIDENT: lambda: from_h5(paths["bag.h5"], rows),
        "the same, read whole": lambda: from_h5(paths["bag.h5"])[rows],
        ".pt": lambda: torch.load(paths["bag.pt"], weights_only=True)[tensor_rows],
        ".npy, mapped": lambda: np.load(paths["bag.npy"], mmap_mode="r")[rows],
    }


def main() -> int:
    """Measure, print a table, and write JSON where `out=FILE` is given."""
    results = {}
    rows = np.sort(np.random.default_rng(1).choice(PATCHES, CHOSEN, replace=False))
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_files(Path(scratch))
        pack, handle = packed(paths), os.open(paths["pack"], os.O_RDONLY)
        expected = read_bag(paths["bag.h5"]).features.astype(np.float16)
        np.testing.assert_array_equal(pack.features("bag"), expected)
        np.testing.assert_array_equal(pack.features("bag", rows), expected[rows])
        works = {
            f"a bag of {PATCHES:,} x {DIM:,}": whole_bag(paths, pack, handle),
            f"{CHOSEN:,} random patches of it": chosen_patches(paths, pack, handle, rows),
        }
        for name, each in works.items():
            seconds = interleaved(each, warm_up=1)
            median = medians(seconds)
            goals = {
                f"at most {GOAL_FLOOR} x the floor": median[OURS] <= GOAL_FLOOR * median[FLOOR],
                f"at most {GOAL_H5} x the h5": median[OURS] <= GOAL_H5 * median[TRIDENT],
            }
            results[name] = {"seconds": seconds, "median": median, "goals": goals}
            table = [
                {
                    name: work,
                    "median, ms": f"{1000 * took:.1f}",
                    "x floor": f"{took / median[FLOOR]:.2f}",
                    "x ours": f"{took / median[OURS]:.1f}",
                }
                for work, took in median.items()
            ]
            print(markdown(table), "\n" + "; ".join(f"{goal}: {'yes' if met else 'NO'}" for goal, met in goals.items()))
        os.close(handle)
    save(results, sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
