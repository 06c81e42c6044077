"""Variants: gene vocabulary, consequence, allele fraction, burden, and MAFs that lack something."""

import numpy as np
import pandas as pd
import pytest

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import FittedState
from fusion.data.modalities.variant_table import base_change, variant_table
from fusion.data.modalities.variants import (
    BURDEN_GENE,
    CHANGE_FEATURES,
    CLASSES,
    FEATURES,
    OTHER_GENE,
    Variants,
)


@pytest.fixture
def maf() -> pd.DataFrame:
    rows = [
        ("TP53", "Missense_Mutation", "s1", 100, 40),
        ("RB1", "Nonsense_Mutation", "s1", 100, 30),
        ("TP53", "Frame_Shift_Del", "s2", 50, 10),
        ("TTN", "Silent", "s2", 100, 30),
        ("ODD1", "Missense_Mutation", "s2", 100, 2),
    ]
    columns = ["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode", "t_depth", "t_alt_count"]
    return pd.DataFrame(rows, columns=columns)


def test_rows_of_a_sample(maf: pd.DataFrame) -> None:
    modality = Variants(min_patients=2)
    table = variant_table(maf)
    modality.fit(table, ["s1", "s2", "s3"])
    assert modality.genes == ("TP53",)
    assert modality.num_genes == 3
    packed = modality.transform(table, ["s1", "s2", "s3"])
    np.testing.assert_array_equal(packed.offsets, [0, 3, 6, 7])
    np.testing.assert_array_equal(
        packed.rows[:, 0], [BURDEN_GENE, OTHER_GENE, 2, BURDEN_GENE, OTHER_GENE, 2, BURDEN_GENE]
    )
    consequence = packed.rows[:, 1 : 1 + len(CLASSES)]
    np.testing.assert_array_equal(consequence.sum(axis=1), [0, 1, 1, 0, 1, 1, 0])
    assert packed.rows[2, FEATURES.index("missense")] == 1
    vaf = packed.rows[:, FEATURES.index("vaf")]
    assert vaf[2] > vaf[1] > vaf[5]


def test_burden_counts_what_changes_the_protein(maf: pd.DataFrame) -> None:
    with_amplification = pd.concat(
        [maf, maf.iloc[:1].assign(Hugo_Symbol="MYC", Variant_Classification="Amplification")]
    )
    rows = []
    for table in (maf, with_amplification):
        modality = Variants(keep_silent=True)
        table = variant_table(table, keep_silent=True)
        modality.fit(table, ["s1", "s2", "s3"])
        rows.append(modality.transform(table, ["s1", "s2", "s3"]).rows)
    burden = [part[part[:, 0] == BURDEN_GENE][:, -3:] for part in rows]
    np.testing.assert_array_equal(burden[0], burden[1])
    assert burden[0][0, 0] == burden[0][1, 0] > burden[0][2, 0]  # two, two (the silent one aside), none


def test_without_depths_the_fraction_is_neutral_and_told(maf: pd.DataFrame) -> None:
    modality = Variants(min_patients=1)
    modality.fit(variant_table(maf), ["s1", "s2"])
    bare = variant_table(maf.drop(columns=["t_depth", "t_alt_count"]))
    rows = modality.transform(bare, ["s1", "s2"]).rows
    assert (rows[:, FEATURES.index("vaf")] == 0).all()
    assert (rows[:, FEATURES.index("vaf_known")] == 0).all()
    assert modality.missing_features(bare) == ("vaf",)
    modality.fit(bare, ["s1", "s2"])  # and a cohort that never had depths can be fitted
    assert np.isfinite(modality.transform(bare, ["s1"]).rows).all()


def test_depth_of_zero_is_an_unknown_fraction(maf: pd.DataFrame) -> None:
    table = variant_table(maf.assign(t_depth=0))
    assert table.variants["vaf"].isna().all()


def test_low_fractions_are_left_out_on_request(maf: pd.DataFrame) -> None:
    assert "ODD1" not in set(variant_table(maf, min_vaf=0.05).variants["gene"])
    assert "ODD1" in set(variant_table(maf).variants["gene"])
    unknown = maf.drop(columns=["t_depth", "t_alt_count"])
    assert "ODD1" in set(variant_table(unknown, min_vaf=0.05).variants["gene"])


def test_other_genes_can_be_left_to_the_burden(maf: pd.DataFrame) -> None:
    modality, short = Variants(min_patients=2), Variants(min_patients=2, keep_other_genes=False)
    table = variant_table(maf)
    for each in (modality, short):
        each.fit(table, ["s1", "s2"])
    every, named = (each.transform(table, ["s1", "s2"]).rows for each in (modality, short))
    np.testing.assert_array_equal(named, every[every[:, 0] != OTHER_GENE])


def test_vocabulary_takes_the_most_often_mutated(maf: pd.DataFrame) -> None:
    modality = Variants(min_patients=1, max_genes=2)
    modality.fit(variant_table(maf), ["s1", "s2"])
    assert modality.genes == ("TP53", "ODD1")  # a tie goes by name


def test_filtered_variants_are_not_read(cohort: Cohort) -> None:
    modality = Variants()
    table = modality.load(cohort)
    raw = pd.read_csv(cohort.folder / "variants.maf", sep="\t", comment="#")
    kept = raw[(raw["FILTER"] == "PASS") & (raw["Variant_Classification"] != "Silent")]
    assert len(table.variants) == len(kept) < len(raw)


def test_summary_says_who_is_mutated(maf: pd.DataFrame) -> None:
    modality = Variants()
    table = variant_table(maf)
    modality.fit(table, ["s1", "s2", "s3"])
    summary = pd.DataFrame(modality.summarise(table, ["s3", "s1"]), columns=modality.summary_names)
    assert summary["RB1"].tolist() == [0, 1]
    assert summary["TP53"].tolist() == [0, 1]


def many(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    """A MAF of missense variants: sample, gene, protein change, reference, alternate allele, class."""
    columns = ["Tumor_Sample_Barcode", "Hugo_Symbol", "HGVSp_Short", "Reference_Allele", "Tumor_Seq_Allele2"]
    maf = pd.DataFrame([row[:5] for row in rows], columns=columns)
    maf["Variant_Classification"] = [row[5] if len(row) > 5 else "Missense_Mutation" for row in rows]
    return maf.assign(Chromosome="chr1", Start_Position=range(len(maf)))


def test_changes_are_told_by_the_pyrimidine() -> None:
    reference, alternate = [*"CGTAag", "-", "CC", "C", "N"], [*"ACCGgt", "T", "TT", "C", "T"]
    found = base_change(pd.Series(reference), pd.Series(alternate))
    assert found[:6].tolist() == ["C>A", "C>G", "T>C", "T>C", "T>C", "C>A"]
    assert found[6:].isna().all()


def test_changes_are_shares_of_the_sample_in_its_burden_row() -> None:
    smoker = [("s1", "TP53", "p.A1B", "G", "T")] * 30 + [("s1", "TTN", "p.A1=", "C", "A", "Silent")] * 10
    aged = [("s2", "RB1", "p.A1B", "C", "T")] * 20 + [("s2", "RB1", "p.A1B", "G", "T")] * 20
    modality = Variants(min_patients=1, substitutions=True)
    table = variant_table(many([*smoker, *aged]))
    modality.fit(table, ["s1", "s2", "s3"])
    packed = modality.transform(table, ["s1", "s2", "s3"])
    assert modality.feature_names == (*FEATURES, *CHANGE_FEATURES)
    is_burden = packed.rows[:, 0] == BURDEN_GENE
    burden = pd.DataFrame(packed.rows[is_burden], columns=modality.feature_names)
    np.testing.assert_allclose(burden["burden_C>A"], [1, -1, 0], atol=1e-6)  # 40 of 40, 20 of 40, not known
    np.testing.assert_allclose(burden["burden_C>T"], [-1, 1, 0], atol=1e-6)
    assert burden["burden_changes_known"].tolist() == [1, 1, 0]
    assert (packed.rows[~is_burden][:, -len(CHANGE_FEATURES) :] == 0).all()
    assert modality.summary_names[-7:] == CHANGE_FEATURES
    np.testing.assert_array_equal(modality.summarise(table, ["s2"])[0, -7:], burden.loc[1, list(CHANGE_FEATURES)])


def test_few_changes_are_drawn_to_the_training_mean() -> None:
    rows = [(f"s{i}", "TP53", "p.A1B", *("CA" if i % 2 else "CT")) for i in range(10) for _ in range(50)]
    modality = Variants(min_patients=1, substitutions=True)
    table = variant_table(many([*rows, ("s10", "A", "", "C", "A")]))
    modality.fit(table, [f"s{i}" for i in range(10)])
    shares = modality.transform(table, ["s1", "s10"]).rows[[0, 51]][:, modality.feature_names.index("burden_C>A")]
    assert 0 < shares[1] < 0.2 * shares[0]


def test_without_alleles_the_changes_are_neutral_and_told(maf: pd.DataFrame) -> None:
    modality = Variants(substitutions=True, hotspots=True)
    bare = variant_table(maf)
    modality.fit(bare, ["s1", "s2"])  # a cohort that never had alleles can be fitted
    assert (modality.transform(bare, ["s1", "s2"]).rows[:, -len(CHANGE_FEATURES) :] == 0).all()
    assert modality.missing_features(bare) == ("hotspot", *CHANGE_FEATURES)


def test_hotspots_are_residues_hit_in_three_training_samples() -> None:
    rows = [(f"s{i}", "TP53", f"p.R248{'QWLG'[i]}", "C", "T") for i in range(4)]
    rows += [("s0", "RB1", "p.E9K", "C", "T")] * 3  # three times, in one sample
    rows += [(f"s{i}", "TTN", "p.A7=", "C", "T", "Silent") for i in range(4)]
    modality = Variants(min_patients=1, hotspots=True, keep_silent=True)
    table = variant_table(many(rows), keep_silent=True)
    modality.fit(table, ["s0", "s1", "s2"])
    rows_of = modality.transform(table, ["s0", "s3"]).rows
    hot = rows_of[:, modality.feature_names.index("hotspot")] == 1
    gene = np.array([*modality.genes])[(rows_of[hot, 0] - BURDEN_GENE - 1).astype(int)]
    assert gene.tolist() == ["TP53", "TP53"]  # that of a new patient too
    modality.fit(table, ["s0", "s1"])
    assert (modality.transform(table, ["s0", "s1", "s2"]).rows[:, modality.feature_names.index("hotspot")] == 0).all()


def test_without_a_residue_a_hotspot_is_a_base() -> None:
    maf = many([(f"s{i}", "TERT", "", "G", "A", "Splice_Site") for i in range(4)]).assign(Start_Position=1295228)
    modality = Variants(min_patients=1, hotspots=True)
    table = variant_table(maf)
    modality.fit(table, ["s0", "s1", "s2"])
    assert modality.transform(table, ["s3"]).rows[1, modality.feature_names.index("hotspot")] == 1
    again = Variants(min_patients=1, hotspots=True)
    moved = variant_table(maf.assign(Start_Position=range(4)))
    again.fit(moved, ["s0", "s1", "s2"])
    assert again.transform(moved, ["s3"]).rows[1, again.feature_names.index("hotspot")] == 0


def test_genes_of_a_set_are_known_whatever_their_number(maf: pd.DataFrame) -> None:
    modality = Variants(min_patients=2, keep_other_genes=False, gene_sets="sclc_pathways")
    table = variant_table(maf)
    modality.fit(table, ["s1", "s2", "s3"])
    assert modality.genes[0] == "TP53"
    assert {"RB1", "NOTCH4", "MYCL"} < set(modality.genes)
    assert len(set(modality.genes)) == len(modality.genes)
    groups = np.array(modality.sizes["gene_groups"])
    assert groups.shape == (modality.num_genes, 5)
    assert (groups[:2] == 0).all()
    of = dict(zip(modality.genes, groups[2:], strict=True))
    np.testing.assert_array_equal(of["NOTCH1"], of["NOTCH4"])
    np.testing.assert_array_equal(of["RB1"], of["TP53"])
    assert of["RB1"].sum() == 1
    summary = pd.DataFrame(modality.summarise(table, ["s1", "s3"]), columns=modality.summary_names)
    assert summary["cell_cycle_hit"].tolist() == [1, 0]
    assert summary["notch_family_hit"].tolist() == [0, 0]
    assert "gene_groups" not in Variants.sizes.fget(fitted(maf))


def fitted(maf: pd.DataFrame) -> Variants:
    modality = Variants(min_patients=2)
    modality.fit(variant_table(maf), ["s1", "s2", "s3"])
    return modality


def test_sizes_name_the_columns_of_a_row(maf: pd.DataFrame) -> None:
    sizes = fitted(maf).sizes
    assert [FEATURES[i] for i in sizes["loss_columns"]] == ["truncating", "splice", "deletion"]
    assert [FEATURES[i] for i in sizes["burden_columns"]] == ["burden_total", "burden_truncating", "burden_missense"]
    assert {"silent", "noncoding"}.isdisjoint(FEATURES[i] for i in sizes["hit_columns"])


def test_the_default_rows_have_the_columns_of_before(maf: pd.DataFrame) -> None:
    modality = fitted(maf)
    assert modality.feature_names == FEATURES
    state = modality.state()
    kept = {name: value for name, value in state.values.items() if name in ("genes", "summary_genes")}
    arrays = {name: array for name, array in state.arrays.items() if not name.startswith("change")}
    (again := Variants(min_patients=2)).restore(FittedState(values=kept, arrays=arrays))  # as an old run folder has it
    table = variant_table(maf)
    np.testing.assert_array_equal(again.transform(table, ["s1"]).rows, modality.transform(table, ["s1"]).rows)


def test_the_order_of_the_file_is_no_matter_to_hotspots() -> None:
    rows = [("s0", "TP53", f"p.R{place}Q", "C", "T") for place in (1, 2, 3)]
    rows += [(f"s{i}", "TP53", "p.R2Q", "C", "T") for i in (1, 2)]
    found = []
    for maf in (many(rows), many(rows).iloc[::-1]):
        modality = Variants(min_patients=1, hotspots=True)
        table = variant_table(maf)
        modality.fit(table, ["s0", "s1", "s2"])
        found.append(modality.transform(table, ["s0", "s1", "s2"]).rows)
    np.testing.assert_array_equal(found[0], found[1])


def test_what_is_learned_is_learned_from_training_samples() -> None:
    rows = [(f"s{i}", "TP53", f"p.R{i % 2}Q", "C", "AGT"[i % 3]) for i in range(12)]
    states = []
    for count in (12, 6):
        modality = Variants(min_patients=1, substitutions=True, hotspots=True, gene_sets="sclc_pathways")
        modality.fit(variant_table(many(rows[:count])), [f"s{i}" for i in range(6)])
        states.append(modality.state())
    assert states[0].values == states[1].values
    assert states[0].values["hotspots"] == ["TP53:p.0", "TP53:p.1"]
    for name, array in states[0].arrays.items():
        np.testing.assert_array_equal(array, states[1].arrays[name])
