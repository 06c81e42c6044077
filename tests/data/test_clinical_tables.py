"""Faults of patients, outcomes, samples, lesions, treatments and splits are found and named."""

from pathlib import Path

import pandas as pd
import pytest
from spoil import (
    LESIONS,
    OUTCOMES,
    PATIENTS,
    SAMPLES,
    SPLITS,
    TREATMENTS,
    Case,
    Spoil,
    assert_named,
    cell,
    edit,
    line,
    text,
    without,
)


def courses(row: str) -> Spoil:
    """A table of treatments with this row."""
    return text(TREATMENTS, f"patient_id,treatment,start_day,end_day\n{row}\n")


SPOILED: dict[str, Case] = {
    "column missing": (without(SAMPLES, "day"), SAMPLES, "day", "no such column"),
    "column misspelt": (
        edit(PATIENTS, lambda t: t.rename(columns={"patient_id": "Patient_ID"})),
        PATIENTS,
        "patient_id",
        "'Patient_ID'",
    ),
    "duplicate patient": (line(PATIENTS, patient_id="P000"), PATIENTS, "patient_id", "second time"),
    "duplicate sample": (
        line(SAMPLES, sample_id="P000-plasma-0", patient_id="P000", day=0, modality="plasma"),
        SAMPLES,
        "sample_id",
        "second time",
    ),
    "duplicate outcome": (line(OUTCOMES, patient_id="P000"), OUTCOMES, "patient_id", "second time"),
    "id is a path": (cell(SAMPLES, "sample_id", "../../etc/passwd"), SAMPLES, "sample_id", "names files"),
    "id holds a backslash": (cell(PATIENTS, "patient_id", "a\\b"), PATIENTS, "patient_id", "names files"),
    "id holds a control character": (cell(PATIENTS, "patient_id", "a\x07b"), PATIENTS, "patient_id", "names files"),
    "blank id": (cell(PATIENTS, "patient_id", None), PATIENTS, "patient_id", "blank"),
    "outcome of a stranger": (line(OUTCOMES, patient_id="X"), OUTCOMES, "patient_id", "not in patients.csv"),
    "sample of a stranger": (cell(SAMPLES, "patient_id", "X"), SAMPLES, "patient_id", "not in patients.csv"),
    "lesion of a stranger": (cell(LESIONS, "patient_id", "X"), LESIONS, "patient_id", "not in patients.csv"),
    "split of a stranger": (cell(SPLITS, "patient_id", "X"), SPLITS, "patient_id", "not in patients.csv"),
    "event flag 2": (cell(OUTCOMES, "os_event", 2), OUTCOMES, "os_event", "P000"),
    "event flag in words": (cell(OUTCOMES, "os_event", "dead"), OUTCOMES, "os_event", "'dead'"),
    "event flag TRUE": (edit(OUTCOMES, lambda t: t.assign(os_event="True")), OUTCOMES, "os_event", "'True'"),
    "no event column": (without(OUTCOMES, "os_event"), OUTCOMES, "os_event", "os_days is there"),
    "duration zero": (cell(OUTCOMES, "os_days", 0), OUTCOMES, "os_days", "positive"),
    "duration negative": (cell(OUTCOMES, "pfs_days", -3), OUTCOMES, "pfs_days", "positive"),
    "duration infinite": (cell(OUTCOMES, "os_days", "inf"), OUTCOMES, "os_days", "finite"),
    "half an endpoint": (cell(OUTCOMES, "os_days", None), OUTCOMES, "os_days", "beside os_event"),
    "pfs after os": (cell(OUTCOMES, "pfs_days", 30000), OUTCOMES, "pfs_days", "later than os_days"),
    "no outcome at all": (edit(OUTCOMES, lambda t: t[["patient_id"]]), OUTCOMES, "", "no outcome"),
    "response unknown": (cell(OUTCOMES, "response", "MR"), OUTCOMES, "response", "'MR'"),
    "response undated": (cell(OUTCOMES, "response_day", None), OUTCOMES, "response_day", "later visits"),
    "response never dated": (without(OUTCOMES, "response_day"), OUTCOMES, "response_day", "later visits"),
    "response before treatment": (cell(OUTCOMES, "response_day", -1), OUTCOMES, "response_day", "after day 0"),
    "date as day": (cell(SAMPLES, "day", "2024-01-31"), SAMPLES, "day", "calendar dates are refused"),
    "serial date as day": (cell(SAMPLES, "day", 45322), SAMPLES, "day", "calendar dates are refused"),
    "date of death": (cell(OUTCOMES, "os_days", "31/01/2024"), OUTCOMES, "os_days", "calendar dates are refused"),
    "date of birth": (edit(PATIENTS, lambda t: t.assign(born="1961-05-04")), PATIENTS, "born", "calendar dates"),
    "compact dates": (edit(PATIENTS, lambda t: t.assign(seen=20240131)), PATIENTS, "seen", "calendar dates"),
    "date among batches": (cell(SAMPLES, "batch", "12.03.2023"), SAMPLES, "batch", "calendar dates"),
    "covariate after day 0": (
        edit(PATIENTS, lambda t: t.assign(brain_day=5)),
        PATIENTS,
        "brain_day",
        "by day 0",
    ),
    "outcome as covariate": (edit(PATIENTS, lambda t: t.assign(os_days=100)), PATIENTS, "os_days", "tells the model"),
    "age in days": (cell(PATIENTS, "age", 22000), PATIENTS, "age", "0 to 120"),
    "age in words": (cell(PATIENTS, "age", "sixty"), PATIENTS, "age", "'sixty'"),
    "infinite covariate": (cell(PATIENTS, "ldh", "inf"), PATIENTS, "ldh", "finite"),
    "measurement with text": (
        edit(PATIENTS, lambda t: t.assign(ldh=["250 U/L", *range(101, 108)])),
        PATIENTS,
        "ldh",
        "plain number",
    ),
    "day missing": (cell(SAMPLES, "day", None), SAMPLES, "day", "fill it in"),
    "known before taken": (cell(SAMPLES, "available_day", -30), SAMPLES, "available_day", "before its sample"),
    "sample after death": (cell(SAMPLES, "day", 20000), SAMPLES, "day", "after death"),
    "pass_qc in words": (cell(SAMPLES, "pass_qc", "yes"), SAMPLES, "pass_qc", "'yes'"),
    "visits half labelled": (cell(SAMPLES, "visit", "base"), SAMPLES, "visit", "every sample"),
    "no patient": (text(PATIENTS, "patient_id\n"), PATIENTS, "", "no patient"),
    "repeated fold": (line(SPLITS, patient_id="P000", repeat=0, fold=2), SPLITS, "patient_id", "second fold"),
    "patient without fold": (edit(SPLITS, lambda t: t.drop(index=0)), SPLITS, "repeat 0", "P000"),
    "single fold": (edit(SPLITS, lambda t: t.assign(fold=0)), SPLITS, "fold", "at least two"),
    "lesion negative": (cell(LESIONS, "diameter_mm", -1), LESIONS, "diameter_mm", "at least 0|0 to"),
    "lesion target in words": (cell(LESIONS, "target", "yes"), LESIONS, "target", "'yes'"),
    "treatment of a stranger": (courses("X,chemotherapy,0,84"), TREATMENTS, "patient_id", "not in patients.csv"),
    "treatment without a name": (courses("P000,,0,84"), TREATMENTS, "treatment", "name the treatment"),
    "treatment without a start": (courses("P000,chemotherapy,,84"), TREATMENTS, "start_day", "fill it in"),
    "treatment ends before it starts": (courses("P000,chemotherapy,84,0"), TREATMENTS, "end_day", "starts or later"),
    "treatment with a date": (courses("P000,chemotherapy,2024-01-31,"), TREATMENTS, "start_day", "calendar dates"),
    "lesion twice": (edit(LESIONS, lambda t: pd.concat([t, t.head(1)])), LESIONS, "lesion_id", "one row"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_fault_is_found_and_named(folder: Path, name: str) -> None:
    assert_named(folder, SPOILED[name])
