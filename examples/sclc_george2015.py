"""George et al., Nature 524:47 (2015): resected small cell lung cancer, clinical data and mutated genes -> OS.

What the tables hide, and what is done about it:

- Specimens were taken by surgery, biopsy, at autopsy, before and after treatment. Only untreated ones from living
  patients can predict: autopsies, relapses and resections after neoadjuvant chemotherapy are left out.
- Chemotherapy and radiation (yes/no) were given after the specimen, to those who lived long enough: not covariates.
- PFS has months and no flag of the event, for a third of the patients: no endpoint can be made of it.
- OS is in whole months. 0 is a death within the first month and becomes half a month.
- The two tables name patients differently (`sclc_ucologne_2015_S00022`, `S00022`), and the mutations hold three
  further cohorts without clinical data.
- A mutation is a gene, a sample and a MutSig category: 7 = insertion or deletion, 3 to 6 = substitutions, among them
  nonsense and splice (the cohorts of the table without any 7 must have had them, too). With no position, two like
  rows cannot be told from one entered twice: one is kept. With no consequence, none is made up: the
  `Variant_Classification` is `Nonsilent_SNV` or `Nonsilent_Indel`, which read as "other".
- `stage` is LS (UICC I to III) or ES (IV), the two stages by which SCLC is treated; `uicc` keeps the four.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from converter import DAYS_PER_MONTH, HALF_A_MONTH, Converter, Flow, samples_table

CLINICAL = "pheno_sclc_ucologne_2015.tsv"
MUTATIONS = "zhoulab_4dataset_nonsilent.txt.gz"
PREFIX = "sclc_ucologne_2015_"
INDEL = 7


def convert(source: Path, flow: Flow) -> dict[str, pd.DataFrame]:
    """Tables of the cohort folder from the two public tables."""
    clinical = _baseline_patients(pd.read_csv(source / CLINICAL, sep="\t", dtype=str, keep_default_na=False), flow)
    months = clinical["os_months"].astype(float)
    flow.note(int((months == 0).sum()), "patients with OS of 0 months, all dead: set to half a month")
    outcomes = pd.DataFrame({"patient_id": clinical["patient_id"]})
    outcomes["os_days"] = np.where(months == 0, HALF_A_MONTH, (months * DAYS_PER_MONTH).round(1))
    outcomes["os_event"] = (clinical["os_status"] == "1:DECEASED").astype(int)

    columns = ["gene", "sample", "effect", "category"]
    mutations = pd.read_csv(source / MUTATIONS, sep="\t", header=None, names=columns, keep_default_na=False)
    mutations["category"] = mutations["category"].astype(int)
    mine = mutations["sample"].isin(clinical["patient_id"])
    mutations = flow.without(mutations, ~mine, "mutations of other cohorts and of patients left out")
    alike = mutations.duplicated(["gene", "sample", "category"])
    mutations = flow.without(mutations, alike, "mutations like another of the same gene, sample and category")
    sequenced = clinical.loc[clinical["patient_id"].isin(mutations["sample"]), "patient_id"]
    flow.note(len(clinical) - len(sequenced), "patients without mutation data: kept, clinical data alone")
    samples = samples_table(sequenced, "variants").assign(specimen="tissue")
    sample_of = dict(zip(samples["patient_id"], samples["sample_id"], strict=True))
    kind = np.where(mutations["category"] == INDEL, "Nonsilent_Indel", "Nonsilent_SNV")
    maf = pd.DataFrame({"Hugo_Symbol": mutations["gene"], "Variant_Classification": kind})
    maf["Tumor_Sample_Barcode"] = mutations["sample"].map(sample_of)
    return {
        "patients.csv": _covariates(clinical),
        "outcomes.csv": outcomes,
        "samples.csv": samples,
        "variants.maf": maf.sort_values(["Tumor_Sample_Barcode", "Hugo_Symbol"], kind="stable"),
    }


def _baseline_patients(clinical: pd.DataFrame, flow: Flow) -> pd.DataFrame:
    """Patients whose specimen and outcome fit a prediction at baseline."""
    clinical = clinical.assign(patient_id=clinical["patient_id"].str.removeprefix(PREFIX))
    taken = clinical["method_of_sample_procurement"]
    clinical = flow.without(clinical, taken == "Autopsy", "patients: the specimen was taken at autopsy")
    treated = clinical["previous_treatment"] != "Untreated"
    clinical = flow.without(
        clinical, treated, "patients: the specimen is of a relapse, or prior treatment is not known"
    )
    neoadjuvant = clinical["neoadj_chemo"] == "Yes"
    clinical = flow.without(clinical, neoadjuvant, "patients: resected after neoadjuvant chemotherapy")
    no_outcome = ~clinical["os_months"].str.fullmatch(r"[\d.]+") | (clinical["os_status"] == "")
    clinical = flow.without(clinical, no_outcome, "patients: overall survival not known")
    lost = (clinical["os_months"].replace("", "nan").astype(float) == 0) & (clinical["os_status"] != "1:DECEASED")
    clinical = flow.without(clinical, lost, "patients: alive, no follow-up")
    flow.note(int((clinical["pfs_months"] != "NA").sum()), "PFS times: no flag tells progression from end of follow-up")
    flow.note(4, "columns: chemotherapy and radiation (after baseline), ethnicity (half blank), n and m (in the stage)")
    return clinical


def _covariates(clinical: pd.DataFrame) -> pd.DataFrame:
    uicc = clinical["uicc_tumor_stage"].str.upper().str.rstrip("AB")
    smoker = clinical["smoker"].str.split(" ").str[0]  # "Former (<6 Months)" is Former
    pack_years = clinical["smoking_history"].str.removeprefix("Smoking Pack years:")
    return pd.DataFrame(
        {
            "patient_id": clinical["patient_id"],
            "stage": uicc.map({"I": "LS", "II": "LS", "III": "LS", "IV": "ES"}),
            "uicc": uicc.replace("", None),
            "age": pd.to_numeric(clinical["age"], errors="coerce"),
            "sex": clinical["sex"].str.lower(),
            "smoker": smoker.str.lower().replace("", None),
            "pack_years": pd.to_numeric(pack_years, errors="coerce"),  # ">10PY" is no number: blank
        }
    )


CONVERTER = Converter(
    name="sclc_george2015",
    folder="sclc_george2015",
    files=(CLINICAL, MUTATIONS),
    origin=(
        f"{CLINICAL}: clinical data of cBioPortal study sclc_ucologne_2015 (George et al., Nature 2015). "
        f"{MUTATIONS}: data/ of github.com/zhoulab/sclc-scripts."
    ),
    settings={
        "description": "Small cell lung cancer, untreated at sampling (George et al., Nature 2015). Day 0 = diagnosis.",
        "licence": "published data; see the original study",
        "endpoints": ["os"],
    },
    convert=convert,
)

if __name__ == "__main__":
    sys.exit(CONVERTER.main())
