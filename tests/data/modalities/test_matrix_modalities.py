"""Expression and methylation: units, other cohorts' features, blanks, coverage, batches, loadings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusion.data.gene_sets import read_gene_sets
from fusion.data.modalities import scaling
from fusion.data.modalities.expression import Expression
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


@pytest.fixture
def sets(tmp_path: Path) -> str:
    """A set, its counterpart, and one of which no gene is in the table."""
    (tmp_path / "sets.gmt").write_text(
        "neuroendocrine\t\tg1\tg3\tabsent\nnon_neuroendocrine\t\tg3\tg5\tg6\nempty\t\tabsent\n"
    )
    return str(tmp_path / "sets.gmt")


@pytest.mark.parametrize(("components", "before"), [(0, 0), (3, 3), (None, 12)])
def test_signatures_are_means_of_standardised_genes(
    counts: MatrixTable, sets: str, components: int | None, before: int
) -> None:
    modality = Expression(components=components, gene_sets=sets, signatures=True)
    modality.fit(counts, IDS[:15])
    genes = modality.standardised(counts, IDS)
    mean = {
        name: genes[:, [modality.features.index(gene) for gene in members]].mean(axis=1)
        for name, members in {"neuroendocrine": ["g1", "g3"], "non_neuroendocrine": ["g3", "g5", "g6"]}.items()
    }
    mean["ne_score"] = mean["neuroendocrine"] - mean["non_neuroendocrine"]
    rows = modality.transform(counts, IDS).rows
    assert modality.feature_names[before:] == ("empty", "neuroendocrine", "non_neuroendocrine", "ne_score")
    assert modality.num_features == rows.shape[1] == before + 4
    for name, values in mean.items():
        column = rows[:, modality.feature_names.index(name)]
        np.testing.assert_allclose(column, values / values[:15].std(), atol=1e-5)
    assert (rows[:, before] == 0).all()
    np.testing.assert_allclose(genes @ modality.loadings, rows, atol=1e-5)  # attributions go back to genes
    assert "ne_score" not in modality.summary_names


def test_signatures_leave_the_other_columns_as_they_were(counts: MatrixTable, sets: str) -> None:
    modality, plain = (Expression(components=3, gene_sets=sets, signatures=wanted) for wanted in (True, False))
    for each in (modality, plain):
        each.fit(counts, IDS)
    np.testing.assert_array_equal(modality.transform(counts, IDS).rows[:, :3], plain.transform(counts, IDS).rows)


def test_signatures_need_gene_sets() -> None:
    with pytest.raises(ValueError, match="gene_sets: sclc"):
        Expression(signatures=True)
    with pytest.raises(ValueError, match="leaves no column"):
        Expression(components=0)


def test_groups_are_told_where_columns_are_genes(counts: MatrixTable, sets: str) -> None:
    modality = Expression(components=None, num_genes=2, gene_sets=sets)
    modality.fit(counts, IDS)
    groups = {name: [modality.feature_names[i] for i in columns] for name, columns in modality.sizes["groups"].items()}
    assert groups == {"empty": [], "neuroendocrine": ["g1", "g3"], "non_neuroendocrine": ["g3", "g5", "g6"]}
    for other in (Expression(components=None), Expression(gene_sets=sets)):
        other.fit(counts, IDS)
        assert "groups" not in other.sizes


def test_a_fit_without_signatures_can_be_restored(counts: MatrixTable) -> None:
    modality, again = Expression(), Expression()
    modality.fit(counts, IDS)
    state = modality.state()
    arrays = {name: array for name, array in state.arrays.items() if name != "signature_sd"}
    again.restore(replace(state, arrays=arrays))  # as a run folder made before there were any
    np.testing.assert_array_equal(again.transform(counts, IDS).rows, modality.transform(counts, IDS).rows)


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


def test_groups_of_regions_are_told_and_kept(beta: MatrixTable, tmp_path: Path) -> None:
    (tmp_path / "groups.tsv").write_text("g1\tisland\ng7\tisland\ng7\tshore\nabsent\tshore\n")
    path = str(tmp_path / "groups.tsv")
    modality, again = Methylation(components=None, groups=path), Methylation(components=None, groups=path)
    modality.fit(beta, IDS)
    names = modality.feature_names
    groups = {name: [names[i] for i in columns] for name, columns in modality.sizes["groups"].items()}
    rest = [name for name in names if name not in ("g1", "g7")]
    assert groups == {"island": ["g1", "g7"], "shore": ["g7"], "other": rest}
    (tmp_path / "groups.tsv").unlink()  # a saved model does without the file
    again.restore(modality.state())
    assert again.sizes == modality.sizes
    modality = Methylation(components=3)
    modality.fit(beta, IDS)
    assert "groups" not in modality.sizes


def test_rotation_turns_the_components_and_no_more(beta: MatrixTable) -> None:
    plain, turned = (
        Methylation(components=4, summary_components=4),
        Methylation(components=4, summary_components=4, rotate=True),
    )
    for modality in (plain, turned):
        modality.fit(beta, IDS)
    one, other = plain.transform(beta, IDS).rows, turned.transform(beta, IDS).rows
    assert not np.allclose(one, other)
    np.testing.assert_allclose(np.square(one).sum(axis=1), np.square(other).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(turned.standardised(beta, IDS) @ turned.loadings, other, atol=1e-5)


@pytest.mark.parametrize("components", [None, 3])
def test_a_table_worked_on_in_blocks_says_the_same(
    counts: MatrixTable, beta: MatrixTable, components: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = np.random.default_rng(3).integers(0, 9, (20, 12)).astype(np.float32)
    covered = replace(beta, coverage=replace(beta.matrix, values=reads))
    for make, table in ((Expression, counts), (Methylation, covered)):
        whole, pieces = make(components=components), make(components=components)
        whole.fit(table, IDS)
        expected = whole.transform(table, IDS[:9]).rows, whole.summarise(table, IDS), whole.state().arrays
        with monkeypatch.context() as small:
            small.setattr(scaling, "BLOCK", 25)  # two samples of all features, one feature of all samples
            pieces.fit(table, IDS)
            rows, summary = pieces.transform(table, IDS[:9]).rows, pieces.summarise(table, IDS)
            assert pieces.transform(table, []).rows.shape == (0, pieces.num_features)
        np.testing.assert_allclose(rows, expected[0], atol=1e-6)
        np.testing.assert_allclose(summary, expected[1], atol=1e-6)
        for name, array in pieces.state().arrays.items():
            np.testing.assert_allclose(array, expected[2][name], atol=1e-9, err_msg=name)
