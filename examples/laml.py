"""TCGA acute myeloid leukaemia (NEJM 368:2059, 2013), as maftools ships it: a real MAF and FAB class -> OS.

What the tables hide, and what is done about it:

- `-Inf` days of follow-up is the maximum of nothing: not known, left out.
- Days are whole months (28, 30, 31, 59, ...). 0 is a death in the month of diagnosis, no missing value: these early
  deaths stay, as half a month. Alive with 0 days tells nothing and is left out.
- The allele fraction is given in percent and without read counts. No depth is made up for it: it is left out.
- A patient without a row in the MAF may have no mutation or no sequencing: no sample is listed.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from converter import HALF_A_MONTH, Converter, Flow, samples_table

CLINICAL = "tcga_laml_annot.tsv"
MUTATIONS = "tcga_laml.maf.gz"

#: Columns of the MAF that are kept, under the names of GDC.
COLUMNS = {
    "Hugo_Symbol": "Hugo_Symbol",
    "Chromosome": "Chromosome",
    "Start_Position": "Start_Position",
    "End_position": "End_Position",
    "Variant_Classification": "Variant_Classification",
    "Variant_Type": "Variant_Type",
    "Reference_Allele": "Reference_Allele",
    "Tumor_Seq_Allele2": "Tumor_Seq_Allele2",
    "Tumor_Sample_Barcode": "Tumor_Sample_Barcode",
    "Protein_Change": "HGVSp_Short",
}


def convert(source: Path, flow: Flow) -> dict[str, pd.DataFrame]:
    """Tables of the cohort folder from the MAF and its annotation."""
    clinical = pd.read_csv(source / CLINICAL, sep="\t", dtype=str, keep_default_na=False)
    clinical = clinical.rename(columns={"Tumor_Sample_Barcode": "patient_id"})
    days = pd.to_numeric(clinical["days_to_last_followup"], errors="coerce")
    clinical = clinical.assign(days=days, dead=clinical["Overall_Survival_Status"] == "1")
    clinical = flow.without(clinical, ~np.isfinite(clinical["days"]), "patients: days of follow-up blank or -Inf")
    unseen = (clinical["days"] <= 0) & ~clinical["dead"]
    clinical = flow.without(clinical, unseen, "patients: alive, no follow-up")
    early = clinical["days"] <= 0
    flow.note(int(early.sum()), "patients who died in the month of diagnosis, 0 days: set to half a month")

    maf = pd.read_csv(source / MUTATIONS, sep="\t", dtype=str, keep_default_na=False, comment="#")[list(COLUMNS)]
    maf = maf.rename(columns=COLUMNS)
    mine = maf["Tumor_Sample_Barcode"].isin(clinical["patient_id"])
    maf = flow.without(maf, ~mine, "variants of patients left out")
    flow.note(len(maf), "variants without their allele fraction: no read counts are given for it")
    sequenced = clinical.loc[clinical["patient_id"].isin(maf["Tumor_Sample_Barcode"]), "patient_id"]
    flow.note(len(clinical) - len(sequenced), "patients without a variant in the MAF: kept, without a sample")
    samples = samples_table(sequenced, "variants").assign(specimen="tissue")
    sample_of = dict(zip(samples["patient_id"], samples["sample_id"], strict=True))
    return {
        "patients.csv": pd.DataFrame(
            {"patient_id": clinical["patient_id"], "fab": clinical["FAB_classification"].replace("NA", None)}
        ),
        "outcomes.csv": pd.DataFrame(
            {
                "patient_id": clinical["patient_id"],
                "os_days": clinical["days"].where(~early, HALF_A_MONTH),
                "os_event": clinical["dead"].astype(int),
            }
        ),
        "samples.csv": samples,
        "variants.maf": maf.assign(Tumor_Sample_Barcode=maf["Tumor_Sample_Barcode"].map(sample_of)),
    }


CONVERTER = Converter(
    name="laml",
    folder="maftools_laml",
    files=(CLINICAL, MUTATIONS),
    origin=f"{CLINICAL} and {MUTATIONS}: inst/extdata/ of github.com/PoisonAlien/maftools.",
    settings={
        "description": "TCGA acute myeloid leukaemia, as distributed with maftools. Day 0 = diagnosis.",
        "licence": "TCGA open access",
        "endpoints": ["os"],
    },
    convert=convert,
)

if __name__ == "__main__":
    sys.exit(CONVERTER.main())
