"""Histology: bags of any width, deterministic choice of patches, places, prototypes, slides that do not fit."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.data.modalities.bag_table import BagTable, chosen_patches
from fusion.data.modalities.histology import Histology
from fusion.data.read import read_cohort


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


def test_each_slide_is_told_from_one_reading_and_anew_of_another_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"a": 40, "b": 50, "c": 30}
    table, read = write_bags(tmp_path, sizes), []
    whole = BagTable.bag

    def counted(self: BagTable, sample_id: str, rows: np.ndarray | None = None) -> np.ndarray:
        read.extend([sample_id] if rows is None else [])
        return whole(self, sample_id, rows)

    monkeypatch.setattr(BagTable, "bag", counted)
    modality = Histology(detail_prototypes=2)
    modality.fit(table, ["a", "b"])
    told = modality.summarise(table, ["a", "b", "c"]), modality.detail(table, ["c", "a"])
    assert sorted(read) == ["a", "b", "c"]
    (tmp_path / "other").mkdir()
    other = write_bags(tmp_path / "other", sizes, shift=1.0)
    assert not np.allclose(modality.summarise(other, ["a", "b", "c"]), told[0])
    np.testing.assert_array_equal(modality.detail(table, ["c", "a"]), told[1])
    assert modality.summarise(table, []).shape == (0, len(modality.summary_names))


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


def write_slide(folder: Path, sample: str, features: np.ndarray, coords: np.ndarray | None = None) -> None:
    with h5py.File(folder / f"{sample}.h5", "w") as file:
        file["features"] = features.astype(np.float32)
        if coords is not None:
            file["coords"] = coords


def test_coordinates_are_two_more_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corner = np.array([[1000, 2000], [1000, 2256], [1512, 2000]])
    write_slide(tmp_path, "a", rng.normal(size=(3, 5)), corner)
    write_slide(tmp_path, "far", rng.normal(size=(3, 5)), corner * 4 + 77)
    write_slide(tmp_path, "one", rng.normal(size=(1, 5)), corner[:1])
    table, plain, placed = BagTable(tmp_path, max_patches=None), Histology(), Histology(coordinates=True)
    for modality in (plain, placed):
        modality.fit(table, ["a", "far", "one"])
    rows = placed.transform(table, ["a", "far", "one"]).rows
    np.testing.assert_array_equal(rows[:, :5], plain.transform(table, ["a", "far", "one"]).rows)
    np.testing.assert_allclose(rows[:3, 5:], [[-1, -0.5], [-1, 0.5], [1, -0.5]])
    np.testing.assert_allclose(rows[3:6, 5:], rows[:3, 5:])  # neither origin nor resolution of a scanner is told
    np.testing.assert_array_equal(rows[6, 5:], [0, 0])
    assert placed.feature_names == (*plain.feature_names, "x", "y")
    assert plain.sizes == {"num_features": 5, "coordinate_columns": 0}
    assert placed.sizes == {"num_features": 7, "coordinate_columns": 2}
    np.testing.assert_array_equal(placed.summarise(table, ["a"]), plain.summarise(table, ["a"]))


def test_a_place_belongs_to_its_patch_also_where_patches_are_left_out(tmp_path: Path) -> None:
    number = np.arange(100.0)
    write_slide(tmp_path, "a", np.stack([number, number**2], axis=1), np.stack([number, 0 * number], axis=1))
    table, modality = BagTable(tmp_path, max_patches=10), Histology(coordinates=True)
    modality.fit(table, ["a"])
    kept = chosen_patches("a", 100, 10)
    np.testing.assert_allclose(modality.transform(table, ["a"]).rows[:, 2], (kept - 49.5) / 49.5, atol=1e-3)


def test_a_slide_without_coordinates_is_named_when_they_are_asked_for(tmp_path: Path) -> None:
    write_slide(tmp_path, "a", np.ones((4, 5)), np.zeros((4, 2)))
    write_slide(tmp_path, "bare", np.ones((4, 5)))
    write_slide(tmp_path, "blank", np.ones((4, 5)), np.full((4, 2), np.nan))
    table, modality = BagTable(tmp_path, max_patches=None), Histology(coordinates=True)
    modality.fit(table, ["a"])
    for sample in ("bare", "blank"):
        with pytest.raises(ValueError, match=rf"bag of sample {sample} has no coords.* or set coordinates=false"):
            modality.transform(table, [sample])


def test_shares_of_prototypes_for_the_plain_models(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = [f"s{i}" for i in range(20)]
    for i, sample in enumerate(samples):
        kind = rng.choice(3, size=100, p=[0.6, 0.34, 0.06] if i % 2 else [0.6, 0.4, 0.0])
        write_slide(tmp_path, sample, 5 * np.eye(3, 5)[kind] + 0.5 * rng.normal(size=(100, 5)))
    table, plain, modality = BagTable(tmp_path, None), Histology(), Histology(summary_prototypes=4)
    for each in (plain, modality):
        each.fit(table, samples)
    summary = modality.summarise(table, samples)
    np.testing.assert_array_equal(summary[:, :-4], plain.summarise(table, samples))
    assert modality.summary_names[-4:] == ("prototype1", "prototype2", "prototype3", "prototype4")
    assert any(summary[1::2, -k].min() > summary[::2, -k].max() for k in range(1, 5))
    again = Histology(summary_prototypes=4)
    again.restore(modality.state())
    np.testing.assert_array_equal(again.summarise(table, samples), summary)
    assert again.summary_names == modality.summary_names
    table._bags["none"] = np.zeros((0, 5), dtype=np.float16)
    assert (modality.summarise(table, ["none"]) == 0).all()


@pytest.mark.parametrize("summary", [0, 4])
def test_columns_without_a_patch_are_those_of_the_slide_without_it(tmp_path: Path, summary: int) -> None:
    table = write_bags(tmp_path, {"a": 40, "b": 30, "c": 1})
    modality = Histology(summary_components=2, summary_prototypes=summary, detail_prototypes=4)
    modality.fit(table, ["a", "b"])

    def columns(of: BagTable, samples: list[str]) -> np.ndarray:
        return np.column_stack([modality.summarise(of, samples), modality.detail(of, samples)])

    found = modality.without_each_patch(table, ["a", "b"], detail=True)
    np.testing.assert_allclose(found[0], columns(table, ["a", "b"]).mean(axis=0), atol=1e-5)
    (tmp_path / "less").mkdir()
    np.save(tmp_path / "less" / "b.npy", np.delete(table.bag("b"), 7, axis=0).astype(np.float32))
    less = BagTable(tmp_path / "less", max_patches=None)
    expected = (columns(table, ["a"]) + columns(less, ["b"]))[0] / 2
    np.testing.assert_allclose(found[1 + 40 + 7], expected, atol=1e-3)
    assert modality.without_each_patch(table, ["a"], detail=False).shape == (41, len(modality.summary_names))
    assert np.isfinite(modality.without_each_patch(table, ["c"], detail=True)).all()


def test_slides_of_one_visit_are_one_bag(tmp_path: Path) -> None:
    folder = write_tiny_cohort(tmp_path / "cohort", patients=4, visits=1)
    samples = pd.read_csv(folder / "samples.csv")
    first = samples[samples["modality"] == "histology"].iloc[0]
    second = first.copy()
    second["sample_id"] = f"{first['sample_id']}-2"
    pd.concat([samples, second.to_frame().T]).to_csv(folder / "samples.csv", index=False)
    rng = np.random.default_rng(0)
    write_slide(folder / "histology", second["sample_id"], rng.normal(size=(13, 4)), rng.integers(0, 9, size=(13, 2)))

    cohort = read_cohort(folder)
    modality = Histology(coordinates=True)
    assays = load_assays(cohort, {"histology": modality})
    fit_assays(cohort, assays, cohort.patient_ids)
    packed = pack_cohort(cohort, assays, cohort.patient_ids).samples["histology"]
    ids = [first["sample_id"], second["sample_id"]]
    place = list(cohort.patient_ids).index(first["patient_id"])
    at = packed.slot.tolist().index(place)
    rows = packed.rows[packed.offsets[at] : packed.offsets[at + 1]].numpy()
    both = modality.transform(assays["histology"].table, ids).rows
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(both, axis=0))
    assert len(packed.slot) == len(modality.sample_ids(cohort)) - 1
