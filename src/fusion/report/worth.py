"""Two tables of differences: what later visits and assays added, and scores corrected for optimism."""

from collections.abc import Mapping
from typing import Any

from fusion.metrics.scorer import FUSION_ONE_VISIT_EARLIER, FUSION_WITHOUT_NEW
from fusion.report.run_folder import RESPONSE, Run, as_estimate, only_estimate
from fusion.report.tables import Row, Table, column_groups, column_heads, figure_cell, score_columns
from fusion.report.words import model_name, task_name


def worth_table(run: Run) -> Table | None:
    """At each landmark, our model minus itself held to less than was known; None for a cohort of single visits."""
    columns = [at for at in score_columns(run) if at.day is not None]
    names = dict.fromkeys(name for at in columns for name in run.held_to_less(at.task))
    rows = []
    for name in names:
        gains = [run.gain(at.task, name, at.metric, at.day) for at in columns]
        if any(gain is not None for gain in gains):
            cells = tuple(figure_cell(gain, difference=True) for gain in gains)
            rows.append(Row(name=worth_name(name), cells=cells))
    return Table(groups=column_groups(columns), heads=column_heads(columns), rows=tuple(rows)) if rows else None


def worth_name(model: str) -> str:
    """What a row of the table tells the worth of.

    >>> worth_name("fusion_without_new_plasma"), worth_name("fusion_one_visit_earlier")
    ('Later plasma samples', 'The last visit alone')
    """
    if model.startswith(FUSION_WITHOUT_NEW):
        return f"Later {model.removeprefix(FUSION_WITHOUT_NEW).replace('_', ' ')} samples"
    return "The last visit alone" if model == FUSION_ONE_VISIT_EARLIER else "All visits since baseline"


def optimism_tables(run: Run) -> list[tuple[str, Table]]:
    """Per task, figures by .632+ beside those of training patients and of patients left out of a subsample."""
    tables = []
    for task, models in run.corrected.items():
        names = [("AUROC", "auroc")] if task == RESPONSE else [("C-index", "c_index")]
        horizon, middle = _middle(models)
        names.append((f"Brier score{horizon}", f"brier{middle}"))
        rows = []
        for model, figures in models.items():
            cells = []
            for _, name in names:
                found = figures
                for key in name.split("/"):
                    found = found.get(key, {})
                sides = [as_estimate(found.get(key)) for key in ("apparent", "out_of_bag")]
                cells += [figure_cell(each) for each in (*sides, only_estimate(found))]
            rows.append(Row(name=model_name(model), cells=tuple(cells)))
        heads = ("Training patients", "Left out", ".632+") * len(names)
        groups = tuple((title, 3) for title, _ in names)
        tables.append((task_name(task), Table(groups=groups, heads=heads, rows=tuple(rows))))
    return tables


def _middle(models: Mapping[str, Any]) -> tuple[str, str]:
    """The middle horizon of the Brier score, in words and as its key; nothing where it has none."""
    figures = next(iter(models.values()))["brier"]
    if "value" in figures:
        return "", ""
    days = sorted(figures, key=float)
    return f", day {days[len(days) // 2]}", f"/{days[len(days) // 2]}"
