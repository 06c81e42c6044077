"""Histology: bags of any width, deterministic choice of patches, slides that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from fusion.data.modalities.histology import BagTable, Histology, chosen_patches


def write_bags(folder: Path, sizes: dict[str, int], dim: int = 5, shift: float = 0.0) -> BagTable:
    rng = np.random.default_rng(0)
    for sample, size in sizes.items():
        np.save(folder / f"{sample}.npy", (rng.normal(shift, 2.0, (size, dim))).astype(np.float32))
    return BagTable(folder, max_patches=None)


def test_training_patches_are_standardised(tmp_path: Path) -> None:
    table = write_bags(tmp_path, {"a": 40, "b": 50}, shift=3.0)
    modality = Histology()
    modality.fit(table, ["a", "b"])
    packed = modality.transform(table, ["b", "a"])
    np.testing.assert_array_equal(packed.offsets, [0, 50, 90])
    np.testing.assert_allclose(packed.rows.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(packed.rows.std(axis=0), 1, atol=2e-2)


def test_the_choice_of_patches_is_the_samples_own() -> None:
    chosen = chosen_patches("slide-1", 100, 10)
    np.testing.assert_array_equal(chosen, chosen_patches("slide-1", 100, 10))
    assert not np.array_equal(chosen, chosen_patches("slide-2", 100, 10))
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen_patches("slide-1", 7, 10), np.arange(7))


def test_max_patches_caps_a_slide(tmp_path: Path) -> None:
    write_bags(tmp_path, {"a": 40, "b": 50})
    table = BagTable(tmp_path, max_patches=45)
    modality = Histology()
    modality.fit(table, ["a", "b"])
    np.testing.assert_array_equal(modality.transform(table, ["a", "b"]).offsets, [0, 40, 85])


def test_another_width_names_slide_and_remedy(tmp_path: Path) -> None:
    modality = Histology()
    modality.fit(write_bags(tmp_path, {"a": 9}), ["a"])
    (tmp_path / "wide").mkdir()
    wide = write_bags(tmp_path / "wide", {"z": 9}, dim=7)
    with pytest.raises(ValueError, match=r"sample z have 7 features, training had 5; use the same patch encoder"):
        modality.transform(wide, ["z"])


def test_components_narrow_the_rows(tmp_path: Path) -> None:
    table = write_bags(tmp_path, {"a": 40, "b": 50})
    modality = Histology(components=2)
    modality.fit(table, ["a", "b"])
    assert modality.transform(table, ["a"]).rows.shape == (40, 2)
    assert modality.feature_names == ("pc1", "pc2")


def test_a_slide_without_patches_is_neutral(tmp_path: Path) -> None:
    table = write_bags(tmp_path, {"a": 40, "b": 50})
    table._bags["none"] = np.zeros((0, 5), dtype=np.float16)
    modality = Histology()
    modality.fit(table, ["a", "b"])
    assert (modality.summarise(table, ["none"]) == 0).all()
    np.testing.assert_array_equal(modality.transform(table, ["a", "none", "b"]).offsets, [0, 40, 40, 90])
