"""Tables of the page: scores, differences, further figures, endpoints, availability, what was left out."""

from dataclasses import dataclass

import numpy as np

from fusion.metrics.scorer import FUSION
from fusion.report.run_folder import RESPONSE, Estimate, Run, as_estimate, only_estimate
from fusion.report.score_figures import slug
from fusion.report.style import DAYS_PER_MONTH
from fusion.report.words import (
    bounds,
    covariate_name,
    digits,
    model_name,
    p_sentence,
    short_name,
    signed,
    task_name,
    when,
)
from fusion.survival import kaplan_meier, median, median_follow_up


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: What is printed.
        below: Small lines below it: the interval, the p value.
        order: Number that the column is sorted by.
        best: True for the best baseline of the column.
    """

    text: str
    below: tuple[str, ...] = ()
    order: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One row: a name, the model that the toggles know it by, whether it is ours or an oracle, and its cells."""

    name: str
    cells: tuple[Cell, ...]
    model: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table with one or two rows of column heads.

    Attributes:
        groups: Heads that span columns: text and number of columns.
        heads: Head of each column after the first.
        rows: The body.
    """

    groups: tuple[tuple[str, int], ...]
    heads: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def uncertain(self) -> bool:
        """True where a figure carries the mark of too few events."""
        return any(cell.text.endswith("*") for row in self.rows for cell in row.cells)


@dataclass(frozen=True)
class Column:
    """Discrimination of a task at baseline (`day` None) or at a landmark."""

    task: str
    metric: str
    day: float | None


def score_columns(run: Run) -> list[Column]:
    """C-index of every endpoint, then AUROC of response, at baseline and at the landmarks."""
    scored = [task for task in run.endpoints if run.models(task)]
    columns = [Column(task, "c_index", day) for task in scored for day in (None, *run.landmarks(task))]
    response = [Column(RESPONSE, "auroc", day) for day in (None, *run.landmarks(RESPONSE))]
    columns += response if run.models(RESPONSE) else []
    return [at for at in columns if any(run.estimate(at.task, m, at.metric, at.day) for m in run.models(at.task))]


def score_table(run: Run) -> Table | None:
    """Every model by discrimination, the best baseline of each column marked; the oracles beside."""
    columns = score_columns(run)
    if not columns:
        return None
    best = [run.best_baseline(at.task, at.metric, at.day) for at in columns]
    rows = []
    for model in dict.fromkeys(model for at in columns for model in run.models(at.task)):
        cells = [
            figure_cell(run.estimate(at.task, model, at.metric, at.day), best=model == top)
            for at, top in zip(columns, best, strict=True)
        ]
        rows.append(_row(model, cells))
    return Table(groups=column_groups(columns), heads=column_heads(columns), rows=(*rows, *_oracle_rows(run, columns)))


def difference_table(run: Run) -> Table | None:
    """Paired difference of our model to every other one, with interval and p."""
    columns = score_columns(run)
    rows = []
    for model in dict.fromkeys(model for at in columns for model in run.models(at.task)):
        gains = [run.gain(at.task, model, at.metric, at.day) for at in columns]
        if any(gain is not None for gain in gains):
            rows.append(_row(model, [figure_cell(gain, difference=True) for gain in gains]))
    return Table(groups=column_groups(columns), heads=column_heads(columns), rows=tuple(rows)) if rows else None


def _oracle_rows(run: Run, columns: list[Column]) -> list[Row]:
    """What could be reached at best in a simulated cohort: from its true state, and from its noisy assays."""
    truth = "Oracle: true state of the tumour"
    assays = "Oracle: assays as measured, learnt from a large cohort"
    names: dict[str, list[str]] = {truth: [], assays: []}
    for at in columns:
        if at.task == RESPONSE:
            names[truth].append("" if at.day else "response_oracle_auroc")
            names[assays].append("")
        elif at.day is None:
            names[truth].append(f"{at.task}_oracle_c_index")
            names[assays].append(f"{at.task}_readouts_c_index")
        else:
            names[truth].append("")
            names[assays].append(f"{at.task}_week{at.day / 7:g}_ctdna_c_index")
    rows = []
    for title, keys in names.items():
        figures = [run.oracle(key) for key in keys]
        if any(figure is not None for figure in figures):
            cells = tuple(Cell(digits(figure), order=figure) for figure in figures)
            rows.append(Row(name=title, cells=cells, kind="oracle"))
    return rows


def detail_table(run: Run, task: str) -> Table | None:
    """Further figures of a task at baseline: name, figure and decimals of each column."""
    columns: list[tuple[str, str, int]]
    if task == RESPONSE:
        columns = [
            ("AUPRC", "auprc", 3),
            ("Brier score", "brier", 3),
            ("Calibration slope", "calibration_slope", 2),
            ("ICI", "ici", 3),
            ("Sensitivity", "sensitivity", 2),
            ("Specificity", "specificity", 2),
        ]
    else:
        horizons = run.horizons(task, FUSION)
        middle = [f"{day:g}" for day in horizons[len(horizons) // 2 :][:1]]
        columns = [("Uno's C", "c_index_uno", 3)]
        for day in middle:
            columns += [(f"AUC, day {day}", f"auc/{day}", 3), (f"Scaled Brier, day {day}", f"scaled_brier/{day}", 3)]
        columns += [("Integrated Brier", "ibs", 3), ("Calibration slope", "calibration_slope", 2)]
        for day in middle:
            columns += [(f"ICI, day {day}", f"calibration/{day}/ici", 3)]
        columns += [("D-calibration p", "d_calibration/p", 3)]
        if (tau := run.time_lost(task)) is not None:
            columns += [(f"Days lost by day {tau}", f"rmst_difference/{tau}", 0)]
    counts = [("Patients", "n"), ("Events" if task != RESPONSE else "Responders", "events")]
    rows = []
    for model in run.models(task):
        cells = [figure_cell(run.estimate(task, model, metric), places=places) for _, metric, places in columns]
        if any(cell.order is not None for cell in cells):
            numbers = [figure_cell(run.estimate(task, model, metric), places=0) for _, metric in counts]
            rows.append(_row(model, [*cells, *numbers]))
    heads = tuple([head for head, _, _ in columns] + [head for head, _ in counts])
    return Table(groups=(), heads=heads, rows=tuple(rows)) if rows else None


def subgroup_tables(run: Run) -> list[tuple[str, Table]]:
    """Baseline figures of our model by subgroup, one table a task."""
    tables = []
    for task, covariates in run.subgroups.items():
        columns = [("AUROC", "auroc"), ("Brier score", "brier"), ("Observed / expected", "observed_expected")]
        if task != RESPONSE:
            columns = [
                ("C-index", "c_index"),
                ("AUC", "auc"),
                ("Scaled Brier", "scaled_brier"),
                ("Observed / expected", "observed_expected"),
            ]
        rows = []
        for covariate, levels in covariates.items():
            for level, figures in levels.items():
                cells = [figure_cell(only_estimate(figures.get(name))) for _, name in columns]
                counts = [figure_cell(as_estimate(figures.get(name)), places=0) for name in ("n", "events")]
                rows.append(Row(name=f"{covariate_name(covariate)}: {level}", cells=(*cells, *counts)))
        if rows:
            heads = (*(head for head, _ in columns), "Patients", "Responders" if task == RESPONSE else "Events")
            tables.append((task_name(task), Table(groups=(), heads=heads, rows=tuple(rows))))
    return tables


def endpoint_table(run: Run) -> Table | None:
    """Patients, events, follow-up and median time of every endpoint, from day 0."""
    rows = []
    for task in run.endpoints:
        table = run.at_visit(task)
        if table.empty:
            continue
        duration = table["duration"].to_numpy(dtype=np.float64)
        event = table["event"].to_numpy(dtype=bool)
        cells = (
            Cell(f"{len(table):,}"),
            Cell(f"{int(event.sum()):,}"),
            Cell(_months(median_follow_up(duration, event))),
            Cell(_months(median(kaplan_meier(duration, event)))),
        )
        rows.append(Row(name=task_name(task).capitalize(), cells=cells))
    heads = ("Patients", "Events", "Median follow-up, months", "Median time to event, months")
    return Table(groups=(), heads=heads, rows=tuple(rows)) if rows else None


def _months(days: float) -> str:
    return f"{days / DAYS_PER_MONTH:.1f}" if np.isfinite(days) else "not reached"


def _row(model: str, cells: list[Cell]) -> Row:
    kind = "ours" if model == FUSION else ""
    return Row(name=model_name(model), cells=tuple(cells), model=slug(model), kind=kind)


def column_groups(columns: list[Column]) -> tuple[tuple[str, int], ...]:
    """Heads that span the prediction times of a task."""
    names = [f"{short_name(at.task)}, {'C-index' if at.metric == 'c_index' else 'AUROC'}" for at in columns]
    return tuple((name, names.count(name)) for name in dict.fromkeys(names))


def column_heads(columns: list[Column]) -> tuple[str, ...]:
    """When each column predicts."""
    return tuple(when(at.day).capitalize() for at in columns)


def figure_cell(estimate: Estimate | None, *, places: int = 3, best: bool = False, difference: bool = False) -> Cell:
    """A figure with its interval below, and the p value where it is a difference; a dash where undefined."""
    if estimate is None:
        return Cell("–")
    text = digits(estimate.value, places) if places else f"{estimate.value:,.0f}".replace("-", "−")
    text = signed(estimate.value, places) if difference else text
    below = [bounds(estimate, places)] if bounds(estimate, places) else []
    if difference and estimate.p is not None:
        below.append(p_sentence(estimate.p))
    mark = "*" if estimate.note == "too few events" else ""
    return Cell(f"{text}{mark}", below=tuple(below), order=estimate.value, best=best)
