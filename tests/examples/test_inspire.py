"""INSPIRE: scans meet the days of progression, and nothing that looks ahead is an input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from converter import DAYS_PER_MONTH, Flow
from inspire import CONVERTER, PATIENTS, SCANS

from fusion.data.cohort import Cohort
from fusion.data.tables import read_labs, read_plasma

NAN = float("nan")


def write_source(folder: Path) -> Path:
    rows = [  # id, cohort, ctDNA, change, orr, os_status, os days, pfs_status, pfs days
        ("I-1", "A", 113.8, "Increase from baseline", "SD/PD", 1, 199, 1, 53),
        ("I-2", "E", 0.0, "Decrease from baseline", "CR/PR", 0, 400, 0, 400),
        ("I-3", "D", 86.0, NAN, "SD/PD", 1, 17, 1, 17),
        ("I-4", "B", 5.0, NAN, "CR/PR", 0, 300, 1, 200),
    ]
    columns = ["id", "cohort", "baseline_ctdna", "change_ctdna_group", "orr", "os_status", "os_time", "pfs_status"]
    patients = pd.DataFrame(rows, columns=[*columns, "pfs_time"])
    patients[["os_time", "pfs_time"]] /= DAYS_PER_MONTH
    patients = patients.assign(age=62.078, sex="Male", l_size=140.0, pdl1=[2.0, NAN, 0.0, 1.0], tmb=-0.35)
    patients.assign(cbr="PD/SD<C6").to_csv(folder / PATIENTS, index=False)
    scans = [  # Days 53, 85 and 127, 4 or 5 hours early by the time zone; day 410 lies after follow-up.
        ("I-1", 53 - 4 / 24, 41.7),
        ("I-2", 85 - 5 / 24, -30.0),
        ("I-2", 57 - 5 / 24, NAN),
        ("I-2", 127 - 4 / 24, -50.0),
        ("I-2", 410 - 4 / 24, -60.0),
    ]
    table = pd.DataFrame(scans, columns=["id", "time", "size_change"])
    table["time"] /= 7
    table.assign(cohort="A", ctdna_status="Clearance").to_csv(folder / SCANS, index=False)
    return folder


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return CONVERTER.write(write_source(tmp_path), tmp_path / "out", Flow())


def test_months_become_whole_days_and_scans_meet_progression(cohort: Cohort) -> None:
    assert cohort.outcomes["pfs_days"].tolist() == [53, 400, 17, 200]
    labs = cohort.samples_of("labs")
    assert labs["day"].tolist() == [53, 85, 127]  # without a size, or after the end of follow-up: left out
    values, units = read_labs(cohort.folder / "labs.csv")
    assert values.loc[labs.index, "size_change_percent"].tolist() == [41.7, -30, -50]
    assert not units  # a wide table; the unit stands in cohort.yaml
    assert cohort.settings["labs"]["units"] == {"size_change_percent": "%"}


def test_response_is_dated_before_any_scan_could_tell_it(cohort: Cohort) -> None:
    assert cohort.outcomes["response"].tolist() == ["SD", "PR", "SD", "PR"]
    # First scan (one without a size is a scan, too); progression before any scan; never scanned: median of 53 and 57.
    assert cohort.outcomes["response_day"].tolist() == [53, 57, 17, 55]
    first = cohort.samples_of("labs").groupby("patient_id")["available_day"].min()
    assert (first >= cohort.outcomes["response_day"].reindex(first.index)).all()


def test_the_change_of_ctdna_is_a_later_sample_and_no_covariate(cohort: Cohort) -> None:
    assert set(cohort.patients) <= {"tumour", "age", "sex", "target_size_mm", "pdl1_percent", "log_tmb"}
    plasma = read_plasma(cohort.folder / "plasma.csv")
    samples = cohort.samples_of("plasma").join(plasma)
    baseline, later = samples[samples["day"] == 0], samples[samples["day"] > 0]
    assert baseline["ctdna"].tolist() == [113.8, 0, 86, 5]
    assert baseline["ctdna_increase"].isna().all()
    assert later["available_day"].tolist() == [49, 49]
    assert later["ctdna_increase"].tolist() == [1, 0]
    assert later["ctdna"].isna().all()
    # A scan four days later does not draw the sample into its own visit: both stay prediction times.
    assert cohort.visits.loc[cohort.visits["patient_id"] == "I-1", "day"].tolist() == [0, 49, 53]


def test_the_public_tables(public_tables: Callable[[str], Path], tmp_path: Path) -> None:
    source = public_tables("inspire_pembro_ctdna")
    cohort = CONVERTER.write(source, tmp_path, Flow())
    outcomes = cohort.outcomes
    assert (cohort.num_patients, int(outcomes["os_event"].sum()), int(outcomes["pfs_event"].sum())) == (94, 64, 82)
    assert outcomes["response"].value_counts().to_dict() == {"SD": 78, "PR": 16}
    exact = pd.read_csv(source / PATIENTS)["pfs_time"].to_numpy() * DAYS_PER_MONTH
    np.testing.assert_allclose(outcomes["pfs_days"], exact, atol=1e-6)  # a month of 30.4375 days, and whole days
    scan_days = set(cohort.samples_of("labs")["patient_id"] + cohort.samples_of("labs")["day"].astype(str))
    progressed = outcomes[outcomes["pfs_event"]]
    meets = pd.Series(progressed.index + progressed["pfs_days"].astype(str)).isin(scan_days)
    assert meets.mean() > 0.4  # with hours cut off instead of rounded up, almost none would
