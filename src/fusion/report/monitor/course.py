"""The measured course of a patient: tumour DNA and its calls, other blood values, sums of lesions, what was sampled."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fusion.data.recist import assess_lesions
from fusion.report.monitor.molecular import molecular_calls, times_lowest
from fusion.report.monitor.numbers import day, digits

Json = dict[str, Any]

#: Analytes that measure tumour DNA, best first, and how they are called.
TUMOUR_DNA = {"tumor_fraction": "ctDNA tumour fraction", "ctdna": "ctDNA", "mean_vaf": "ctDNA mean VAF"}
#: Markers drawn first; others follow in the order of their names.
MARKERS = ("progrp", "nse", "cyfra", "cyfra21_1", "cyfra_21_1", "ldh", "nlr")
BLOOD = ("plasma", "serum", "blood")

#: What is said of an assay at a visit: nothing known so far, known from an earlier visit, a new sample.
NEVER, EARLIER, NEW = 0, 1, 2


def by_patient(table: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """The rows of each patient; empty where there is no table."""
    if table is None or not len(table):
        return {}
    return {str(patient): rows for patient, rows in table.groupby(table["patient_id"].astype(str), sort=False)}


def tidy_serial(serial: pd.DataFrame | None) -> pd.DataFrame | None:
    """Known values in order of time, with every optional column."""
    if serial is None or not len(serial):
        return None
    table = serial.copy()
    for name in ("lod", "detected"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float) if name in table else np.nan
    table["unit"] = table["unit"].fillna("").astype(str) if "unit" in table else ""
    table["value"] = pd.to_numeric(table["value"], errors="coerce").astype(float)
    known = np.isfinite(table["value"].to_numpy()) & np.isfinite(table["day"].to_numpy(dtype=float))
    return table[known].sort_values(["patient_id", "day", "visit"], kind="stable")


def tumour_dna_analyte(serial: pd.DataFrame | None) -> str | None:
    """The analyte that stands for tumour DNA in this cohort, or None."""
    found = set() if serial is None else set(serial["analyte"])
    return next((name for name in TUMOUR_DNA if name in found), None)


def tumour_dna(rows: pd.DataFrame | None, analyte: str | None) -> list[list[Any]]:
    """Samples as [day, value, limit, detected, visit, call, fall, times the lowest before it].

    A value of 0 is kept; the page draws the limit.
    """
    if rows is None or analyte is None:
        return []
    mine = rows[rows["analyte"] == analyte]
    columns = [mine[name].to_numpy(dtype=np.float64) for name in ("day", "value", "lod", "detected")]
    calls = molecular_calls(*columns)
    rises = times_lowest(*columns)
    return [
        [
            day(d),
            digits(v),
            digits(limit),
            int(each.detected),
            int(visit),
            each.call,
            digits(each.fall, 3),
            digits(x, 3),
        ]
        for d, v, limit, visit, each, x in zip(*columns[:3], mine["visit"], calls, rises, strict=True)
    ]


def markers(rows: pd.DataFrame | None, analyte: str | None) -> list[list[Any]]:
    """Other blood values as [name, unit, [[day, value, visit], ...]], markers of the disease first."""
    if rows is None:
        return []
    others = rows[rows["analyte"] != analyte]
    series = {}
    for (assay, name), mine in others.groupby(["assay", "analyte"], sort=True):
        points = [[day(d), digits(v), int(visit)] for d, v, visit in mine[["day", "value", "visit"]].to_numpy(object)]
        series[(assay, name)] = [str(name), mine["unit"].iloc[0], points]
    return [series[key] for key in sorted(series, key=lambda key: (_place(str(key[1])), str(key[0]), str(key[1])))]


def _place(name: str) -> int:
    return MARKERS.index(name.lower()) if name.lower() in MARKERS else len(MARKERS)


def scans(lesions: pd.DataFrame | None) -> dict[str, list[list[Any]]]:
    """By patient: scans as [day, sum of target diameters in mm, change, RECIST response, new lesion]."""
    if lesions is None or not len(lesions):
        return {}
    assessed = assess_lesions(lesions)
    return {
        patient: [
            [day(d), digits(size), digits(change, 3), response, int(new)]
            for d, size, change, response, new in zip(
                *(rows[name] for name in ("scan_day", "target_sum", "change", "overall_response", "new_lesion")),
                strict=True,
            )
        ]
        for patient, rows in by_patient(assessed).items()
    }


def courses(treatments: pd.DataFrame | None) -> dict[str, list[list[Any]]]:
    """By patient: courses of treatment as [name, first day, last day or null], in the order of their starts."""
    if treatments is None:
        return {}
    return {
        patient: [
            [str(name), day(start), day(end)]
            for name, start, end in zip(rows["treatment"], rows["start_day"], rows["end_day"], strict=True)
        ]
        for patient, rows in by_patient(treatments.sort_values("start_day", kind="stable")).items()
    }


def sampled(rows: pd.DataFrame | None, modalities: tuple[str, ...], visits: list[int]) -> list[list[int]]:
    """Per modality and visit: `NEVER`, `EARLIER` or `NEW`."""
    found: Mapping[str, set[int]] = {}
    if rows is not None:
        found = {str(name): {int(v) for v in mine["visit"]} for name, mine in rows.groupby("modality")}
    return [[_state(found.get(name, set()), visit) for visit in visits] for name in modalities]


def _state(found: set[int], visit: int) -> int:
    if visit in found:
        return NEW
    return EARLIER if any(other < visit for other in found) else NEVER


def blood_draws(samples: pd.DataFrame | None, serial: pd.DataFrame | None) -> list[Any]:
    """Days on which blood was drawn."""
    days: set[float] = set()
    if serial is not None:
        days |= {float(each) for each in serial["day"].dropna()}
    if samples is not None and {"day", "specimen"} <= set(samples):
        blood = samples["specimen"].astype(str).str.lower().isin(BLOOD)
        days |= {float(each) for each in samples.loc[blood, "day"].dropna()}
    return [day(each) for each in sorted(days)]


def beyond_training(
    outside: "pd.Series[Any] | None", known: Mapping[str, tuple[Any, str]], training: Mapping[str, Any]
) -> Json | None:
    """How far a patient is outside the range of training: None where that is not known.

    Args:
        outside: The patient's row of `outside_training`.
        known: Value and unit of the patient's covariates; blood values of the first visit as `labs:ldh`.
        training: `training_summary.json`.

    Returns:
        `of`: numeric covariates that the patient has and training has a range of; `out`: those outside as
        [name, value, unit, low, high, unit in training]; `new`: covariates with a class that training hardly had;
        `combination`: whether training had the same assays at the first visit.
    """
    ranged = {name: each for name, each in training.get("covariates", {}).items() if "quantiles" in each}
    if outside is None or not ranged:
        return None
    names = [name for name in str(outside.get("outside") or "").split("; ") if name in ranged]
    value = {name: known.get(name, (None, "")) for name in ranged}
    low_high = {name: (ranged[name]["quantiles"]["1"], ranged[name]["quantiles"]["99"]) for name in names}
    # A value must be known to lie outside.
    have = {name for name, (number, _) in value.items() if digits(number) is not None} | set(names)
    seen = outside.get("combination_seen")
    return {
        "of": len(have),
        "out": [
            [name, digits(value[name][0]), value[name][1], *map(digits, low_high[name]), ranged[name].get("unit", "")]
            for name in names
        ],
        "new": [name for name in str(outside.get("new_classes") or "").split("; ") if name],
        "combination": None if seen is None or pd.isna(seen) else bool(seen),
    }
