"""Scans as samples: known at the first visit that is not earlier, and only there."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_tiny_cohort

from fusion.data.read import read_cohort
from fusion.data.scans import LESIONS, with_scans

DAYS = st.lists(st.integers(-30, 400), max_size=8)
COLUMNS = ["patient_id", "modality", "specimen", "batch", "day", "available_day", "visit"]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=8, unique=True), DAYS)
def test_a_scan_is_known_from_the_first_visit_that_is_not_earlier(visit_days: list[int], scan_days: list[int]) -> None:
    days = np.array(sorted(visit_days), dtype=np.float64)
    visits = pd.DataFrame({"patient_id": "A", "visit": np.arange(len(days)), "day": days})
    lesions = pd.DataFrame({"patient_id": "A", "scan_day": np.array(scan_days, dtype=np.float64)})
    none = pd.DataFrame(columns=COLUMNS, index=pd.Index([], name="sample_id"))
    scans = with_scans(none, visits, lesions)
    assert sorted(scans["day"]) == sorted(day for day in set(scan_days) if day <= days[-1])
    for day, visit in zip(scans["day"], scans["visit"], strict=True):
        assert days[visit] >= day
        assert visit == 0 or days[visit - 1] < day


def test_a_cohort_has_its_scans_among_the_samples_and_no_visit_more(tmp_path) -> None:
    folder = write_tiny_cohort(tmp_path / "cohort")
    cohort = read_cohort(folder)
    scans = cohort.samples_of(LESIONS)
    taken = cohort.lesions.groupby(["patient_id", "scan_day"]).ngroups
    last = cohort.visits.groupby("patient_id")["day"].max()
    assert 0 < len(scans) < taken
    assert (scans["day"] <= last[scans["patient_id"]].to_numpy()).all()
    assert cohort.samples.index.is_unique
    (folder / "lesions.csv").unlink()
    pd.testing.assert_frame_equal(read_cohort(folder).visits, cohort.visits)
