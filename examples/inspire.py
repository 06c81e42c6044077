"""INSPIRE (Bratman et al., Nature Cancer 1:873, 2020): pembrolizumab, ctDNA and tumour size -> response, PFS, OS.

What the tables hide, and what is done about it:

- `ctDNA.csv` holds no ctDNA: its rows are CT scans, weeks on treatment and percent change of tumour size. Weeks lie
  4 or 5 hours short of whole days (a time zone, with summer time); rounded, scans meet the days of progression.
- ctDNA itself is a level at baseline, and an increase or decrease "to cycle 3". That is a later sample and no
  covariate: cycle 3 starts on day 42, and the result is taken as known a week later, since the true day is not given.
- `ctdna_status` (clearance at any time) is a label of the whole course, and `cbr` (benefit to cycle 6) is an outcome:
  neither is ever an input.
- `orr` tells CR/PR from SD/PD alone: they are written PR and SD. The day of the response is not given. A model may
  not see any scan that is part of it, so it is dated at the first scan, or at progression if that comes first; for
  patients never scanned at the median day of the first scan.
- Times are in months: 1 month = 30.4375 days gives whole days. Scans after the end of follow-up are left out.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from converter import DAYS_PER_MONTH, Converter, Flow, samples_table

PATIENTS = "pembrolizumab.csv"
SCANS = "ctDNA.csv"
TUMOURS = {"A": "head and neck", "B": "breast", "C": "ovary", "D": "melanoma", "E": "other"}
CYCLE_3_DAY = 42
CYCLE_3_KNOWN = 49


def convert(source: Path, flow: Flow) -> dict[str, pd.DataFrame]:
    """Tables of the cohort folder from the two public tables."""
    raw = pd.read_csv(source / PATIENTS).rename(columns={"id": "patient_id"})
    scans = pd.read_csv(source / SCANS).rename(columns={"id": "patient_id"})
    scans["day"] = np.ceil((scans["time"] * 7).round(3))
    raw["os_days"] = (raw["os_time"] * DAYS_PER_MONTH).round()
    raw["pfs_days"] = (raw["pfs_time"] * DAYS_PER_MONTH).round()
    outcomes = _outcomes(raw, scans)

    scans = scans.merge(raw[["patient_id", "os_days"]], on="patient_id")
    scans = flow.without(scans, scans["size_change"].isna(), "scans without a tumour size")
    scans = flow.without(scans, scans["day"] > scans["os_days"], "scans after the end of follow-up")
    scans = scans.sort_values(["patient_id", "day"], kind="stable")
    labs = samples_table(scans["patient_id"], "labs", scans["day"]).assign(specimen="imaging")
    baseline = samples_table(raw["patient_id"], "plasma").assign(specimen="plasma")
    later = raw[raw["change_ctdna_group"].notna()]
    flow.note(len(raw) - len(later), "patients without a ctDNA sample at cycle 3: kept")
    course = samples_table(later["patient_id"], "plasma", CYCLE_3_DAY).assign(specimen="plasma")
    course["sample_id"] = course["sample_id"].str.removesuffix("0") + "c3"
    plasma = pd.concat(
        [
            pd.DataFrame(
                {"sample_id": baseline["sample_id"], "ctdna": baseline["patient_id"].map(_by_id(raw, "baseline_ctdna"))}
            ),
            pd.DataFrame(
                {"sample_id": course["sample_id"], "ctdna_increase": course["patient_id"].map(_increase(later))}
            ),
        ]
    )
    flow.note(2, "columns: ctdna_status and cbr look into the future")
    return {
        "patients.csv": pd.DataFrame(
            {
                "patient_id": raw["patient_id"],
                "tumour": raw["cohort"].map(TUMOURS),
                "age": raw["age"].round(1),
                "sex": raw["sex"].str.lower(),
                "target_size_mm": raw["l_size"],
                "pdl1_percent": raw["pdl1"],
                "log_tmb": raw["tmb"],
            }
        ),
        "outcomes.csv": outcomes,
        "samples.csv": pd.concat(
            [
                baseline.assign(available_day=0, visit="baseline"),
                course.assign(available_day=CYCLE_3_KNOWN, visit="cycle 3"),  # apart from a scan in the same week
                labs.assign(available_day=labs["day"], visit="scan " + labs["day"].astype(int).astype(str)),
            ]
        ),
        "plasma.csv": plasma,
        "labs.csv": pd.DataFrame({"sample_id": labs["sample_id"], "size_change_percent": scans["size_change"]}),
    }


def _outcomes(raw: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    first_scan = scans.groupby("patient_id")["day"].min()
    assessed = raw["patient_id"].map(first_scan).fillna(first_scan.median())
    return pd.DataFrame(
        {
            "patient_id": raw["patient_id"],
            "os_days": raw["os_days"],
            "os_event": raw["os_status"].astype(int),
            "pfs_days": raw["pfs_days"],
            "pfs_event": raw["pfs_status"].astype(int),
            "response": np.where(raw["orr"] == "CR/PR", "PR", "SD"),
            "response_day": np.minimum(assessed, raw["pfs_days"]),
        }
    )


def _by_id(table: pd.DataFrame, column: str) -> "pd.Series[float]":
    return table.set_index("patient_id")[column]


def _increase(table: pd.DataFrame) -> "pd.Series[float]":
    return (_by_id(table, "change_ctdna_group") == "Increase from baseline").astype(float)


CONVERTER = Converter(
    name="inspire",
    folder="inspire_pembro_ctdna",
    files=(PATIENTS, SCANS),
    origin=f"{PATIENTS} and {SCANS}: the data sets pembrolizumab and ctDNA of the R package reportRmd (CRAN), as CSV.",
    settings={
        "description": "Pembrolizumab in advanced solid tumours (Bratman et al., Nature Cancer 2020). Response: PR "
        "stands for CR or PR, SD for SD or PD. Day 0 = start of treatment.",
        "licence": "MIT, as distributed with reportRmd",
        "endpoints": ["os", "pfs"],
        "labs": {"units": {"size_change_percent": "%"}},
    },
    convert=convert,
)

if __name__ == "__main__":
    sys.exit(CONVERTER.main())
