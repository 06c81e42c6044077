"""What every modality promises, whatever it measures: in-fold fits, no matter of order, exact round trips."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save

from fusion.data.cohort import Cohort
from fusion.data.modalities.bag_table import BagTable
from fusion.data.modalities.base import FittedState, Modality
from fusion.data.modalities.binomial_methylation import BinomialMethylation
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.course import CHANGES
from fusion.data.modalities.expression import Expression
from fusion.data.modalities.histology import Histology
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.lesions import Lesions
from fusion.data.modalities.matrix import MatrixTable
from fusion.data.modalities.methylation import Methylation
from fusion.data.modalities.plasma import Plasma
from fusion.data.modalities.serial_table import SerialData
from fusion.data.modalities.variants import Variants, VariantTable

MAKERS: dict[str, Callable[[], Modality]] = {
    "clinical": Clinical,
    "variants": lambda: Variants(min_patients=2),
    "expression": lambda: Expression(num_genes=12, components=4, center_batches=True),
    "expression_genes": lambda: Expression(num_genes=12, components=None),
    "methylation": lambda: Methylation(specimen="tissue", components=4),
    "plasma_methylation": lambda: Methylation(name="plasma_methylation", specimen="plasma"),
    "histology": Histology,
    "histology_components": lambda: Histology(components=2, max_patches=6),
    "histology_prototypes": lambda: Histology(summary_prototypes=3),
    "variants_pathways": lambda: Variants(min_patients=2, gene_sets="sclc_pathways", substitutions=True, hotspots=True),
    "expression_signatures": lambda: Expression(num_genes=12, components=4, gene_sets="sclc", signatures=True),
    "expression_pathways": lambda: Expression(num_genes=12, components=None, gene_sets="sclc"),
    "methylation_regions": lambda: Methylation(specimen="tissue", components=None),
    "methylation_rotated": lambda: Methylation(specimen="tissue", components=4, rotate=True),
    "plasma_methylation_binomial": lambda: BinomialMethylation(assay="methylation", specimen="plasma"),
    "plasma": Plasma,
    "labs": Labs,
    "lesions": Lesions,
    "labs_all_changes": lambda: Labs(changes=tuple(CHANGES)),
}

every_modality = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def same_state(one: FittedState, other: FittedState) -> bool:
    """Whether two fits are the same to the last bit."""
    arrays = one.arrays.keys() == other.arrays.keys() and all(
        np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays
    )
    return arrays and json.dumps(one.values) == json.dumps(other.values)


def changed(table: Any, sample_ids: set[str], folder: Path) -> Any:
    """The table with other values in these samples."""
    if isinstance(table, pd.DataFrame):
        table = table.copy()
        numeric = table.select_dtypes("number").columns
        table.loc[list(sample_ids), numeric] = 977.0
        table.loc[list(sample_ids), table.columns.difference(numeric)] = "elsewhere"
        return table
    if isinstance(table, VariantTable):
        variants = table.variants.copy()
        variants.loc[variants.index.isin(sample_ids), ["gene", "consequence", "vaf"]] = ["NEW", "inframe", 0.99]
        return replace(table, variants=variants)
    if isinstance(table, MatrixTable):
        values = table.matrix.values.copy()
        values[np.isin(table.matrix.sample_ids, list(sample_ids))] = 0.123
        return replace(table, matrix=replace(table.matrix, values=values))
    if isinstance(table, SerialData):
        values = table.values.copy()
        values.loc[values.index.isin(sample_ids)] = 977.0
        return replace(table, values=values)
    assert isinstance(table, BagTable)
    folder.mkdir()
    for path in table.folder.iterdir():
        if path.stem in sample_ids:
            np.save(folder / f"{path.stem}.npy", np.full((7, 4), 9.0, dtype=np.float32))
        else:
            (folder / path.name).write_bytes(path.read_bytes())
    return BagTable(folder, table.max_patches)


def reordered(table: Any) -> Any:
    """The table with its samples and features in reverse order."""
    if isinstance(table, pd.DataFrame):
        return table.iloc[::-1, ::-1]
    if isinstance(table, MatrixTable):

        def turned(matrix: Any) -> Any:
            return replace(
                matrix,
                values=np.ascontiguousarray(matrix.values[::-1, ::-1]),
                sample_ids=matrix.sample_ids[::-1],
                features=matrix.features[::-1],
            )

        return replace(
            table, matrix=turned(table.matrix), coverage=None if table.coverage is None else turned(table.coverage)
        )
    if isinstance(table, SerialData):
        return replace(table, values=table.values.iloc[::-1, ::-1])
    return table


@every_modality
def test_fit_sees_training_samples_only(make: Callable[[], Modality], cohort: Cohort, tmp_path: Path) -> None:
    modality, again = make(), make()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    training, others = ids[: len(ids) // 2], set(ids[len(ids) // 2 :])
    modality.fit(table, training)
    again.fit(changed(table, others, tmp_path / "one"), training)
    assert same_state(modality.state(), again.state())
    again.fit(changed(table, set(training), tmp_path / "other"), ids)  # the change itself is one that a fit would see
    assert not same_state(modality.state(), again.state())


@every_modality
def test_order_of_samples_and_features_is_irrelevant(make: Callable[[], Modality], cohort: Cohort) -> None:
    modality, again = make(), make()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    modality.fit(table, ids)
    again.fit(reordered(table), ids[::-1])
    assert same_state(modality.state(), again.state())
    straight, turned = modality.transform(table, ids), again.transform(reordered(table), ids[::-1])
    for s in range(len(ids)):
        t = len(ids) - 1 - s
        np.testing.assert_allclose(
            straight.rows[straight.offsets[s] : straight.offsets[s + 1]],
            turned.rows[turned.offsets[t] : turned.offsets[t + 1]],
            atol=1e-6,
        )


@every_modality
def test_state_survives_json_and_safetensors(make: Callable[[], Modality], cohort: Cohort) -> None:
    modality, again = make(), make()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    modality.fit(table, ids)
    state = modality.state()
    arrays = load(save({name: np.ascontiguousarray(array) for name, array in state.arrays.items()}))
    again.restore(FittedState(values=json.loads(json.dumps(state.values)), arrays=arrays))
    assert same_state(again.state(), state)
    assert again.feature_names == modality.feature_names
    assert again.summary_names == modality.summary_names
    np.testing.assert_array_equal(again.transform(table, ids).rows, modality.transform(table, ids).rows)
    np.testing.assert_array_equal(again.summarise(table, ids), modality.summarise(table, ids))
    assert again.detail_names == modality.detail_names
    np.testing.assert_array_equal(again.detail(table, ids), modality.detail(table, ids))


@every_modality
def test_shapes_names_and_finite_values(make: Callable[[], Modality], cohort: Cohort) -> None:
    modality = make()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    modality.fit(table, ids[:-2])
    packed, summary = modality.transform(table, ids), modality.summarise(table, ids)
    assert packed.rows.dtype == np.float32
    assert packed.rows.shape == (packed.offsets[-1], modality.num_features)
    assert len(packed.offsets) == len(ids) + 1
    assert (np.diff(packed.offsets) >= 1).all()
    assert summary.shape == (len(ids), len(modality.summary_names))
    detail = modality.detail(table, ids)
    assert detail.shape == (len(ids), len(modality.detail_names))
    assert np.isfinite(detail).all()
    assert len({*modality.summary_names, *modality.detail_names}) == summary.shape[1] + detail.shape[1]
    assert len(set(modality.feature_names)) == modality.num_features
    assert np.isfinite(packed.rows).all()
    assert np.isfinite(summary).all()
    assert modality.missing_features(table) == ()


@every_modality
def test_a_sample_does_not_depend_on_its_company(make: Callable[[], Modality], cohort: Cohort) -> None:
    modality = make()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    modality.fit(table, ids)
    packed = modality.transform(table, ids)
    alone = modality.transform(table, ids[2:3])
    np.testing.assert_allclose(alone.rows, packed.rows[packed.offsets[2] : packed.offsets[3]], atol=1e-6)


@every_modality
def test_empty_sets(make: Callable[[], Modality], cohort: Cohort) -> None:
    modality = make()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    with pytest.raises(ValueError, match=r"take '.*' out of `modality`"):
        modality.fit(table, [])
    modality.fit(table, ids)
    packed = modality.transform(table, [])
    assert packed.rows.shape == (0, modality.num_features)
    np.testing.assert_array_equal(packed.offsets, [0])
    assert modality.summarise(table, []).shape == (0, len(modality.summary_names))
    assert modality.detail(table, []).shape == (0, len(modality.detail_names))


@every_modality
def test_fit_on_two_samples_applies_to_all(make: Callable[[], Modality], cohort: Cohort) -> None:
    modality = make()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    modality.fit(table, ids[:2])
    assert np.isfinite(modality.transform(table, ids).rows).all()
    assert np.isfinite(modality.summarise(table, ids)).all()


@every_modality
def test_placement_follows_the_samples(make: Callable[[], Modality], cohort: Cohort) -> None:
    modality = make()
    placement = modality.placement(cohort)
    assert list(placement.columns) == ["sample_id", "patient_id", "visit"]
    assert list(placement["sample_id"]) == modality.sample_ids(cohort)
    if not isinstance(modality, Clinical):
        np.testing.assert_array_equal(
            placement["visit"], cohort.samples.loc[placement["sample_id"], "visit"].to_numpy()
        )


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ("clinical", "variants", "variants_pathways")])
def test_a_listed_sample_without_data_is_named(name: str, cohort: Cohort) -> None:
    modality = MAKERS[name]()
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    modality.fit(table, ids)
    with pytest.raises(ValueError, match=r"sample ghost.* take the sample out of samples.csv"):
        modality.transform(table, ["ghost"])
