"""Tables of an external validation: figures before and after recalibration, and what was fitted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fusion.metrics.scorer import FUSION
from fusion.report.run_folder import RESPONSE, Estimate, as_estimate
from fusion.report.tables import Cell, Row, Table
from fusion.report.words import bounds, digits, short_name, signed, task_name, when

RECALIBRATED = "fusion_recalibrated"


@dataclass(frozen=True)
class BeforeAfter:
    """A figure on the same patients before and after recalibration.

    Attributes:
        task: Endpoint or response.
        day: Landmark; None at baseline.
        figure: What it is called.
        before: As predicted.
        after: Recalibrated.
        change: Of the error: of the figure itself, or of its distance from the ideal; below zero it helped.
    """

    task: str
    day: float | None
    figure: str
    before: Estimate | None
    after: Estimate | None
    change: Estimate | None

    @property
    def change_text(self) -> str:
        """The change with its interval on one line."""
        if self.change is None:
            return "–"
        return f"{signed(self.change.value)} ({bounds(self.change) or 'no interval'})"


def middle_horizon(result: Mapping[str, Any]) -> float:
    """Days after the prediction at which calibration is told."""
    horizons = sorted(float(day) for day in result["settings"]["horizons"])
    return horizons[len(horizons) // 2]


def calibration_rows(recalibration: Mapping[str, Any]) -> list[BeforeAfter]:
    """Figures of every task at baseline, and at the landmarks where later visits were recalibrated."""
    middle = f"{middle_horizon(recalibration):g}"
    rows = []
    for task, scored in recalibration["task"].items():
        brier, ici = ("brier", "ici") if task == RESPONSE else (f"brier/{middle}", f"calibration/{middle}/ici")
        figures = (
            ("Brier score", brier, brier),
            ("ICI", ici, "ici"),
            ("Calibration slope", "calibration_slope", "calibration_slope_error"),
            ("Observed / expected", "observed_expected", "observed_expected_error"),
        )
        for day, level in _levels(scored, later="later" in recalibration["fit"]["task"][task]):
            compared: Mapping[str, Any] = next(iter(level["compare"].values()), {})
            for name, place, change in figures:
                before, after = (_estimate(level.get(model, {}), place) for model in (FUSION, RECALIBRATED))
                rows.append(BeforeAfter(task, day, name, before, after, _estimate(compared, change)))
    return rows


def _levels(scored: Mapping[str, Any], *, later: bool) -> Iterator[tuple[float | None, Mapping[str, Any]]]:
    yield None, {**scored["model"], "compare": scored["compare"]}
    if later:
        yield from ((float(day), level) for day, level in scored["landmark"].items())


def _estimate(level: Any, place: str) -> Estimate | None:
    for key in place.split("/"):
        level = level.get(key) if isinstance(level, Mapping) else None
    return as_estimate(level)


def before_after_tables(recalibration: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """One table a task: a row a figure, three columns a prediction time."""
    found = calibration_rows(recalibration)
    result = []
    for task in dict.fromkeys(row.task for row in found):
        mine = [row for row in found if row.task == task]
        days = list(dict.fromkeys(row.day for row in mine))
        rows = []
        for figure in dict.fromkeys(row.figure for row in mine):
            cells: list[Cell] = []
            for row in (row for row in mine if row.figure == figure):
                below = (bounds(row.change),) if bounds(row.change) else ()
                change = Cell(signed(row.change.value), below=below) if row.change else Cell("–")
                cells += [Cell(_text(row.before)), Cell(_text(row.after)), change]
            rows.append(Row(name=figure, cells=tuple(cells)))
        groups = tuple((when(day).capitalize(), 3) for day in days)
        result.append((task_name(task), Table(groups, ("Before", "After", "Change of error") * len(days), tuple(rows))))
    return result


def _text(estimate: Estimate | None) -> str:
    return digits(estimate.value if estimate else None)


def parameter_table(recalibration: Mapping[str, Any]) -> Table:
    """What was fitted, by task and level."""
    rows = []
    for task, levels in recalibration["fit"]["task"].items():
        for level, fitted in levels.items():
            cells = [Cell(_parameter(fitted, name)) for name in ("intercept", "slope")]
            cells += [Cell(str(fitted[name])) for name in ("patients", "events")]
            name = f"{short_name(task)}, {'baseline' if level == 'baseline' else 'later visits'}"
            rows.append(Row(name=name, cells=tuple(cells)))
    heads = ("Intercept ± standard error", "Slope ± standard error", "Patients fitted on", "Events")
    return Table((), heads, tuple(rows))


def _parameter(fitted: Mapping[str, Any], name: str) -> str:
    error = fitted[f"{name}_se"]
    return f"{digits(fitted[name], 2)} {'(fixed)' if error is None else f'± {digits(error, 2)}'}"
