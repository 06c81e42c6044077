"""Tables and sentences of how a cohort differs from the one that a model was trained on."""

import math
from collections.abc import Mapping
from typing import Any

from fusion.report.style import DAYS_PER_MONTH
from fusion.report.tables import Cell, Row, Table
from fusion.report.words import counted, digits, signed, task_name

#: A standardised difference that is commonly called small; larger ones are named, if chance does not explain them.
SMALL = 0.2
#: Names in a sentence.
MOST_NAMED = 6


def alarm(shift: Mapping[str, Any]) -> float:
    """Standardised difference beyond which a covariate is named: not small, and more than chance would make it."""
    sizes = [shift[side]["patients"] for side in ("training", "here")]
    return max(SMALL, 2 * math.sqrt(sum(1 / max(size, 1) for size in sizes)))


def sentences(shift: Mapping[str, Any] | None) -> list[str]:
    """What differs, in plain words."""
    if shift is None:
        return ["What differs from the training cohort is not known: this run kept no summary of it."]
    limit, total = alarm(shift), shift["here"]["patients"]
    differing = [row["name"] for row in _sorted(shift) if abs(row["difference"] or 0) > limit]
    named = ", ".join(differing[:MOST_NAMED]) + (", ..." if len(differing) > MOST_NAMED else "")
    covariates = counted(len(shift["covariates"]), "covariate")
    number = f"{len(differing)} of {covariates} {'differs' if len(differing) == 1 else 'differ'}"
    found = number if differing else f"None of {covariates} differs"
    lines = [f"{found} by more than {digits(limit, 2)} sd from the training cohort{': ' + named if named else ''}."]
    outside = shift["outside"]
    if outside["covariates"]:
        far = outside["patients"]["3+"]
        lines.append(
            f"{counted(far, 'patient')} of {total} {'has' if far == 1 else 'have'} three or more of "
            f"{counted(outside['covariates'], 'number')} outside the training range: for them the model extrapolates."
        )
    unseen = shift["combinations"]["patients"]
    if unseen:
        lines.append(
            f"{counted(unseen, 'patient')} {'has' if unseen == 1 else 'have'} a combination of data at the first visit "
            "that fewer than five training patients had."
        )
    return lines


def _sorted(shift: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Covariates, the most different first; those without a figure at the end."""
    return sorted(shift["covariates"], key=lambda row: -abs(row["difference"]) if row["difference"] is not None else 1)


def covariate_table(shift: Mapping[str, Any]) -> Table | None:
    """Every covariate of both cohorts, the most different first."""
    limit = alarm(shift)
    rows = []
    for row in _sorted(shift):
        value = row["difference"]
        text = "–" if value is None else digits(value, 2) if row["kind"] == "categorical" else signed(value, 2)
        sides = (row["training"], row["here"])
        counts = row["training"].get("counts") or {}
        commonest = max(counts, key=lambda name: counts[name]) if counts else None
        cells = (
            *(Cell(_described(side, commonest)) for side in sides),
            Cell(text, best=value is not None and abs(value) > limit, order=value),
            *(Cell(f"{100 * side['missing']:.0f} %") for side in sides),
            Cell(_beyond(row)),
        )
        rows.append(Row(name=row["name"], cells=cells))
    heads = ("Training", "Here", "Standardised difference", "Missing, training", "Missing, here", "Outside or new")
    return Table((), heads, tuple(rows)) if rows else None


def _described(side: Mapping[str, Any], commonest: str | None) -> str:
    """Mean and sd, or the share of the class that is commonest in training."""
    if side["kind"] == "categorical":
        share = side["counts"].get(commonest, 0) / side["patients"] if side["patients"] else math.nan
        return f"{commonest} {100 * share:.0f} %" if commonest and side["patients"] else "–"
    return f"{side['mean']:.3g} ± {side['sd']:.3g}".replace("-", "−") if "mean" in side else "too few"


def _beyond(row: Mapping[str, Any]) -> str:
    """Patients outside the training range, or in a class that training did not know."""
    number = sum(row["new_classes"].values()) if row["kind"] == "categorical" else row["outside"]
    known = row["here"]["patients"]
    return "–" if number is None or not known else f"{number} ({100 * number / known:.0f} %)"


def class_table(shift: Mapping[str, Any]) -> Table | None:
    """Shares of every class of both cohorts."""
    rows = []
    for row in shift["covariates"]:
        if row["kind"] != "categorical":
            continue
        sides = [row[side] for side in ("training", "here")]
        for name in dict.fromkeys(name for side in sides for name in side["counts"]):
            cells = [
                Cell(f"{100 * side['counts'].get(name, 0) / side['patients']:.0f} %" if side["patients"] else "–")
                for side in sides
            ]
            new = row["new_classes"].get(name)
            rows.append(Row(name=f"{row['name']}: {name}", cells=(*cells, Cell("new" if new else ""))))
    return Table((), ("Training", "Here", "Note"), tuple(rows)) if rows else None


def modality_table(shift: Mapping[str, Any]) -> Table | None:
    """Availability of every modality in both cohorts."""

    def share(value: float | None) -> Cell:
        return Cell("–" if value is None else f"{100 * value:.0f} %")

    rows = []
    for name, both in shift["modalities"].items():
        sides = [both[side] for side in ("training", "here")]
        at_baseline, later = ([share(side[key]) for side in sides] for key in ("at_baseline", "at_later_visits"))
        rows.append(
            Row(name=name, cells=(*at_baseline, *later, *(Cell(digits(s["samples_per_patient"], 1)) for s in sides)))
        )
    groups = (("Patients at the first visit", 2), ("Later visits", 2), ("Samples per patient", 2))
    return Table(groups, ("Training", "Here") * 3, tuple(rows)) if rows else None


def outcome_table(shift: Mapping[str, Any]) -> Table | None:
    """Patients, events, follow-up and median time of both cohorts."""
    rows = []
    for task, both in shift["outcomes"].items():
        sides = [both[side] for side in ("training", "here")]
        cells = []
        for key in ("known", "events", "median_follow_up_days", "median_days"):
            cells += [Cell(_outcome(side, key)) for side in sides]
        rows.append(Row(name=task_name(task).capitalize(), cells=tuple(cells)))
    groups = (("Known", 2), ("Events", 2), ("Median follow-up, months", 2), ("Median time to event, months", 2))
    return Table(groups, ("Training", "Here") * 4, tuple(rows)) if rows else None


def _outcome(side: Mapping[str, Any] | None, key: str) -> str:
    value = (side or {}).get(key)
    if value is None:
        return "–"
    return f"{value / DAYS_PER_MONTH:.1f}" if "days" in key else f"{value:,}"


def unseen_combinations(shift: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Combinations of data that fewer than five training patients had, and who has them here."""
    return [(name or "no data", int(n)) for name, n in shift["combinations"]["unseen"].items()]
