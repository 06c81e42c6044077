"""Bags of patches: every layout gives the same patches, and what is broken is named."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from fusion.data.bags import bag_shape, find_bag, read_bag, sample_rows
from fusion.data.problems import CohortError

FEATURES = np.arange(12, dtype=np.float32).reshape(4, 3)
COORDS = np.arange(8).reshape(4, 2)


def write_h5(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def write(folder: Path, layout: str) -> Path:
    if layout == "pt":
        torch.save(torch.from_numpy(FEATURES), folder / "s.1.pt")
    elif layout == "pt with coords":
        torch.save(
            {"features": torch.from_numpy(FEATURES[None]), "coords": torch.from_numpy(COORDS)}, folder / "s.1.pt"
        )
    elif layout == "npy":
        np.save(folder / "s.1.npy", FEATURES)
    elif layout == "half":
        write_h5(folder / "s.1.h5", features=FEATURES.astype(np.float16), coords=COORDS)
    else:
        three = layout == "[1, N, D]"
        write_h5(folder / "s.1.h5", features=FEATURES[None] if three else FEATURES, coords=COORDS)
    path = find_bag(folder, "s.1")
    assert path is not None
    return path


@pytest.mark.parametrize("layout", ["[N, D]", "[1, N, D]", "half", "npy", "pt", "pt with coords"])
def test_every_layout_gives_the_same_patches(tmp_path: Path, layout: str) -> None:
    path = write(tmp_path, layout)
    bag = read_bag(path)
    assert bag_shape(path) == (4, 3)
    assert bag.features.dtype == np.float32
    np.testing.assert_array_equal(bag.features, FEATURES)
    np.testing.assert_array_equal(sample_rows(path, 4), FEATURES)
    if layout in ("[N, D]", "[1, N, D]", "half", "pt with coords"):
        assert bag.coords is not None
        np.testing.assert_array_equal(bag.coords, COORDS)
    else:
        assert bag.coords is None


def test_sampled_rows_reach_the_end_of_the_bag(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "s.h5", features=np.arange(100, dtype=np.float32)[None, :, None])
    rows = sample_rows(path, 9).ravel()
    assert len(rows) == 9
    assert (rows[0], rows[-1]) == (0, 99)


def test_a_bag_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert find_bag(tmp_path, "s") is None


def test_a_pt_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"features": Path("anything")}, tmp_path / "s.pt")
    with pytest.raises(CohortError, match="save a plain tensor"):
        read_bag(tmp_path / "s.pt")


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"feats": FEATURES}, "no dataset features .*feats"),
        ({"features": FEATURES[0]}, r"shape \(3,\)"),
        ({"features": np.array([b"a"])}, "type"),
        ({"features": FEATURES, "coords": COORDS[:2]}, "coords of shape"),
    ],
)
def test_a_bag_of_another_form_says_what_is_wrong(tmp_path: Path, datasets: dict, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        read_bag(write_h5(tmp_path / "s.h5", **datasets))


@pytest.mark.parametrize("suffix", ["h5", "npy", "pt"])
def test_a_cut_bag_is_reported(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, {"h5": "[N, D]"}.get(suffix, suffix))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CohortError, match="cannot be read"):
        read_bag(path)
