"""George 2015: only untreated specimens of the living, months become days, mutations find their patient."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from converter import Flow
from sclc_george2015 import CLINICAL, CONVERTER, MUTATIONS

COLUMNS = [
    "patient_id",
    "age",
    "sex",
    "ethnicity",
    "n_stage",
    "m_stage",
    "uicc_tumor_stage",
    "smoker",
    "smoking_history",
    "previous_treatment",
    "method_of_sample_procurement",
    "neoadj_chemo",
    "chemotherapy",
    "radiation_therapy",
    "os_status",
    "pfs_months",
    "os_months",
]


def row(patient: str, **changes: str) -> dict[str, str]:
    """A made-up patient, as cBioPortal writes one."""
    usual = dict.fromkeys(COLUMNS, "") | {
        "patient_id": f"sclc_ucologne_2015_{patient}",
        "age": "60",
        "sex": "Male",
        "uicc_tumor_stage": "Ib",
        "previous_treatment": "Untreated",
        "method_of_sample_procurement": "Surgical Resection",
        "neoadj_chemo": "No",
        "os_status": "1:DECEASED",
        "pfs_months": "NA",
        "os_months": "12",
    }
    return usual | changes


def write_source(folder: Path) -> Path:
    rows = [
        row("S1", smoker="Former (<6 Months)", smoking_history="Smoking Pack years:45", pfs_months="5"),
        row("S2", uicc_tumor_stage="IV", os_status="0:LIVING", age="NA", smoking_history="Smoking Pack years:>10PY"),
        row("S3", uicc_tumor_stage="", os_months="0", neoadj_chemo=""),
        row("S4", method_of_sample_procurement="Autopsy", os_months="0"),
        row("S5", previous_treatment="Relapse", method_of_sample_procurement="Biopsy"),
        row("S6", neoadj_chemo="Yes"),
        row("S7", os_status="", os_months="NA"),
        row("S8", os_status="0:LIVING", os_months="0"),
        row("S9", uicc_tumor_stage="IIIa"),
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / CLINICAL, sep="\t", index=False)
    mutations = [
        ("TP53", "S1", 4),
        ("TP53", "S1", 4),
        ("RB1", "S1", 7),
        ("TP53", "S2", 3),
        ("CREBBP", "S9", 3),
        ("TP53", "S4", 3),
        ("TP53", "SCLC001", 3),
    ]
    with gzip.open(folder / MUTATIONS, "wt") as file:
        file.writelines(f"{gene}\t{sample}\tnonsilent\t{category}\n" for gene, sample, category in mutations)
    return folder


def test_only_baseline_specimens_with_an_outcome_remain(tmp_path: Path) -> None:
    flow = Flow()
    cohort = CONVERTER.write(write_source(tmp_path), tmp_path / "out", flow)
    assert cohort.patient_ids == ("S1", "S2", "S3", "S9")
    assert {what.split(":")[-1].strip() for _, what in flow.lines if what.startswith("patients: ")} == {
        "the specimen was taken at autopsy",
        "the specimen is of a relapse, or prior treatment is not known",
        "resected after neoadjuvant chemotherapy",
        "overall survival not known",
        "alive, no follow-up",
    }
    assert cohort.outcomes.loc["S1", "os_days"] == 365.2  # 12 months of 30.4375 days
    assert cohort.outcomes.loc["S3", "os_days"] == 15
    assert cohort.outcomes["os_event"].tolist() == [True, False, True, True]
    assert cohort.endpoints == ("os",)


def test_covariates_are_known_at_baseline(tmp_path: Path) -> None:
    patients = CONVERTER.write(write_source(tmp_path), tmp_path / "out", Flow()).patients
    assert set(patients.columns) <= {"stage", "uicc", "age", "sex", "smoker", "pack_years"}
    assert patients["stage"].fillna("").tolist() == ["LS", "ES", "", "LS"]
    assert patients["uicc"].fillna("").tolist() == ["I", "IV", "", "III"]
    assert patients["age"].isna().tolist() == [False, True, False, False]
    assert patients.loc["S1", "smoker"] == "former"
    assert patients["pack_years"].notna().tolist() == [True, False, False, False]


def test_mutations_find_their_patient(tmp_path: Path) -> None:
    cohort = CONVERTER.write(write_source(tmp_path), tmp_path / "out", Flow())
    maf = pd.read_csv(tmp_path / "out" / "variants.maf", sep="\t", keep_default_na=False)
    assert maf.to_numpy().tolist() == [
        ["RB1", "Nonsilent_Indel", "S1-variants-0"],
        ["TP53", "Nonsilent_SNV", "S1-variants-0"],
        ["TP53", "Nonsilent_SNV", "S2-variants-0"],
        ["CREBBP", "Nonsilent_SNV", "S9-variants-0"],
    ]
    assert list(cohort.samples["patient_id"]) == ["S1", "S2", "S9"]  # S3 was not sequenced


def test_the_public_tables(public_tables: Callable[[str], Path], tmp_path: Path) -> None:
    cohort = CONVERTER.write(public_tables("sclc_george2015"), tmp_path, Flow())
    assert (cohort.num_patients, int(cohort.outcomes["os_event"].sum()), len(cohort.samples)) == (95, 62, 87)
    assert cohort.patients["stage"].value_counts().to_dict() == {"LS": 86, "ES": 9}
