"""Expression and methylation: units, other cohorts' features, blanks, coverage, batches, loadings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusion.data.modalities.expression import Expression, read_gene_sets
from fusion.data.modalities.matrix import MatrixTable
from fusion.data.modalities.methylation import Methylation, m_values
from fusion.data.tables import Matrix

IDS = [f"s{i}" for i in range(20)]
GENES = tuple(f"g{i}" for i in range(12))


def matrix_table(
    values: np.ndarray, features: tuple[str, ...] = GENES, unit: str = "counts", **kwargs: object
) -> MatrixTable:
    matrix = Matrix(values=values.astype(np.float32), sample_ids=tuple(IDS[: len(values)]), features=features)
    return MatrixTable(**{"matrix": matrix, "coverage": None, "batch": {}, "unit": unit, "source": "x.csv", **kwargs})


@pytest.fixture
def counts() -> MatrixTable:
    rng = np.random.default_rng(0)
    return matrix_table(rng.poisson(np.exp(rng.normal(5, 1, (20, 12)))))


@pytest.fixture
def beta() -> MatrixTable:
    return matrix_table(np.random.default_rng(1).uniform(0.05, 0.95, (20, 12)), unit="beta")


def columns(table: MatrixTable, chosen: list[int], extra: int = 0) -> MatrixTable:
    """The table with these features only, and some that nobody knows."""
    values = table.matrix.values
    added = np.random.default_rng(2).poisson(500, (len(values), extra))
    features = (*(table.matrix.features[i] for i in chosen), *(f"new{i}" for i in range(extra)))
    return matrix_table(np.concatenate([values[:, chosen], added], axis=1), features, unit=str(table.unit))


def test_depth_of_sequencing_does_not_matter(counts: MatrixTable) -> None:
    modality = Expression(components=3)
    modality.fit(counts, IDS)
    deeper = matrix_table(counts.matrix.values * 10)
    np.testing.assert_allclose(
        modality.transform(deeper, IDS).rows, modality.transform(counts, IDS).rows, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("components", [None, 3])
def test_extra_genes_in_another_order_change_nothing(counts: MatrixTable, components: int | None) -> None:
    modality = Expression(components=components)
    modality.fit(counts, IDS)
    other = columns(counts, list(range(12))[::-1], extra=5)
    np.testing.assert_allclose(modality.transform(other, IDS).rows, modality.transform(counts, IDS).rows, atol=1e-5)
    assert modality.missing_features(other) == ()


def test_a_missing_gene_is_neutral_and_reported(counts: MatrixTable) -> None:
    modality = Expression(components=None)
    modality.fit(counts, IDS)
    other = columns(counts, [i for i in range(12) if i != 4])
    assert modality.missing_features(other) == ("g4",)
    whole, part = modality.transform(counts, IDS).rows, modality.transform(other, IDS).rows
    place = modality.feature_names.index("g4")
    assert (part[:, place] == 0).all()
    # The library is brought up to size, so that the genes that are there do not all seem to rise.
    rest = np.delete(part - whole, place, axis=1)
    assert abs(rest.mean()) < 0.05


def test_units(counts: MatrixTable) -> None:
    values = counts.matrix.values
    logged = matrix_table(np.log2(values + 1), unit="log")
    tpm = matrix_table(values, unit="tpm")
    modality, again = Expression(components=None), Expression(components=None)
    modality.fit(logged, IDS)
    again.fit(tpm, IDS)
    np.testing.assert_allclose(modality.transform(logged, IDS).rows, again.transform(tpm, IDS).rows, atol=1e-4)
    with pytest.raises(ValueError, match="trained on 'log'"):
        modality.transform(counts, IDS)
    with pytest.raises(ValueError, match="one of counts, tpm, log"):
        modality.fit(matrix_table(values, unit="fpkm"), IDS)


def test_the_most_variable_genes_are_kept(counts: MatrixTable) -> None:
    values = np.full((20, 12), 5.0)
    values[:, [2, 7]] = np.random.default_rng(3).normal(5, 2, (20, 2))
    modality = Expression(num_genes=2, components=None)
    modality.fit(matrix_table(values, unit="log"), IDS)
    assert modality.features == ("g2", "g7")


def test_loadings_lead_scores_back_to_genes(counts: MatrixTable) -> None:
    modality = Expression(components=3)
    modality.fit(counts, IDS)
    rows = modality.standardised(counts, IDS) @ modality.loadings
    np.testing.assert_allclose(rows, modality.transform(counts, IDS).rows, atol=1e-5)
    assert modality.loadings.shape == (len(modality.features), modality.num_features)


def test_batches_are_centred_on_request() -> None:
    rng = np.random.default_rng(4)
    batch = {sample: "b1" if i < 10 else "b2" for i, sample in enumerate(IDS)}
    values = rng.normal(8, 1, (20, 12)) + np.array([3.0 * (batch[s] == "b2") for s in IDS])[:, None]
    table = matrix_table(values, unit="log", batch=batch)
    plain, centred = Expression(components=None), Expression(components=None, center_batches=True)
    for modality in (plain, centred):
        modality.fit(table, IDS)
    gaps = [np.diff(m.transform(table, IDS).rows.reshape(2, 10, 12).mean(axis=1), axis=0) for m in (plain, centred)]
    assert np.abs(gaps[0]).min() > 1
    assert np.abs(gaps[1]).max() < 1e-5
    unseen = replace(table, batch=dict.fromkeys(IDS, "b3"))
    assert np.isfinite(centred.transform(unseen, IDS).rows).all()


def test_gene_sets_join_the_summary(counts: MatrixTable, tmp_path: Path) -> None:
    (tmp_path / "sets.json").write_text(json.dumps({"up": ["g1", "g3", "absent"]}))
    (tmp_path / "sets.gmt").write_text("up\ta description\tg3\tg1\tabsent\n")
    assert read_gene_sets(tmp_path / "sets.json") == read_gene_sets(tmp_path / "sets.gmt")
    modality = Expression(num_genes=4, gene_sets=str(tmp_path / "sets.gmt"))
    modality.fit(counts, IDS)
    assert {"g1", "g3"} <= set(modality.features)
    assert modality.summary_names[-1] == "up"
    members = [modality.features.index(gene) for gene in ("g1", "g3")]
    expected = modality.standardised(counts, IDS)[:, members].mean(axis=1)
    np.testing.assert_allclose(modality.summarise(counts, IDS)[:, -1], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="names a GMT or JSON file"):
        Expression(gene_sets=str(tmp_path / "none.gmt"))


def test_m_values_stay_finite() -> None:
    assert np.isfinite(m_values(np.array([0.0, 1.0]))).all()
    np.testing.assert_allclose(m_values(np.array([0.25, 0.75])), [-np.log2(3), np.log2(3)])


def test_a_blank_is_the_training_mean(beta: MatrixTable) -> None:
    values = beta.matrix.values.copy()
    values[3, 5] = np.nan
    modality = Methylation(components=None)
    modality.fit(matrix_table(values, unit="beta"), IDS)
    rows = modality.transform(matrix_table(values, unit="beta"), IDS).rows
    assert rows[3, modality.feature_names.index("g5")] == 0
    assert np.abs(rows.mean(axis=0)).max() < 1e-5


def test_regions_that_are_mostly_blank_are_left_out(beta: MatrixTable) -> None:
    values = beta.matrix.values.copy()
    values[:8, 5] = np.nan
    modality = Methylation(components=None, max_missing=0.3)
    modality.fit(matrix_table(values, unit="beta"), IDS)
    assert "g5" not in modality.features
    assert len(modality.features) == 11
    with pytest.raises(ValueError, match="raise `max_missing`"):
        modality.fit(matrix_table(np.full((20, 12), np.nan)), IDS)


def test_a_beta_with_few_reads_counts_less(beta: MatrixTable) -> None:
    def reads(number: float) -> Matrix:
        return replace(beta.matrix, values=np.full((20, 12), number, dtype=np.float32))

    modality = Methylation(components=None)
    modality.fit(beta, IDS)
    known, shallow, deep = (
        modality.transform(replace(beta, coverage=coverage), IDS).rows for coverage in (None, reads(2), reads(1e6))
    )
    assert np.abs(shallow).mean() < 0.6 * np.abs(known).mean()
    np.testing.assert_allclose(deep, known, atol=1e-3)
