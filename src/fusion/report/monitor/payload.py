"""Everything that the page shows, as plain values for JSON: statistics are done here, the page only draws.

Probabilities are ten-thousandths, distances between them thousandths (a band would else double the file), columns run
over the visits of a patient, null is a blank.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.report.monitor import course
from fusion.report.monitor.answers import Extras, extras_of
from fusion.report.monitor.inputs import MonitorInput
from fusion.report.monitor.numbers import PARTS, day, digits, part, parts, thousandths
from fusion.report.monitor.outlook import (
    RESPONSE,
    answered_by,
    end_of,
    grid,
    mean_over_repeats,
    primary_task,
    risk_by,
)
from fusion.report.words import short_name, task_name

Json = dict[str, Any]


@dataclass(frozen=True)
class _Shared:
    """What is the same for all patients."""

    times: dict[float, str]
    low: dict[float, str]
    high: dict[float, str]
    endpoints: tuple[str, ...]
    primary: str | None
    analyte: str | None
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class _Said:
    """Predictions, averaged over repeats, by place.

    Attributes:
        visits: Day of each visit, by patient.
        place: Row of a task, patient and visit in the arrays below.
        curve: Probability of no event on the days of the grid, "V T".
        band: How far the lowest member's curve lies `below` it, and the highest one's `above`, "V T"; may be empty.
        risks: Probability of the event by each horizon, "V".
        response: Probability of response, "V".
    """

    visits: dict[str, dict[int, float]]
    place: dict[tuple[str, str, int], int]
    curve: NDArray[np.float64]
    band: dict[str, NDArray[np.float64]]
    risks: tuple[NDArray[np.float64], ...]
    response: NDArray[np.float64]


def payload(tables: MonitorInput) -> Json:
    """All that the page shows: `meta` and one entry of `patients` each, in the order of their ids."""
    rows = mean_over_repeats(tables.predictions)
    if tables.patients is not None:
        rows = rows[rows["patient_id"].isin(set(tables.patients.index.astype(str)))]
    serial = course.tidy_serial(tables.serial)
    shared = _shared(tables, rows, serial)
    said, extras = _said(tables, rows, shared), extras_of(tables)
    answered, scans = answered_by(tables.predictions), course.scans(tables.lesions)
    treated = course.courses(tables.treatments)
    serial_of, samples_of = course.by_patient(serial), course.by_patient(tables.samples)
    outside, covariates, outcomes = (
        _by_id(tables.outside, "patient_id"),
        _by_id(tables.patients),
        _by_id(tables.outcomes),
    )
    patients = []
    for patient, visits in sorted(said.visits.items()):
        about, measured = covariates.get(patient), serial_of.get(patient)
        entry = _predicted(patient, visits, said, shared, outcomes.get(patient), scans.get(patient, []))
        patients.append(
            {
                "id": patient,
                "answered": answered.get(patient, ""),
                "facts": _facts(about),
                **{name: _text(about, name) for name in ("stage", "site")},
                **entry,
                "draws": course.blood_draws(samples_of.get(patient), measured),
                "scans": scans.get(patient, []),
                "treated": treated.get(patient, []),
                "dna": course.tumour_dna(measured, shared.analyte),
                "markers": course.markers(measured, shared.analyte),
                "sampled": course.sampled(samples_of.get(patient), shared.modalities, entry["visit"]),
                "outside": course.beyond_training(outside.get(patient), _known(about, measured), tables.training),
                **_at_risk(extras.of(patient, entry["visit"]), entry),
            }
        )
    return {"meta": _meta(tables, shared, extras, rows), "patients": patients}


def _shared(tables: MonitorInput, rows: pd.DataFrame, serial: pd.DataFrame | None) -> _Shared:
    tasks = [str(task) for task in rows["task"].unique()]
    found = () if tables.samples is None else tuple(str(name) for name in tables.samples["modality"].unique())
    low, high = grid(rows, "lowest_survival"), grid(rows, "highest_survival")
    times = grid(rows)
    banded = set(times) == set(low) == set(high)
    return _Shared(
        times=times,
        low=low if banded else {},
        high=high if banded else {},
        endpoints=tuple(sorted((task for task in tasks if task != RESPONSE), key=_order)),
        primary=primary_task(tasks),
        analyte=course.tumour_dna_analyte(serial),
        modalities=tables.modalities or found,
    )


def _said(tables: MonitorInput, rows: pd.DataFrame, shared: _Shared) -> _Said:
    visits: dict[str, dict[int, float]] = {}
    place = {}
    keys = zip(rows["task"], rows["patient_id"], rows["visit"], rows["day"], strict=True)
    for i, (task, patient, visit, when) in enumerate(keys):
        visits.setdefault(patient, {})[int(visit)] = float(when)
        place[(str(task), patient, int(visit))] = i
    kinds = {"curve": shared.times, "low": shared.low, "high": shared.high}
    curves = {name: rows[list(columns.values())].to_numpy(np.float64) for name, columns in kinds.items() if columns}
    curve = curves.get("curve", np.zeros((len(rows), 0)))
    band = {name: abs(curve - curves[kind]) for name, kind in (("below", "low"), ("above", "high")) if kind in curves}
    times = np.array(list(shared.times), dtype=np.float64)
    responder = rows["prob_responder"].to_numpy(np.float64) if "prob_responder" in rows else np.full(len(rows), np.nan)
    return _Said(
        visits=visits,
        place=place,
        curve=curve,
        band=band,
        risks=tuple(risk_by(curve, times, horizon) for horizon in tables.horizons),
        response=responder,
    )


def _order(task: str) -> tuple[int, str]:
    """Progression first, then survival, then others."""
    first = ("pfs", "progression", "os", "death")
    return (first.index(task) if task in first else len(first), task)


def _meta(tables: MonitorInput, shared: _Shared, extras: Extras, rows: pd.DataFrame) -> Json:
    dna = course.TUMOUR_DNA.get(shared.analyte or "", "")
    return {
        "cohort": tables.cohort,
        "run": tables.run,
        "simulated": tables.simulated,
        "heldOut": tables.held_out,
        "members": tables.members,
        "repeats": int(rows["models"].max()) if len(rows) else 0,
        "parts": PARTS,
        "horizons": [digits(each) for each in tables.horizons],
        "times": [digits(each) for each in shared.times],
        "tasks": [[task, task_name(task), short_name(task)] for task in shared.endpoints],
        "primary": shared.primary,
        "hasResponse": bool((rows["task"] == RESPONSE).any()) if len(rows) else False,
        "hasBand": bool(shared.low),
        "modalities": list(shared.modalities),
        "dna": dna,
        "boundsLevel": tables.bounds_level,
        **extras.meta,
    }


def _predicted(
    patient: str, visits: dict[int, float], said: _Said, shared: _Shared, outcome: Any, scans: list[list[Any]]
) -> Json:
    """Visits of one patient, with curves and risks at each; blank once the event has happened."""
    numbers = sorted(visits)
    days = [visits[visit] for visit in numbers]
    ends = {task: end_of(outcome, task) for task in shared.endpoints}
    entry: Json = {"visit": numbers, "day": [day(d) for d in days], "curve": {}, "risk": {}, "below": {}, "above": {}}
    for task, end in ends.items():
        places = [
            None if end is not None and end[1] and d >= end[0] else said.place.get((task, patient, visit))
            for visit, d in zip(numbers, days, strict=True)
        ]
        entry["risk"][task] = [[None if i is None else part(risk[i]) for i in places] for risk in said.risks]
        entry["curve"][task] = [None if i is None else parts(said.curve[i]) for i in places]
        for name, far in said.band.items():
            entry[name][task] = [None if i is None else thousandths(far[i]) for i in places]
    entry["ends"] = {task: None if end is None else [day(end[0]), int(end[1])] for task, end in ends.items()}
    first = _first_assessment(outcome, scans)
    asked = [said.place.get((RESPONSE, patient, visit)) if visits[visit] < first else None for visit in numbers]
    observed = None if outcome is None else outcome.get("response")
    entry |= {
        "response": [None if i is None else part(said.response[i]) for i in asked],
        "observed": None if observed is None or pd.isna(observed) else str(observed),
        "assessed": day(first),
    }
    entry["now"] = _now(entry, shared.primary)
    entry["status"] = _status(ends, shared.primary)
    return entry


def _at_risk(said: Json, entry: Json) -> Json:
    """Bounds are blank, as curves and risks are, from the visit on by which the event had happened."""
    bounds = {
        task: [
            None if end is not None and end[1] and when >= end[0] else each
            for when, each in zip(entry["day"], column, strict=True)
        ]
        for task, column in said["bounds"].items()
        for end in [entry["ends"].get(task)]
    }
    return {**said, "bounds": bounds}


def _first_assessment(outcome: Any, scans: list[list[Any]]) -> float:
    """Day of the first scan that was assessed for response, or of the response itself; infinite where not known."""
    days = [scan_day for scan_day, _, _, response, _ in scans if response is not None]
    told = None if outcome is None else digits(outcome.get("response_day"))
    return float(min([*days, *([told] if told is not None else [])], default=np.inf))


def _now(entry: Json, primary: str | None) -> int:
    """Index of the last visit at which the risk is known; the last visit where it never is."""
    risks = entry["risk"].get(primary, [[], []])
    known = [i for i, pair in enumerate(zip(*risks, strict=True)) if any(each is not None for each in pair)]
    return known[-1] if known else len(entry["visit"]) - 1


def _status(ends: Mapping[str, tuple[float, bool] | None], primary: str | None) -> list[Any]:
    """[code, day]: 0 under observation, 1 had the event of the primary task, 2 died, 3 no outcome is known."""
    death, end = ends.get("os") or ends.get("death"), ends.get(primary or "")
    if death is not None and death[1]:
        return [2, day(death[0])]
    if end is not None and end[1]:
        return [1, day(end[0])]
    last = [each[0] for each in (death, end) if each is not None]
    return [0, day(max(last))] if last else [3, None]


def _by_id(table: pd.DataFrame | None, column: str | None = None) -> dict[str, Any]:
    """Rows by patient."""
    if table is None:
        return {}
    ids = table.index if column is None else table[column]
    return {str(patient): row for patient, (_, row) in zip(ids, table.iterrows(), strict=True)}


def _facts(about: Any) -> list[list[Any]]:
    """Covariates that are known, as [name, value]; a flag of metastases in words, or it would read as their number."""
    if about is None:
        return []
    known = {str(name): value for name, value in about.items() if not pd.isna(value)}
    flags = {name: ("no", "yes")[int(value)] for name, value in known.items() if "metasta" in name and value in (0, 1)}
    return [[name, flags.get(name, str(v) if digits(v) is None else digits(v))] for name, v in known.items()]


def _text(about: Any, name: str) -> str:
    value = None if about is None else about.get(name)
    return "" if value is None or pd.isna(value) else str(value)


def _known(about: Any, measured: pd.DataFrame | None) -> dict[str, tuple[Any, str]]:
    """Values by the names of `training_summary.json`: covariates, and blood values of the first visit."""
    known: dict[str, tuple[Any, str]] = (
        {} if about is None else {str(name): (value, "") for name, value in about.items()}
    )
    if measured is not None:
        for row in measured[measured["visit"] == 0].itertuples():
            known[f"{row.assay}:{row.analyte}"] = (row.value, row.unit)
    return known
