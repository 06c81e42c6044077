"""Checks patients, outcomes, samples, lesions, treatments and splits, each by itself and against each other."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.problems import Problem
from fusion.data.schema import DEATH_TOLERANCE, OLDEST, PARTLY_KNOWN, REQUIRED_COLUMNS, RESPONSES, TableCheck

LeftOut = tuple[str, str, str, int]


@dataclass(frozen=True)
class Checked:
    """What a check leaves: the cleaned table, as the `Cohort` holds it, and what was left out of it."""

    table: pd.DataFrame
    left_out: tuple[LeftOut, ...] = ()


def check_patients(check: TableCheck, outcome_columns: Collection[str]) -> Checked | None:
    """Baseline covariates by patient; None when there is no `patient_id` to go by.

    Args:
        check: The table.
        outcome_columns: Columns of the outcomes table: none of them is a baseline covariate.
    """
    if not check.require(REQUIRED_COLUMNS["patients"]):
        return None
    ids = check.ids("patient_id", unique=True)
    if not len(check):
        check.problems.append(Problem(check.file, "", "", "no patient", "write one row per patient"))
    covariates: dict[str, object] = {}
    left_out: list[LeftOut] = []
    for column in check.table.columns.drop("patient_id"):
        name = str(column)
        if name in outcome_columns:
            remedy = "take it out: an outcome among the covariates tells the model what it is to predict"
            check.problems.append(Problem(check.file, "", name, "a column of outcomes", remedy))
            continue
        if name.endswith("_day"):
            day = check.days(name, blank=True)
            remedy = "a baseline covariate must be known by day 0: blank what was learned later"
            check.note(day > 0, name, remedy)
            left_out.append((check.file, name, "dates a covariate, is none itself", 1))
            continue
        if check.refuse_dates(name):
            continue
        values = _covariate(check, name)
        if pd.isna(values).all() and len(check):
            left_out.append((check.file, name, "covariate blank for every patient", 1))
        else:
            covariates[name] = values
    table = pd.DataFrame(covariates, index=pd.Index(ids, name="patient_id", dtype=object))
    return Checked(table, tuple(left_out))


def _covariate(check: TableCheck, name: str) -> NDArray[np.float64] | NDArray[np.object_]:
    """Numbers as float64, anything else as text with None where blank."""
    cells = check.table[name]
    if name == "age":
        return check.numbers(name, low=0, high=OLDEST, unit=" years")
    if pd.api.types.is_numeric_dtype(cells):
        return check.numbers(name)
    text = check.texts(name)
    number = pd.to_numeric(text, errors="coerce")
    if number.nunique() > 5:  # a measurement; a grade like 1, 2, 3a has few levels
        return check.numbers(name)
    return text.where(text != "", None).to_numpy(dtype=object)


def endpoints_of(columns: Collection[str]) -> tuple[str, ...]:
    """Endpoints named by a pair of columns `E_days`, `E_event`, in order of the table."""
    names = [str(column) for column in columns]
    return tuple(n.removesuffix("_days") for n in names if n.endswith("_days") and f"{n[:-5]}_event" in names)


def check_outcomes(check: TableCheck, patients: Collection[str], named: Collection[str]) -> Checked | None:
    """Endpoints and response by patient, in the order of `patients`.

    Args:
        check: The table.
        patients: Ids of patients.csv.
        named: Endpoints that cohort.yaml asks for.
    """
    if not check.require(REQUIRED_COLUMNS["outcomes"]):
        return None
    ids = check.ids("patient_id", unique=True)
    check.known(ids, "patient_id", patients, "patients.csv")
    _require_pairs(check, named)
    endpoints = endpoints_of(check.table.columns)
    if not endpoints and "response" not in check:
        remedy = "add at least one endpoint, such as os_days and os_event, or response"
        check.problems.append(Problem(check.file, "", "", "no outcome", remedy))
    columns: dict[str, object] = {}
    left_out: list[LeftOut] = []
    for endpoint in endpoints:
        days, event = _endpoint(check, endpoint)
        columns[f"{endpoint}_days"] = days
        columns[f"{endpoint}_event"] = pd.array(np.where(np.isnan(event), None, event == 1), dtype="boolean")
        unknown = np.isnan(days) | np.isnan(event)
        left_out += [(check.file, i, f"{endpoint} not known", 1) for i in ids[unknown]]
    if {"os", "pfs"} <= set(endpoints):
        pfs, os = (np.asarray(columns[name], dtype=np.float64) for name in ("pfs_days", "os_days"))
        longer = pfs > os + 1e-6
        found = [f"{p:g}, later than os_days {o:g}" for p, o in zip(pfs, os, strict=True)]
        check.note(longer, "pfs_days", "death ends progression-free survival: correct one of the two", found)
    if "response" in check:
        response = _response(check)
        columns["response"] = response
        unknown = pd.isna(response) | (response == "NE")
        left_out += [(check.file, i, "response not known or not evaluable", 1) for i in ids[unknown]]
    if "response_day" in check:
        day = check.days("response_day", blank=True)
        check.note(day <= 0, "response_day", "date the assessment after day 0, the start of treatment")
        columns["response_day"] = day
    left_out += _unused(check, {"patient_id", *columns})
    followed = set(ids)
    missing = [patient for patient in patients if patient not in followed]
    left_out += [(check.file, patient, "no outcome row", 1) for patient in missing]
    table = pd.DataFrame(columns, index=pd.Index(ids, name="patient_id", dtype=object))
    return Checked(table[~table.index.duplicated()].reindex(list(patients)), tuple(left_out))


def _unused(check: TableCheck, used: Collection[str]) -> list[LeftOut]:
    """Columns that nothing reads are left out; dates are refused there too."""
    names = [str(column) for column in check.table.columns if str(column) not in used]
    for name in names:
        check.refuse_dates(name)
    return [(check.file, name, "column not used", 1) for name in names]


def _require_pairs(check: TableCheck, named: Collection[str]) -> None:
    wanted = {f"{endpoint}{end}": "cohort.yaml names it" for endpoint in named for end in ("_days", "_event")}
    for column in [str(c) for c in check.table.columns]:
        for end, other in (("_days", "_event"), ("_event", "_days")):
            if column.endswith(end) and column != end:
                wanted[column.removesuffix(end) + other] = f"{column} is there"
    for column, reason in wanted.items():
        if column not in check:
            remedy = f"add it: {reason}, and an endpoint needs E_days and E_event"
            check.problems.append(Problem(check.file, "", column, "no such column", remedy))


def _endpoint(check: TableCheck, endpoint: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    days, event = check.days(f"{endpoint}_days", blank=True), check.flags(f"{endpoint}_event")
    check.note(
        days <= 0, f"{endpoint}_days", "a duration counts from day 0 and is positive; leave it blank if not known"
    )
    no_days = check.table[f"{endpoint}_days"].isna().to_numpy(dtype=bool)
    no_event = check.table[f"{endpoint}_event"].isna().to_numpy(dtype=bool)
    remedy = "give both the days and the flag, or leave both blank"
    check.note(no_days & ~no_event, f"{endpoint}_days", remedy, f"a blank beside {endpoint}_event")
    check.note(no_event & ~no_days, f"{endpoint}_event", remedy, f"a blank beside {endpoint}_days")
    return days, event


def _response(check: TableCheck) -> NDArray[np.object_]:
    text = check.texts("response")
    known = text.isin((*RESPONSES, *PARTLY_KNOWN)) | (text == "")
    check.note(~known.to_numpy(dtype=bool), "response", f"write one of {' '.join(RESPONSES)}, or leave it blank")
    return text.where(text != "", None).to_numpy(dtype=object)


def check_samples(check: TableCheck, patients: Collection[str]) -> Checked | None:
    """Samples that passed QC, by `sample_id`; a `visit` column is kept as labels."""
    if not check.require(REQUIRED_COLUMNS["samples"]):
        return None
    ids = check.ids("sample_id", unique=True)
    owner = check.ids("patient_id")
    check.known(owner, "patient_id", patients, "patients.csv")
    day = check.days("day")
    available = check.days("available_day", blank=True) if "available_day" in check else np.full(len(check), np.nan)
    check.note(available < day, "available_day", "a result cannot be known before its sample was taken (`day`)")
    modality = check.texts("modality")
    check.note((modality == "").to_numpy(dtype=bool), "modality", "name the assay")
    passed = check.flags("pass_qc") if "pass_qc" in check else np.ones(len(check))
    blank = pd.Series("", index=check.table.index, dtype=object)
    table = pd.DataFrame(
        {
            "patient_id": owner.to_numpy(dtype=object),
            "modality": modality.to_numpy(dtype=object),
            "specimen": (check.texts("specimen") if "specimen" in check else blank).to_numpy(dtype=object),
            "batch": (check.texts("batch") if "batch" in check else blank).to_numpy(dtype=object),
            "day": day,
            "available_day": np.where(np.isnan(available), day, available),
        },
        index=pd.Index(ids, name="sample_id", dtype=object),
    )
    if "visit" in check:
        label = check.texts("visit")
        table["visit"] = label.where(label != "", None).to_numpy(dtype=object)
        some = label.eq("").groupby(owner).transform("nunique") > 1
        remedy = "label every sample of a patient with its visit, or none"
        check.note((some & label.eq("")).to_numpy(dtype=bool), "visit", remedy, "a blank beside labelled samples")
    for name in check.table.columns:
        if str(name) not in {"sample_id", "patient_id", "day", "available_day", "modality", "pass_qc"}:
            check.refuse_dates(str(name))
    failed = passed == 0
    left_out = tuple((check.file, i, "failed QC (pass_qc = 0)", 1) for i in ids[failed])
    return Checked(table[~failed], left_out)


def check_lesions(check: TableCheck, patients: Collection[str]) -> Checked | None:
    """The lesions table, days and sizes as numbers."""
    if not check.require(REQUIRED_COLUMNS["lesions"]):
        return None
    table = check.table.copy()
    table["patient_id"] = check.ids("patient_id").to_numpy(dtype=object)
    check.known(table["patient_id"], "patient_id", patients, "patients.csv")
    table["lesion_id"] = check.ids("lesion_id").to_numpy(dtype=object)
    table["scan_day"] = check.days("scan_day")
    table["diameter_mm"] = check.numbers("diameter_mm", low=0, high=1000, unit=" mm")
    table["target"] = check.flags("target", blank=False)
    for name in ("nodal", "new_lesion"):
        if name in check:
            table[name] = check.flags(name)
    twice = table.duplicated(["patient_id", "scan_day", "lesion_id"]).to_numpy(dtype=bool)
    check.note(twice, "lesion_id", "keep one row per patient, scan and lesion")
    for name in check.table.columns.difference(REQUIRED_COLUMNS["lesions"]):
        check.refuse_dates(str(name))
    return Checked(table)


def check_treatments(check: TableCheck, patients: Collection[str]) -> Checked | None:
    """Courses of treatment: name, first day and, where it has ended, last day (NaN: it goes on, or is not known)."""
    if not check.require(REQUIRED_COLUMNS["treatments"]):
        return None
    owner = check.ids("patient_id")
    check.known(owner, "patient_id", patients, "patients.csv")
    name = check.texts("treatment")
    check.note((name == "").to_numpy(dtype=bool), "treatment", "name the treatment")
    check.refuse_dates("treatment")
    start = check.days("start_day")
    end = check.days("end_day", blank=True) if "end_day" in check else np.full(len(check), np.nan)
    check.note(
        end < start, "end_day", "a treatment ends on the day it starts or later; leave it blank while it goes on"
    )
    columns = {"patient_id": owner, "treatment": name, "start_day": start, "end_day": end}
    table = pd.DataFrame({key: np.asarray(values) for key, values in columns.items()})
    return Checked(table, tuple(_unused(check, columns)))


def check_splits(check: TableCheck, patients: Collection[str]) -> Checked | None:
    """The splits table: every patient in exactly one of at least two folds of every repeat."""
    if not check.require(REQUIRED_COLUMNS["splits"]):
        return None
    ids = check.ids("patient_id")
    known = check.known(ids, "patient_id", patients, "patients.csv")
    table = pd.DataFrame({"patient_id": ids.to_numpy(dtype=object)})
    for name in ("repeat", "fold"):
        values = check.numbers(name, low=0, blank=False)
        check.note(values % 1 > 0, name, "number them 0, 1, 2, ...")
        table[name] = np.nan_to_num(values).astype(np.int64)
    twice = table.duplicated(["patient_id", "repeat"]).to_numpy(dtype=bool)
    check.note(twice, "patient_id", "keep one row per patient and repeat", "a second fold for the patient")
    for repeat, part in table[known].groupby("repeat"):
        absent = sorted(set(patients) - set(part["patient_id"]))
        if absent:
            found = f"no fold for {len(absent)} patients ({', '.join(absent[:3])}, ...)"
            check.problems.append(
                Problem(check.file, f"repeat {repeat}", "fold", found, "give every patient a fold in every repeat")
            )
        if part["fold"].nunique() < 2:
            check.problems.append(Problem(check.file, f"repeat {repeat}", "fold", "one fold", "use at least two"))
    return Checked(table)


def check_order_of_events(
    samples: TableCheck, outcomes: TableCheck, sample_table: pd.DataFrame, outcome_table: pd.DataFrame
) -> None:
    """What samples and outcomes tell together: samples of the dead, responses that have no place in time."""
    if {"os_days", "os_event"} <= set(outcome_table.columns):
        death = outcome_table["os_days"].where(outcome_table["os_event"].fillna(False).astype(bool))
        row_owner = samples.texts("patient_id")
        day = pd.to_numeric(samples.table["day"], errors="coerce").to_numpy(dtype=np.float64)
        died = row_owner.map(death[~death.index.duplicated()]).to_numpy(dtype=np.float64)
        found = [f"{d:g}, after death on day {o:g}" for d, o in zip(day, died, strict=True)]
        samples.note(day > died + DEATH_TOLERANCE, "day", "correct the day, the patient or the outcome", found)
    if "response" in outcome_table:
        later = set(sample_table.loc[sample_table["available_day"] > 0, "patient_id"])
        ids = outcomes.texts("patient_id")
        known = outcomes.texts("response").isin(RESPONSES[:-1])
        undated = outcomes.table["response_day"].isna() if "response_day" in outcomes else pd.Series(True, ids.index)
        bad = (known & undated & ids.isin(later)).to_numpy(dtype=bool)
        remedy = "give the day of the assessment: later visits may only predict what still lies ahead of them"
        outcomes.note(bad, "response_day", remedy, "a response without its day, in a patient with later visits")
