"""What parts of a model are worth: every variant's score beside its paired difference to a reference, on one page.

The differences are those of `compare_runs`, on the same patients and the same resamples, so that chance in who was
enrolled cancels. A variant is told by the overrides in which it differs from the reference.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusion.report.run_folder import Estimate, as_estimate
from fusion.report.style import INK, MODEL_COLOURS, MUTED, figure_style
from fusion.report.words import bounds, digits, short_name, signed, task_name, when


@dataclass(frozen=True, kw_only=True)
class VariantScore:
    """One variant at one prediction time.

    Attributes:
        variant: Its name.
        task: The task.
        score: `C-index`, or of a response `AUROC`.
        day: Day of the prediction; 0 is baseline.
        patients: Patients scored.
        value: The score.
        difference: The score less that of the reference; None for the reference itself.
    """

    variant: str
    task: str
    score: str
    day: float
    patients: int
    value: Estimate
    difference: Estimate | None


def variant_name(words: Collection[str], reference: Collection[str]) -> str:
    """What a variant is called, from its overrides and those of the reference.

    >>> full = ["modality=[clinical,labs,plasma]", "temporal=gru"]
    >>> variant_name(["modality=[clinical,plasma]", "temporal=gru"], full)
    'without labs'
    >>> variant_name(["modality=[labs]", "temporal=last_visit"], full)
    'labs alone, temporal=last_visit'
    >>> variant_name(full, full)
    'all modalities, temporal=gru (reference)'
    """
    if set(words) == set(reference):
        named = ["all modalities" if _modalities(word) else word for word in sorted(reference)]
        return f"{', '.join(named) or 'as it is'} (reference)"
    whole = next((found for word in reference if (found := _modalities(word))), [])
    return ", ".join(_modality_words(_modalities(word), whole) or word for word in sorted(set(words) - set(reference)))


def _modalities(word: str) -> list[str]:
    """The modalities that an override asks for; none if it is another override."""
    return word.removeprefix("modality=[").rstrip("]").split(",") if word.startswith("modality=[") else []


def _modality_words(mine: Sequence[str], whole: Sequence[str]) -> str:
    absent = [name for name in whole if name not in mine]
    if not mine or not whole or not set(mine) < set(whole):
        return ", ".join(mine)
    return f"{mine[0]} alone" if len(mine) == 1 else f"without {' and '.join(absent)}"


def variant_scores(comparison: Mapping[str, Any], names: Mapping[str, str], reference: str) -> list[VariantScore]:
    """Scores at baseline and at the first landmark, from what `compare_runs` found.

    Args:
        comparison: What it found.
        names: What each run of the comparison is called, in the order of the rows.
        reference: The run that the others are compared with.
    """
    rows = []
    for task, scores in comparison["task"].items():
        first = next(iter(scores["landmark"].items()), None)
        levels = [(0.0, scores["model"], scores["compare"])]
        levels += [(float(first[0]), first[1], first[1]["compare"])] if first else []
        for day, figures, compared in levels:
            for label, name in names.items():
                if label not in figures:
                    continue
                key = "auroc" if "auroc" in figures[label] else "c_index"
                value = as_estimate(figures[label][key])
                if value is not None:
                    rows.append(
                        VariantScore(
                            variant=name,
                            task=task,
                            score="AUROC" if key == "auroc" else "C-index",
                            day=day,
                            patients=figures[label]["n"],
                            value=value,
                            difference=_difference(compared, label, reference, key),
                        )
                    )
    return rows


def _difference(compared: Mapping[str, Any], label: str, reference: str, key: str) -> Estimate | None:
    """A variant minus the reference, whichever way round the pair was compared."""
    found = as_estimate(compared.get(f"{label} - {reference}", {}).get(key))
    if found is not None:
        return found
    found = as_estimate(compared.get(f"{reference} - {label}", {}).get(key))
    if found is None:
        return None
    low, high = (None if bound is None else -bound for bound in (found.high, found.low))
    return Estimate(value=-found.value, low=low, high=high, p=found.p, note=found.note)


def variant_cells(rows: Sequence[VariantScore], task: str) -> list[dict[str, str]]:
    """The table of a task to be read: a row per variant, its score and its difference at each prediction time."""
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        if row.task == task:
            few = "*" if row.value.note == "too few events" else ""
            mine = cells.setdefault(row.variant, {"variant": row.variant})
            at = f"{short_name(task)} {row.score}, {when(row.day)}"
            mine[at] = f"{digits(row.value.value)} ({bounds(row.value)}){few}"
            away = row.difference
            interval = bounds(away).replace(" to ", ",")  # a cell of a narrow table is broken at its spaces
            mine[f"difference, {when(row.day)}"] = f"{signed(away.value)} ({interval})" if away else ""
    return list(cells.values())


def write_variants(rows: Sequence[VariantScore], folder: Path) -> list[Path]:
    """Write `variants.csv`, and `variants_TASK.svg` and `.png` for every task; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(
        {
            "task": row.task,
            "variant": row.variant,
            "day": row.day,
            "patients": row.patients,
            "score": row.score,
            **_numbers("", row.value),
            **_numbers("difference_", row.difference),
        }
        for row in rows
    )
    table.to_csv(folder / "variants.csv", index=False)
    written = [folder / "variants.csv"]
    for task in dict.fromkeys(row.task for row in rows if row.difference is not None):
        with figure_style():
            figure = forest(rows, task)
            for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
                written.append(folder / f"variants_{task}{suffix}")
                figure.savefig(written[-1], dpi=160, facecolor="white", metadata=metadata)
    return written


def _numbers(prefix: str, found: Estimate | None) -> dict[str, float | None]:
    names = {"value": "value", "low": "low", "high": "high", **({"p": "p"} if prefix else {})}
    return {f"{prefix}{name}": getattr(found, key, None) for key, name in names.items()}


def forest(rows: Sequence[VariantScore], task: str) -> Figure:
    """Differences to the reference with their intervals: a line per variant, a panel per prediction time."""
    mine = [row for row in rows if row.task == task and row.difference is not None]
    days = list(dict.fromkeys(row.day for row in mine))
    names = list(dict.fromkeys(row.variant for row in mine))
    reference = next((row.variant for row in rows if row.task == task and row.difference is None), "the reference")
    figure = Figure(figsize=(3.2 + 3.2 * len(days), 1.3 + 0.24 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(days), sharex=True, sharey=True, squeeze=False)[0]
    for axes, day in zip(panels, days, strict=True):
        here = [row for row in mine if row.day == day]
        _draw(axes, here, names)
        axes.set_title(f"{when(day).capitalize()}, {here[0].patients} patients", loc="left", fontsize=9.5, pad=8)
        axes.set_xlabel(f"{here[0].score} less that of the reference")
    panels[0].set_yticks(range(len(names)), labels=names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(
        f"{task_name(task).capitalize()}: {reference.removesuffix(' (reference)')} is the reference",
        x=0.01,
        ha="left",
        fontsize=10,
        fontweight="bold",
    )
    return figure


def _draw(axes: Axes, rows: Sequence[VariantScore], names: Sequence[str]) -> None:
    """One panel; an interval that leaves out zero is drawn in colour."""
    axes.axvline(0.0, color=MUTED, linewidth=0.9)
    for row in rows:
        found, height = row.difference, names.index(row.variant)
        if found is None:
            continue
        low, high = (found.value if bound is None else bound for bound in (found.low, found.high))
        colour = MODEL_COLOURS[0] if low > 0 else MODEL_COLOURS[1] if high < 0 else INK
        axes.plot([low, high], [height, height], color=colour, linewidth=1.3)
        axes.plot([found.value], [height], color=colour, marker="s", markersize=4.5)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
