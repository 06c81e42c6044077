"""Reads and checks a whole cohort folder: every problem of every file at once, or a `Cohort`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fusion.data.assays import ASSAYS, AssayCheck
from fusion.data.clinical_tables import (
    Checked,
    LeftOut,
    check_lesions,
    check_order_of_events,
    check_outcomes,
    check_patients,
    check_samples,
    check_splits,
    check_treatments,
    endpoints_of,
)
from fusion.data.cohort import Cohort, assign_visits
from fusion.data.problems import CohortError, Problem, printable
from fusion.data.scans import with_scans
from fusion.data.schema import REQUIRED_TABLES, SCHEMA_VERSION, TableCheck
from fusion.data.store import BagStore
from fusion.data.tables import FEATURE_COLUMN, find_tables, read_table

TABLES = ("patients", "outcomes", "samples", "lesions", "treatments", "splits")
#: Files that hold one assay each; like the tables, each may be there once.
SINGLE_FILES = (*TABLES, "variants", *FEATURE_COLUMN, "plasma", "labs")


def check_cohort(folder: Path | str) -> list[Problem]:
    """Everything that is wrong with a cohort folder, from all of its files; empty for a good one.

    Whatever the files hold, this returns problems and never raises.
    """
    return _inspect(Path(folder)).problems


def read_cohort(folder: Path | str, visit_window: float = 7.0, store: BagStore | None = None) -> Cohort:
    """Read and check a cohort folder.

    Args:
        folder: The cohort folder.
        visit_window: Days that a visit stays open to further results; see `assign_visits`.
        store: Where its bags are packed; bags that were packed were checked before, and are not read again.

    Raises:
        CohortError: The folder has problems; all of them are listed.
    """
    found = _inspect(Path(folder), store)
    if found.problems:
        raise CohortError(found.problems)
    patients, outcomes = found.tables["patients"], found.tables["outcomes"]
    ids = [str(patient) for patient in patients.index]
    samples = found.tables["samples"]
    samples, visits = assign_visits(samples, ids, visit_window)
    if "lesions" in found.tables:
        samples = with_scans(samples, visits, found.tables["lesions"])
    place = {patient: i for i, patient in enumerate(ids)}
    order = samples.assign(place=samples["patient_id"].map(place)).reset_index()
    order = order.sort_values(["place", "visit", "modality", "sample_id"], kind="stable")
    return Cohort(
        name=str(found.settings["name"]),
        folder=Path(folder),
        settings=found.settings,
        patients=patients,
        outcomes=outcomes,
        endpoints=endpoints_of(outcomes.columns),
        samples=order.drop(columns="place").set_index("sample_id"),
        visits=visits,
        lesions=found.tables.get("lesions"),
        treatments=found.tables.get("treatments"),
        splits=found.tables.get("splits"),
        left_out=pd.DataFrame(found.left_out, columns=["file", "item", "reason", "count"]),
        store=store,
    )


@dataclass
class _Findings:
    """What is known of a folder while it is inspected."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def take(self, name: str, check: TableCheck, checked: Checked | None) -> None:
        self.problems += check.problems
        if checked is not None:
            self.tables[name] = checked.table
            self.left_out += checked.left_out


def _inspect(folder: Path, store: BagStore | None = None) -> _Findings:
    found = _Findings()
    if not folder.is_dir():
        found.problems.append(Problem(str(folder), "", "", "no such folder", "name a cohort folder in data.path"))
        return found
    found.settings, problems = _read_settings(folder / "cohort.yaml")
    found.problems += problems
    checks = {name: check for name in TABLES if (check := _open(folder, name, found.problems)) is not None}
    found.problems += _rivals(folder)
    outcome_columns = {str(column) for column in checks["outcomes"].table.columns} if "outcomes" in checks else set()
    if "patients" in checks:
        check = checks["patients"]
        found.take("patients", check, check_patients(check, outcome_columns - {"patient_id", "site"}))
    if "patients" in found.tables:
        ids = list(dict.fromkeys(found.tables["patients"].index))
    else:  # reported already; the other tables are checked as if it named all their patients
        everyone = [c.table["patient_id"].dropna().astype(str) for c in checks.values() if "patient_id" in c]
        ids = sorted(set().union(*everyone))
    endpoints = _named_endpoints(found)
    if "outcomes" in checks:
        found.take("outcomes", checks["outcomes"], check_outcomes(checks["outcomes"], ids, endpoints))
    if "samples" in checks:
        found.take("samples", checks["samples"], check_samples(checks["samples"], ids))
    if "lesions" in checks:
        found.take("lesions", checks["lesions"], check_lesions(checks["lesions"], ids))
    if "treatments" in checks:
        found.take("treatments", checks["treatments"], check_treatments(checks["treatments"], ids))
    if "splits" in checks:
        found.take("splits", checks["splits"], check_splits(checks["splits"], ids))
    if {"samples", "outcomes"} <= found.tables.keys():
        again = {name: TableCheck(checks[name].file, checks[name].table, checks[name].key) for name in checks}
        check_order_of_events(again["samples"], again["outcomes"], found.tables["samples"], found.tables["outcomes"])
        found.problems += again["samples"].problems + again["outcomes"].problems
    _check_assays(folder, checks.get("samples"), found, store)
    return found


def _read_settings(path: Path) -> tuple[Mapping[str, Any], list[Problem]]:
    """cohort.yaml as a mapping, read with the safe loader, and what is wrong with it."""
    if not path.is_file():
        return {}, [Problem(path.name, "", "", "no such file", "write it: `name: my cohort` and `schema: 1`")]
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except UnicodeError:
        return {}, [Problem(path.name, "", "", "bytes that are not UTF-8", "save the file as UTF-8 text")]
    except Exception as error:  # yaml raises its own kinds, and ValueError or RecursionError on hostile text
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"line {line + 1}" if line is not None else ""
        return {}, [Problem(path.name, where, "", "text that is no YAML", "write `key: value` lines")]
    if not isinstance(settings, dict):
        found = "an empty file" if settings is None else f"a {type(settings).__name__}"
        return {}, [Problem(path.name, "", "", found, "write `key: value` lines, at least name and schema")]
    settings = {str(key): value for key, value in settings.items()}
    problems = []
    if not isinstance(settings.get("name"), str) or not settings["name"].strip():
        problems.append(Problem(path.name, "", "name", _shown(settings, "name"), "name the cohort"))
    version = settings.get("schema")
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        remedy = f"write `schema: {SCHEMA_VERSION}`, the only version there is"
        problems.append(Problem(path.name, "", "schema", _shown(settings, "schema"), remedy))
    for assay in ASSAYS:
        if not isinstance(settings.get(assay) or {}, dict):
            remedy = f"write settings below it, such as `{assay}: {{unit: ...}}`"
            problems.append(Problem(path.name, "", assay, _shown(settings, assay), remedy))
    return settings, problems


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return printable(settings[key]) if key in settings else "nothing"


def _named_endpoints(found: _Findings) -> list[str]:
    named = found.settings.get("endpoints") or []
    if isinstance(named, list | dict) and all(isinstance(name, str) for name in named):
        return list(named)
    remedy = "list the endpoints of outcomes, such as `endpoints: [os, pfs]`"
    found.problems.append(Problem("cohort.yaml", "", "endpoints", _shown(found.settings, "endpoints"), remedy))
    return []


def _open(folder: Path, name: str, problems: list[Problem]) -> TableCheck | None:
    paths = find_tables(folder, name)
    if not paths:
        if name in REQUIRED_TABLES:
            others = sorted(path.name for path in folder.iterdir() if path.name.lower().startswith(f"{name}."))
            found = f"{printable(others[0])} instead" if others else "no such file"
            remedy = "add it as .csv, .tsv (or .gz of these) or .parquet"
            problems.append(Problem(f"{name}.csv", "", "", found, remedy))
        return None
    try:
        return TableCheck(paths[0].name, read_table(paths[0]), key="sample_id" if name == "samples" else "patient_id")
    except CohortError as error:
        problems += error.problems
        return None


def _rivals(folder: Path) -> list[Problem]:
    """Two files for one table: nobody can tell which one is meant."""
    problems = []
    for stem in SINGLE_FILES:
        paths = find_tables(folder, stem)
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            problems.append(Problem(paths[0].name, "", "", f"several files for {stem}: {names}", "keep one of them"))
    return problems


def _check_assays(folder: Path, samples: TableCheck | None, found: _Findings, store: BagStore | None) -> None:
    """Check every assay that samples.csv names or the folder holds, and drop samples in which nothing was measured."""
    passed = found.tables.get("samples")
    listed: dict[str, str] = {}
    if samples is not None and passed is not None:
        listed = dict(zip(samples.texts("sample_id"), samples.texts("modality"), strict=True))
    named = [assay for assay in dict.fromkeys(listed.values()) if assay and _is_plain(assay, found.problems)]
    held = [assay for assay in ASSAYS if find_tables(folder, assay) or (folder / assay).is_dir()]
    without_data: set[str] = set()
    for assay in dict.fromkeys([*named, *held]):
        settings = found.settings.get(assay)
        check = AssayCheck(
            folder=folder,
            assay=assay,
            expected=tuple(passed.index[passed["modality"] == assay]) if passed is not None else (),
            listed=frozenset(s for s, of in listed.items() if of == assay) if passed is not None else None,
            elsewhere={sample: of for sample, of in listed.items() if of != assay},
            settings=settings if isinstance(settings, dict) else {},
            store=store,
        )
        check.run()
        found.problems += check.problems
        found.left_out += check.left_out
        without_data |= check.without_data
    if passed is not None:
        found.tables["samples"] = passed[~passed.index.isin(without_data)]


def _is_plain(assay: str, problems: list[Problem]) -> bool:
    """Whether the name of an assay may name a file; others are noted."""
    plain = assay.replace("_", "").replace("-", "").isalnum() and len(assay) <= 64
    if not plain:
        remedy = "use letters, digits, '-' and '_': an assay names a file"
        problems.append(Problem("samples.csv", "", "modality", printable(assay), remedy))
    return plain
