"""Measured coverage of conformal bounds and sets of finished runs, overall and by subgroup, and abstention curves.

    python benchmarks/coverage.py 'runs=[A,B,...]' [alpha=0.1] [by=stage] [out=FILE]

With `by=` a column of subgroups.csv, its classes get bounds of their own where they are large enough.

One run: coverage with its interval over patients. Several: the mean over runs, with a 95 % interval (Student's t over
runs, which should differ in their cohort) and the range. Then a harder test: the rule that each run learned from all of
its held-out predictions, applied to those of every other run. (Within a run the folds balance one another: if a level
is too high for one fold it is too low for the rest, so its coverage varies less than that of new patients.)
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from _runs import ROOT, markdown
from scipy.stats import t as student

from fusion.metrics.abstention import response_abstention, survival_abstention
from fusion.metrics.conformal import RESPONSE, ConformalRule
from fusion.metrics.coverage import coverage_of_bounds, coverage_of_sets
from fusion.metrics.cross_conformal import conformal_bounds, conformal_sets
from fusion.training.manifest import machine_facts

#: Where the members' curves are compared, in days, and what their distance there is called.
YEAR, SPREAD = 365, "distance of the members' survival at a year"


def tables_of(run: Path, alpha: float, by: str | None = None) -> pd.DataFrame:
    """Coverage of one run: `task at group patients coverage low high` and what says how useful the answers are."""
    predictions = pd.read_parquet(run / "predictions.parquet")
    groups = None
    if (run / "subgroups.csv").exists():
        groups = pd.read_csv(run / "subgroups.csv", dtype=str)
    classes = None if by is None or groups is None else dict(groups.set_index("patient_id")[by].fillna(""))
    parts = []
    for task in dict.fromkeys(predictions["task"]):
        if task == RESPONSE:
            found = coverage_of_sets(predictions, conformal_sets(predictions, alpha), groups)
        else:
            bounds = conformal_bounds(predictions, task, alpha, groups=classes)
            found = coverage_of_bounds(predictions, bounds, task, groups)
        parts.append(found.assign(task=task))
    return pd.concat(parts, ignore_index=True).assign(run=run.name)


def transferred(runs: Sequence[Path], alpha: float) -> list[dict[str, str]]:
    """Coverage at baseline of the rule of each run on the patients of the next ones."""
    predictions = {run: pd.read_parquet(run / "predictions.parquet") for run in runs}
    found: dict[str, list[float]] = {}
    for run in runs:
        rule = ConformalRule.learn(predictions[run], alpha=alpha)
        for other in runs:
            if other == run:
                continue
            first = predictions[other][predictions[other]["visit"] == 0]
            for task in sorted({each.task for each in rule.bounds} & set(first["task"])):
                table = coverage_of_bounds(first, rule.lower_bounds(first, task), task)
                found.setdefault(task, []).append(float(table["coverage"].iloc[0]))
            if rule.sets and RESPONSE in set(first["task"]):
                table = coverage_of_sets(first, rule.response_sets(first))
                found.setdefault(RESPONSE, []).append(float(table["coverage"].iloc[0]))
    return [
        {
            "rule of one run on another": task,
            "pairs": str(len(values)),
            "coverage": f"{np.mean(values):.3f}",
            "range": f"{min(values):.3f} to {max(values):.3f}",
        }
        for task, values in found.items()
    ]


def abstention_of(run: Path) -> dict[str, dict[str, object]]:
    """Score of the surest half, of all, and the area, by task and what sureness is."""
    predictions = pd.read_parquet(run / "predictions.parquet")
    low, high = (f"{kind}_survival_{YEAR}" for kind in ("lowest", "highest"))
    curves = []
    for task in dict.fromkeys(predictions["task"]):
        curves.append(
            (task, response_abstention(predictions) if task == RESPONSE else survival_abstention(predictions, task))
        )
        if task != RESPONSE and {low, high} <= set(predictions):
            rows = predictions.assign(**{SPREAD: predictions[high] - predictions[low]})
            curves.append((f"{task}, by agreement", survival_abstention(rows, task, spread=SPREAD)))
    found = {}
    for task, curve in curves:
        half = float(curve.values[np.argmin(np.abs(curve.share - 0.5))])
        found[str(task)] = {
            "score": curve.score,
            "confidence": curve.confidence,
            "surest half": half,
            "all": float(curve.values[-1]),
            "area": curve.area,
            "curve": [list(pair) for pair in zip(curve.share.tolist(), curve.values.tolist(), strict=True)],
        }
    return found


def pooled(some: pd.DataFrame) -> dict[str, str]:
    """One line of the table, of one run or of several."""
    value = some["coverage"].to_numpy(dtype=np.float64)
    size = f"{some['patients'].mean():.0f}"
    if len(some) == 1:
        low, high, spread = float(some["low"].iloc[0]), float(some["high"].iloc[0]), ""
    else:
        half = float(student.ppf(0.975, len(value) - 1)) * value.std(ddof=1) / len(value) ** 0.5
        low, high = value.mean() - half, min(1.0, value.mean() + half)
        spread = f"{value.min():.3f} to {value.max():.3f}"
    return {
        "runs": str(len(some)),
        "patients": size,
        "coverage": f"{value.mean():.3f} ({low:.3f} to {high:.3f})",
        "range over runs": spread,
    }


def useful(some: pd.DataFrame) -> str:
    """How much the answers say: the bound's median, or the share of sets with one class."""
    if some["median_lower_days"].notna().any():
        return f"bound {some['median_lower_days'].mean():.0f} days"
    return f"one class in {some['single'].mean():.0%}"


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    runs = [Path(name) for name in given.get("runs", "").strip("[]").split(",") if name]
    if not runs:
        print("nothing to do: name finished runs, 'runs=[A,B]'")
        return
    alpha = float(given.get("alpha", "0.1"))
    table = pd.concat([tables_of(run, alpha, given.get("by")) for run in runs], ignore_index=True)
    for name in ("median_lower_days", "single"):
        table[name] = table.get(name, np.nan)
    rows = [
        {"task": str(task), "at": str(at), "group": str(group), **pooled(some), "says": useful(some)}
        for (task, at, group), some in table.groupby(["task", "at", "group"], sort=False)
    ]
    print(f"nominal coverage {1 - alpha:.0%}\n")
    print(markdown(rows))
    pairs = transferred(runs, alpha)
    if pairs:
        print()
        print(markdown(pairs))
    abstention = {run.name: abstention_of(run) for run in runs}
    print()
    lines = []
    for task in dict.fromkeys(task for each in abstention.values() for task in each):
        curves = [each[task] for each in abstention.values() if task in each]
        means = {name: np.mean([float(str(each[name])) for each in curves]) for name in ("surest half", "all", "area")}
        head = {"task": task, "score": str(curves[0]["score"]), "sure by": str(curves[0]["confidence"])}
        lines.append({**head, **{name: f"{value:.3f}" for name, value in means.items()}})
    print(markdown(lines))
    out = Path(given.get("out", ROOT / "runs" / "bench" / "coverage.json"))
    out.parent.mkdir(parents=True, exist_ok=True)
    raw = json.loads(table.to_json(orient="records"))
    result = {
        "machine": machine_facts(),
        "alpha": alpha,
        "rows": rows,
        "raw": raw,
        "transferred": pairs,
        "abstention": abstention,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
