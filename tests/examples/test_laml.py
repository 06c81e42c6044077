"""LAML: an unknown time is no zero, an early death is no unknown time, and the MAF keeps its variants."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from converter import Flow
from laml import CLINICAL, CONVERTER, MUTATIONS

from fusion.data.tables import read_maf

MAF = [
    "Hugo_Symbol",
    "Entrez_Gene_Id",
    "Chromosome",
    "Start_Position",
    "End_position",
    "Variant_Classification",
    "Variant_Type",
    "Reference_Allele",
    "Tumor_Seq_Allele1",
    "Tumor_Seq_Allele2",
    "Tumor_Sample_Barcode",
    "Protein_Change",
    "i_TumorVAF_WU",
]


def write_source(folder: Path) -> Path:
    clinical = [
        ("T1", "M4", "365", "1"),
        ("T2", "NA", "792", "0"),
        ("T3", "M3", "0", "1"),
        ("T4", "M3", "0", "0"),
        ("T5", "M1", "-Inf", "1"),
        ("T6", "M1", "", "1"),
        ("T7", "M0", "31", "1"),
    ]
    columns = ["Tumor_Sample_Barcode", "FAB_classification", "days_to_last_followup", "Overall_Survival_Status"]
    pd.DataFrame(clinical, columns=columns).to_csv(folder / CLINICAL, sep="\t", index=False)
    variants = [
        ("FLT3", "1", "13", "28608", "28608", "In_Frame_Ins", "INS", "-", "-", "TCA", "T1", "p.D600_L601insD", "45.1"),
        ("NPM1", "2", "5", "17083", "17084", "Frame_Shift_Ins", "INS", "-", "-", "TCTG", "T1", "", "NA"),
        ("TP53", "3", "17", "7577", "7577", "Missense_Mutation", "SNP", "C", "C", "T", "T3", "p.R248Q", "80"),
        ("IDH2", "4", "15", "90631", "90631", "Missense_Mutation", "SNP", "C", "C", "T", "T5", "p.R140Q", "40"),
    ]
    with gzip.open(folder / MUTATIONS, "wt") as file:
        file.write("\n".join(["\t".join(MAF), *("\t".join(variant) for variant in variants)]) + "\n")
    return folder


def test_times_of_zero_and_minus_infinity(tmp_path: Path) -> None:
    flow = Flow()
    cohort = CONVERTER.write(write_source(tmp_path), tmp_path / "out", flow)
    assert cohort.patient_ids == ("T1", "T2", "T3", "T7")
    assert cohort.outcomes["os_days"].tolist() == [365, 792, 15, 31]
    assert cohort.outcomes["os_event"].tolist() == [True, False, True, True]
    assert cohort.patients["fab"].fillna("").tolist() == ["M4", "", "M3", "M0"]
    assert (2, "patients: days of follow-up blank or -Inf") in flow.lines
    assert (1, "patients: alive, no follow-up") in flow.lines


def test_the_maf_is_read_by_the_usual_reader(tmp_path: Path) -> None:
    cohort = CONVERTER.write(write_source(tmp_path), tmp_path / "out", Flow())
    maf = read_maf(tmp_path / "out" / "variants.maf")
    assert maf["Hugo_Symbol"].tolist() == ["FLT3", "NPM1", "TP53"]
    assert maf["Tumor_Sample_Barcode"].tolist() == ["T1-variants-0", "T1-variants-0", "T3-variants-0"]
    assert maf["HGVSp_Short"].isna().tolist() == [False, True, False]
    assert "t_depth" not in maf  # none is made up from a percentage
    assert list(cohort.samples["patient_id"]) == ["T1", "T3"]


def test_the_public_tables(public_tables: Callable[[str], Path], tmp_path: Path) -> None:
    cohort = CONVERTER.write(public_tables("maftools_laml"), tmp_path, Flow())
    assert (cohort.num_patients, int(cohort.outcomes["os_event"].sum()), len(cohort.samples)) == (187, 122, 181)
    assert len(read_maf(tmp_path / "variants.maf")) == 2096
