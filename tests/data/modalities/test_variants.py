"""Variants: gene vocabulary, consequence, allele fraction, burden, and MAFs that lack something."""

import numpy as np
import pandas as pd
import pytest

from fusion.data.cohort import Cohort
from fusion.data.modalities.variants import BURDEN_GENE, CLASSES, FEATURES, OTHER_GENE, Variants


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
    table = modality.table(maf)
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
        table = modality.table(table)
        modality.fit(table, ["s1", "s2", "s3"])
        rows.append(modality.transform(table, ["s1", "s2", "s3"]).rows)
    burden = [part[part[:, 0] == BURDEN_GENE][:, -3:] for part in rows]
    np.testing.assert_array_equal(burden[0], burden[1])
    assert burden[0][0, 0] == burden[0][1, 0] > burden[0][2, 0]  # two, two (the silent one aside), none


def test_without_depths_the_fraction_is_neutral_and_told(maf: pd.DataFrame) -> None:
    modality = Variants(min_patients=1)
    modality.fit(modality.table(maf), ["s1", "s2"])
    bare = modality.table(maf.drop(columns=["t_depth", "t_alt_count"]))
    rows = modality.transform(bare, ["s1", "s2"]).rows
    assert (rows[:, FEATURES.index("vaf")] == 0).all()
    assert (rows[:, FEATURES.index("vaf_known")] == 0).all()
    assert modality.missing_features(bare) == ("vaf",)
    modality.fit(bare, ["s1", "s2"])  # and a cohort that never had depths can be fitted
    assert np.isfinite(modality.transform(bare, ["s1"]).rows).all()


def test_depth_of_zero_is_an_unknown_fraction(maf: pd.DataFrame) -> None:
    modality = Variants(min_patients=1)
    table = modality.table(maf.assign(t_depth=0))
    assert table.variants["vaf"].isna().all()


def test_low_fractions_are_left_out_on_request(maf: pd.DataFrame) -> None:
    assert "ODD1" not in set(Variants(min_vaf=0.05).table(maf).variants["gene"])
    assert "ODD1" in set(Variants().table(maf).variants["gene"])
    unknown = maf.drop(columns=["t_depth", "t_alt_count"])
    assert "ODD1" in set(Variants(min_vaf=0.05).table(unknown).variants["gene"])


def test_other_genes_can_be_left_to_the_burden(maf: pd.DataFrame) -> None:
    modality, short = Variants(min_patients=2), Variants(min_patients=2, keep_other_genes=False)
    table = modality.table(maf)
    for each in (modality, short):
        each.fit(table, ["s1", "s2"])
    every, named = (each.transform(table, ["s1", "s2"]).rows for each in (modality, short))
    np.testing.assert_array_equal(named, every[every[:, 0] != OTHER_GENE])


def test_vocabulary_takes_the_most_often_mutated(maf: pd.DataFrame) -> None:
    modality = Variants(min_patients=1, max_genes=2)
    modality.fit(modality.table(maf), ["s1", "s2"])
    assert modality.genes == ("TP53", "ODD1")  # a tie goes by name


def test_filtered_variants_are_not_read(cohort: Cohort) -> None:
    modality = Variants()
    table = modality.load(cohort)
    raw = pd.read_csv(cohort.folder / "variants.maf", sep="\t", comment="#")
    kept = raw[(raw["FILTER"] == "PASS") & (raw["Variant_Classification"] != "Silent")]
    assert len(table.variants) == len(kept) < len(raw)


def test_summary_says_who_is_mutated(maf: pd.DataFrame) -> None:
    modality = Variants()
    table = modality.table(maf)
    modality.fit(table, ["s1", "s2", "s3"])
    summary = pd.DataFrame(modality.summarise(table, ["s3", "s1"]), columns=modality.summary_names)
    assert summary["RB1"].tolist() == [0, 1]
    assert summary["TP53"].tolist() == [0, 1]
