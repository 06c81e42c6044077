"""Scans as samples: what lesions.csv tells of a day, known from the first visit that is not earlier."""

import numpy as np
import pandas as pd

#: Assay of the scans among the samples of a cohort. samples.csv does not list them: an assay of this name would have
#: the table of lesions as its file.
LESIONS = "lesions"


def scan_ids(patient_id: "pd.Series[str]", scan_day: "pd.Series[float]") -> "pd.Series[str]":
    """Sample id of each scan. It begins with a blank, as no id of a file may, so that it is nobody else's."""
    return " " + patient_id.astype(str) + " scan " + scan_day.map("{:g}".format).astype(str)


def with_scans(samples: pd.DataFrame, visits: pd.DataFrame, lesions: pd.DataFrame) -> pd.DataFrame:
    """The samples, and every scan that a visit has come after.

    A scan opens no visit: it is known from the first visit on or after its day, and one after the last visit is known
    at none. Scans before day 0 are known at the first visit.

    Args:
        samples: Index `sample_id`, with the columns of `Cohort.samples`.
        visits: `patient_id`, `visit`, `day`, as `Cohort.visits`.
        lesions: With `patient_id` and `scan_day`.
    """
    taken = lesions[["patient_id", "scan_day"]].drop_duplicates().astype({"patient_id": object, "scan_day": float})
    taken = taken.sort_values("scan_day", kind="stable")
    known = visits[["patient_id", "visit", "day"]].astype({"patient_id": object, "day": float})
    known = known.sort_values("day", kind="stable")
    placed = pd.merge_asof(
        taken, known, left_on="scan_day", right_on="day", by="patient_id", direction="forward"
    ).dropna(subset="visit")
    scans = pd.DataFrame(
        {
            "patient_id": placed["patient_id"],
            "modality": LESIONS,
            "specimen": "",
            "batch": "",
            "day": placed["scan_day"],
            "available_day": placed["scan_day"],
            "visit": placed["visit"].astype(np.int64),
        }
    ).set_axis(pd.Index(scan_ids(placed["patient_id"], placed["scan_day"]), name=samples.index.name))
    if samples.empty or scans.empty:  # pandas warns of tables without a row
        return samples if scans.empty else scans
    return pd.concat([samples, scans])
