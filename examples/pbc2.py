"""Mayo Clinic trial in primary biliary cirrhosis (Murtaugh et al., 1994): 16 years of serial laboratory values.

No cancer, and the classic test of dynamic prediction: a model that reads the course must beat one that reads the
baseline. What the table hides, and what is done about it:

- Years are days / 365.24; turned back, all days are whole.
- Patients are alive, dead or transplanted. `os` is death or transplantation, whichever comes first (the composite
  endpoint of the published figures: transplantation is offered to those about to die, and censoring them there would
  call them well). `death` is death alone, censored at transplantation.
- Every row repeats the outcome; `status2` is the event again. They go to outcomes.csv and nowhere else.
- Signs are words ("Yes", "edema no diuretics"): they become numbers, blanks stay blanks.
- `stage` is the histologic stage of the first biopsy.
"""

import sys
from pathlib import Path

import pandas as pd
from converter import Converter, Flow, samples_table

VISITS = "pbc2.csv"
DAYS_PER_YEAR = 365.24
YES_NO = {"No": 0.0, "Yes": 1.0}

#: Column, name and unit of every analyte; signs have no unit.
ANALYTES = {
    "serBilir": ("bilirubin", "mg/dL"),
    "serChol": ("cholesterol", "mg/dL"),
    "albumin": ("albumin", "g/dL"),
    "alkaline": ("alkaline_phosphatase", "U/L"),
    "SGOT": ("ast", "U/L"),
    "platelets": ("platelets", "10^9/L"),
    "prothrombin": ("prothrombin_time", "s"),
    "histologic": ("histologic_stage", ""),
    "ascites": ("ascites", ""),
    "hepatomegaly": ("hepatomegaly", ""),
    "spiders": ("spiders", ""),
    "edema": ("edema", ""),
}
SIGNS = {
    **dict.fromkeys(("ascites", "hepatomegaly", "spiders"), YES_NO),
    "edema": {"No edema": 0.0, "edema no diuretics": 0.5, "edema despite diuretics": 1.0},
}


def convert(source: Path, flow: Flow) -> dict[str, pd.DataFrame]:
    """Tables of the cohort folder from the table of visits."""
    visits = pd.read_csv(source / VISITS)
    visits["patient_id"] = "PBC" + visits["id"].astype(str).str.zfill(3)
    visits["day"] = (visits["year"] * DAYS_PER_YEAR).round()
    visits["end"] = (visits["years"] * DAYS_PER_YEAR).round()
    visits = flow.without(visits, visits["day"] > visits["end"], "visits after the end of follow-up")
    visits = visits.sort_values(["patient_id", "day"], kind="stable", ignore_index=True)
    for column, codes in SIGNS.items():
        visits[column] = visits[column].map(codes)
    samples = samples_table(visits["patient_id"], "labs", visits["day"]).assign(specimen="serum")
    wide = visits[list(ANALYTES)].assign(sample_id=samples["sample_id"])
    labs = wide.melt(id_vars="sample_id", var_name="column", value_name="value")
    labs = flow.without(labs, labs["value"].isna(), "blank values")
    labs["analyte"] = labs["column"].map({column: name for column, (name, _) in ANALYTES.items()})
    labs["unit"] = labs["column"].map({column: unit for column, (_, unit) in ANALYTES.items()})

    first = visits.drop_duplicates("patient_id")
    transplanted = first["status"] == "transplanted"
    flow.note(int(transplanted.sum()), "patients transplanted: an event of `os`, censored in `death`")
    return {
        "patients.csv": pd.DataFrame(
            {
                "patient_id": first["patient_id"],
                "stage": first["histologic"],
                "age": first["age"].round(1),
                "sex": first["sex"],
                "drug": first["drug"],
            }
        ),
        "outcomes.csv": pd.DataFrame(
            {
                "patient_id": first["patient_id"],
                "os_days": first["end"],
                "os_event": (first["status"] != "alive").astype(int),
                "death_days": first["end"],
                "death_event": (first["status"] == "dead").astype(int),
            }
        ),
        "samples.csv": samples,
        "labs.csv": labs[["sample_id", "analyte", "value", "unit"]],
    }


CONVERTER = Converter(
    name="pbc2",
    folder="pbc2",
    files=(VISITS,),
    origin=f"{VISITS}: the data set pbc2 of the R packages JM and JMbayes2 (CRAN), as CSV.",
    settings={
        "description": "Primary biliary cirrhosis, Mayo Clinic 1974 to 1988. os = death or transplantation, "
        "death = death alone. Day 0 = entry into the trial.",
        "licence": "GPL-2 or later, as distributed with JM",
        "endpoints": ["os", "death"],
    },
    convert=convert,
)

if __name__ == "__main__":
    sys.exit(CONVERTER.main())
