"""The quality report of a cohort: who and what is in it, what is missing, and what was left out and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fusion.data.cohort import Cohort
from fusion.data.problems import CohortError, count_problems
from fusion.data.read import read_cohort
from fusion.data.scans import LESIONS
from fusion.survival import kaplan_meier, median, median_follow_up

#: Levels and groups of fewer patients are pointed out: estimates rest on chance, and a person may be recognised.
SMALL_CELL = 5
#: Fewer events than this leave a survival model little to learn from.
FEW_EVENTS = 20

#: A table on a terminal shows this many visits; later ones are few and alike.
SHOWN_VISITS = 8


@dataclass(frozen=True)
class EndpointSummary:
    """One endpoint over all patients; medians are None where the curve does not reach one half.

    Attributes:
        known: Patients with a duration and a flag.
        events: Patients who reached the endpoint.
        median_days: Kaplan-Meier median.
        median_follow_up_days: Median time to censoring, by reverse Kaplan-Meier.
    """

    known: int
    events: int
    median_days: float | None
    median_follow_up_days: float | None


@dataclass(frozen=True)
class Spread:
    """Least, median and greatest of some numbers, and how many are known."""

    known: int
    low: float | None
    median: float | None
    high: float | None


@dataclass(frozen=True)
class QcSummary:
    """What `validate.py` prints and a run keeps as `qc.json`.

    Attributes:
        name: Of the cohort.
        patients: Number of patients.
        endpoints: By name of the endpoint.
        response: Patients by class of response, "unknown" for those without.
        visits_per_patient: Spread of the number of visits.
        gap_days: Spread of the days between two visits of a patient.
        patients_by_visit: Patients who have that visit, by visit number.
        availability: Patients with data, by assay and visit number.
        numeric: Spread of every numeric covariate.
        categorical: Patients by level of every text covariate, "unknown" for those without.
        cautions: What a careful reader should know before trusting a model of this cohort.
        left_out: One row each: `file`, `item`, `reason`, `count`.
    """

    name: str
    patients: int
    endpoints: Mapping[str, EndpointSummary]
    response: Mapping[str, int]
    visits_per_patient: Spread
    gap_days: Spread
    patients_by_visit: Mapping[str, int]
    availability: Mapping[str, Mapping[str, int]]
    numeric: Mapping[str, Spread]
    categorical: Mapping[str, Mapping[str, int]]
    cautions: tuple[str, ...]
    left_out: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers, for `qc.json`."""
        return asdict(self)


def availability_table(cohort: Cohort) -> pd.DataFrame:
    """Long table of what exists: `patient_id`, `visit`, `day`, `modality`, `available`, for every visit of a patient.

    An assay of several specimens counts as several modalities, such as `methylation (plasma)`.
    """
    label = _assay_labels(cohort).astype(object)
    present = pd.DataFrame({"patient_id": cohort.samples["patient_id"], "visit": cohort.samples["visit"]})
    present = present.assign(modality=label, available=True).drop_duplicates()
    every = cohort.visits.merge(pd.DataFrame({"modality": sorted(set(label))}, dtype=object), how="cross")
    table = every.merge(present, how="left", on=["patient_id", "visit", "modality"])
    return table.assign(available=table["available"].eq(True))


def _assay_labels(cohort: Cohort) -> "pd.Series[str]":
    samples = cohort.samples
    several = samples.groupby("modality")["specimen"].transform("nunique") > 1
    named = samples["modality"] + " (" + samples["specimen"].replace("", "unnamed") + ")"
    return samples["modality"].where(~several, named)


def summarise_cohort(cohort: Cohort) -> QcSummary:
    """Count and describe a cohort."""
    per_patient = cohort.visits.groupby("patient_id", sort=False)["day"]
    present = availability_table(cohort)
    present = present[present["available"]]
    numeric = {str(c): cohort.patients[c] for c in cohort.patients.select_dtypes("number")}
    texts = {str(c): cohort.patients[c] for c in cohort.patients.columns if str(c) not in numeric}
    endpoints = {name: _endpoint(cohort, name) for name in cohort.endpoints}
    categorical = {name: _levels(column) for name, column in texts.items()}
    response = _levels(cohort.outcomes["response"]) if "response" in cohort.outcomes else {}
    return QcSummary(
        name=cohort.name,
        patients=cohort.num_patients,
        endpoints=endpoints,
        response=response,
        visits_per_patient=_spread(per_patient.size().to_numpy(dtype=np.float64)),
        gap_days=_spread(per_patient.diff().to_numpy(dtype=np.float64)),
        patients_by_visit={str(visit): int(n) for visit, n in cohort.visits.groupby("visit").size().items()},
        availability={
            str(name): {str(visit): int(n) for visit, n in rows.groupby("visit").size().items()}
            for name, rows in present.groupby("modality")
        },
        numeric={name: _spread(column.to_numpy(dtype=np.float64)) for name, column in numeric.items()},
        categorical=categorical,
        cautions=_cautions(cohort, endpoints, {**categorical, "response": response}),
        left_out=tuple({str(key): value for key, value in row.items()} for row in cohort.left_out.to_dict("records")),
    )


def _endpoint(cohort: Cohort, name: str) -> EndpointSummary:
    days = cohort.outcomes[f"{name}_days"].to_numpy(dtype=np.float64)
    flag = cohort.outcomes[f"{name}_event"].to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(days) & np.isfinite(flag)
    duration, event = days[known], flag[known] == 1
    if not known.any():
        return EndpointSummary(known=0, events=0, median_days=None, median_follow_up_days=None)
    medians = median(kaplan_meier(duration, event)), median_follow_up(duration, event)
    finite = [value if np.isfinite(value) else None for value in medians]
    return EndpointSummary(int(known.sum()), int(event.sum()), finite[0], finite[1])


def _spread(values: np.ndarray) -> Spread:
    known = values[np.isfinite(values)]
    if not len(known):
        return Spread(0, None, None, None)
    return Spread(len(known), float(known.min()), float(np.median(known)), float(known.max()))


def _levels(column: "pd.Series[Any]") -> dict[str, int]:
    counts = column.fillna("unknown").astype(str).value_counts(sort=False)
    return {str(level): int(counts[level]) for level in sorted(counts.index)}


def _cautions(
    cohort: Cohort, endpoints: Mapping[str, EndpointSummary], levels: Mapping[str, Mapping[str, int]]
) -> tuple[str, ...]:
    cautions = []
    for name, endpoint in endpoints.items():
        if endpoint.events < FEW_EVENTS:
            cautions.append(f"{name}: {endpoint.events} events are few to learn from; expect wide intervals")
    for name, counts in levels.items():
        small = [f"{level} ({n})" for level, n in counts.items() if n < SMALL_CELL and level != "unknown"]
        if small:
            cautions.append(f"{name}: fewer than {SMALL_CELL} patients are {_some(small)}; suppress before sharing")
    without = cohort.num_patients - cohort.samples.loc[cohort.samples["modality"] != LESIONS, "patient_id"].nunique()
    if without:
        cautions.append(f"patients without any sample: {without}; they count with their baseline covariates alone")
    if "age" in cohort.patients and bool((cohort.patients["age"] > 89).any()):
        cautions.append("ages above 89 may identify a person; cap them before sharing")
    return tuple(cautions)


def _some(words: list[str], most: int = 4) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def print_summary(summary: QcSummary, console: Console) -> None:
    """Print a summary as tables."""
    console.print(f"[bold]{escape(summary.name)}[/bold]: {summary.patients} patients")
    table = Table("endpoint", "known", "events", "median, days", "median follow-up, days", title="Outcomes")
    for name, endpoint in summary.endpoints.items():
        medians = [_number(endpoint.median_days), _number(endpoint.median_follow_up_days)]
        table.add_row(escape(name), str(endpoint.known), str(endpoint.events), *medians)
    console.print(table)
    if summary.response:
        console.print("Response: " + escape(", ".join(f"{level} {n}" for level, n in summary.response.items())))
    per_patient, gap = summary.visits_per_patient, summary.gap_days
    console.print(f"Visits per patient: {_range(per_patient)}; days between visits: {_range(gap)}")
    _print_availability(summary, console)
    table = Table("covariate", "known", "values", title="Baseline covariates")
    for name, spread in summary.numeric.items():
        table.add_row(escape(name), str(spread.known), _range(spread))
    for name, levels in summary.categorical.items():
        known = sum(n for level, n in levels.items() if level != "unknown")
        table.add_row(escape(name), str(known), escape(_some([f"{level} {n}" for level, n in levels.items()], most=8)))
    console.print(table)
    for caution in summary.cautions:
        console.print(f"[yellow]Caution[/yellow] {escape(caution)}")
    _print_left_out(summary, console)


def _print_availability(summary: QcSummary, console: Console) -> None:
    visits = list(summary.patients_by_visit)[:SHOWN_VISITS]
    hidden = len(summary.patients_by_visit) - len(visits)
    title = "Patients with data, by visit" + (f" ({hidden} later visits not shown)" if hidden else "")
    table = Table("assay", *(f"{visit}" for visit in visits), title=title)
    table.add_row("any", *(str(summary.patients_by_visit[visit]) for visit in visits), end_section=True)
    for name, counts in summary.availability.items():
        table.add_row(escape(name), *(str(counts.get(visit, 0)) for visit in visits))
    console.print(table)


def _print_left_out(summary: QcSummary, console: Console) -> None:
    if not summary.left_out:
        console.print("Nothing is left out.")
        return
    table = Table("file", "number", "reason", "such as", title="Left out")
    rows = pd.DataFrame(list(summary.left_out))
    for (file, reason), group in rows.groupby(["file", "reason"], sort=False):
        items = [str(item) for item in group["item"]]
        table.add_row(escape(str(file)), str(group["count"].sum()), escape(str(reason)), escape(_some(items, most=3)))
    console.print(table)


def _number(value: float | None) -> str:
    return "not reached" if value is None else f"{value:g}"


def _range(spread: Spread) -> str:
    if spread.low is None or spread.median is None or spread.high is None:
        return "none"
    return f"{spread.low:g} to {spread.high:g}, median {spread.median:g}"


def validate(folder: Path | str, console: Console, visit_window: float = 7.0, errors: Console | None = None) -> int:
    """Check a cohort folder and print its quality report, or every problem.

    Args:
        folder: The cohort folder.
        console: Where the report goes.
        visit_window: Days that a visit stays open to further results.
        errors: Where problems go, if elsewhere.

    Returns:
        Exit code: 0 for a good cohort, 1 for one with problems.
    """
    try:
        cohort = read_cohort(folder, visit_window=visit_window)
    except CohortError as error:
        errors = errors or console
        for problem in error.problems:
            errors.print(f"[red]-[/red] {escape(str(problem))}", soft_wrap=True, highlight=False)
        number = count_problems(error.problems)
        noun = "problem" if number == 1 else "problems"
        errors.print(f"[bold red]{number} {noun}[/bold red] in {escape(str(folder))}", soft_wrap=True)
        return 1
    print_summary(summarise_cohort(cohort), console)
    return 0
