"""Measured coverage of conformal bounds and sets over many cohorts, overall and by subgroup, and abstention curves.

    python benchmarks/coverage.py run=true [jobs=1] [preset=strong] [patients=240] [seeds=0-19] [members=2]
    python benchmarks/coverage.py [by=stage] [seeds=0-19] [alpha=0.1] [out=FILE]     of those that are finished
    python benchmarks/coverage.py 'runs=[A,B,...]' [by=stage] [alpha=0.1] [out=FILE]     of runs of your own

`run=true` fits a cohort per seed into runs/coverage/, five folds once, all endpoints, without the models of the
comparison, figures and final model, which no bound rests on; the bounds are those of every run. What is finished is
never fitted again, and a fit that was cut off goes on. With `by=` a column of subgroups.csv, its classes get bounds of
their own where they are large enough, as on the patient pages.

One run: coverage with its interval over patients. Several: the mean over runs, its standard error and 95 % interval
(Student's t over runs, which should differ in their cohort), the range, and how many runs lie within three points of
what is promised. Then a harder test: the rule that each run learned from all of its held-out predictions, applied to
those of every other run. (Within a run the folds balance one another: if a level is too high for one fold it is too
low for the rest, so its coverage varies less than that of new patients.)
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from _runs import ROOT, finished, markdown, train_all
from _timing import write
from scipy.stats import t as student

from fusion.metrics.abstention import response_abstention, survival_abstention
from fusion.metrics.conformal import RESPONSE, ConformalRule
from fusion.metrics.coverage import coverage_of_bounds, coverage_of_sets
from fusion.metrics.cross_conformal import conformal_bounds, conformal_sets

#: Where the members' curves are compared, in days, and what their distance there is called.
YEAR, SPREAD = 365, "distance of the members' survival at a year"
#: What no bound rests on is left away.
CHEAP = (
    *("split.repeats=1", "baselines=none", "final_model=false", "trainer=quiet", "evaluation.report=false"),
    *("evaluation.resamples=20", "workers=1"),
)
#: A run is near what is promised if it is no further away than this.
NEAR = 0.03
#: Patients with so few assays, or fewer, are one group.
FEW_ASSAYS = 3


def runs_of(given: Mapping[str, str]) -> dict[Path, list[str]]:
    """The folder of every seed, and what it is trained with."""
    preset, patients = given.get("preset", "strong"), given.get("patients", "240")
    members = given.get("members", "2")
    seeds: list[int] = []
    for part in given.get("seeds", "0-19").split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    runs = {}
    for seed in seeds:
        folder = ROOT / "runs" / "coverage" / f"{preset}_{patients}_members{members}_seed{seed}"
        cohort = (f"data.simulate.preset={preset}", f"data.simulate.patients={patients}", f"data.simulate.seed={seed}")
        again = [f"resume={folder}"] if (folder / "config.json").exists() else []
        runs[folder] = [*CHEAP, *cohort, f"members={members}", f"name={folder.name}", *again]
    return runs


def groups_of(run: Path) -> pd.DataFrame | None:
    """Covariates of the run's subgroups, and the number of assays that were there by the first visit."""
    if not (run / "subgroups.csv").exists():
        return None
    groups = pd.read_csv(run / "subgroups.csv", dtype=str)
    cohort = Path(json.loads((run / "config.json").read_text(encoding="utf-8"))["data"]["path"])
    path = (cohort if cohort.is_absolute() else ROOT / cohort) / "samples.csv"
    if not path.exists():
        return groups
    samples = pd.read_csv(path, dtype={"patient_id": str})
    if "pass_qc" in samples:
        samples = samples[samples["pass_qc"].fillna(1).astype(int) == 1]
    known = samples["available_day"].fillna(samples["day"]) if "available_day" in samples else samples["day"]
    predictions = pd.read_parquet(run / "predictions.parquet", columns=["patient_id", "visit", "day"])
    first = predictions[predictions["visit"] == 0].groupby("patient_id")["day"].first()
    there = samples[known <= samples["patient_id"].map(first)].groupby("patient_id")["modality"].nunique()
    count = groups["patient_id"].map(there).fillna(0).astype(int)
    words = count.astype(str).where(count > FEW_ASSAYS, f"{FEW_ASSAYS} or fewer")
    return groups.assign(**{"assays at the first visit": words})


def tables_of(run: Path, alpha: float, by: str | None = None) -> pd.DataFrame:
    """Coverage of one run: `task at group patients coverage low high` and what says how useful the answers are."""
    predictions, groups = pd.read_parquet(run / "predictions.parquet"), groups_of(run)
    classes = classes_of(groups, by)
    parts = []
    for task in dict.fromkeys(predictions["task"]):
        if task == RESPONSE:
            found = coverage_of_sets(predictions, conformal_sets(predictions, alpha, groups=classes), groups)
        else:
            bounds = conformal_bounds(predictions, task, alpha, groups=classes)
            found = coverage_of_bounds(predictions, bounds, task, groups)
        parts.append(found.assign(task=task))
    return pd.concat(parts, ignore_index=True).assign(run=run.name)


def classes_of(groups: pd.DataFrame | None, by: str | None) -> dict[str, str] | None:
    """Class of each patient that has bounds of its own."""
    return None if by is None or groups is None else dict(groups.set_index("patient_id")[by].fillna(""))


def transferred(runs: Sequence[Path], alpha: float, by: str | None = None) -> list[dict[str, str]]:
    """Coverage at baseline of the rule of each run on the patients of the others."""
    predictions = {run: pd.read_parquet(run / "predictions.parquet") for run in runs}
    groups = {run: groups_of(run) for run in runs}
    found: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for run in runs:
        rule = ConformalRule.learn(predictions[run], alpha=alpha, groups=classes_of(groups[run], by))
        for other in runs:
            if other == run:
                continue
            first = predictions[other][predictions[other]["visit"] == 0]
            for task in dict.fromkeys(first["task"]):
                if task == RESPONSE:
                    sets = rule.response_sets(first, classes_of(groups[other], by))
                    table = coverage_of_sets(first, sets, groups[other])
                else:
                    bounds = rule.lower_bounds(first, task, classes_of(groups[other], by))
                    table = coverage_of_bounds(first, bounds, task, groups[other])
                for group, value in table.loc[table["at"] == "baseline", ["group", "coverage"]].to_numpy():
                    found.setdefault((str(task), str(group)), {})[run.name, other.name] = float(value)
    rows = []
    for (task, group), pairs in found.items():
        # Rule by patients: two pairs of a row share their rule, two of a column their patients.
        value = pd.Series(pairs).unstack()
        spread = sum(float(value.mean(axis=axis).var(ddof=1)) / value.shape[1 - axis] for axis in (0, 1))
        rows.append(
            {
                "rule of one run on another": task,
                "group": group,
                "pairs": str(len(pairs)),
                "coverage (SE)": f"{np.nanmean(value):.3f} ({spread**0.5:.3f})",
                "range": f"{np.nanmin(value):.3f} to {np.nanmax(value):.3f}",
            }
        )
    return rows


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


def pooled(some: pd.DataFrame, promised: float) -> dict[str, str]:
    """One line of the table, of one run or of several."""
    some = some[some["coverage"].notna()]
    value = some["coverage"].to_numpy(dtype=np.float64)
    blank = {"coverage": "-", "SE": "", "range over runs": "", "near": ""}
    row = {"runs": str(len(some)), "patients": f"{some['patients'].mean():.0f}", **blank}
    if len(some) == 0:
        return row
    if len(some) == 1:
        low, high = float(some["low"].iloc[0]), float(some["high"].iloc[0])
        return {**row, "coverage": f"{value[0]:.3f} ({low:.3f} to {high:.3f})"}
    error = value.std(ddof=1) / len(value) ** 0.5
    half = float(student.ppf(0.975, len(value) - 1)) * error
    return {
        **row,
        "coverage": f"{value.mean():.3f} ({value.mean() - half:.3f} to {min(1.0, value.mean() + half):.3f})",
        "SE": f"{error:.3f}",
        "range over runs": f"{value.min():.3f} to {value.max():.3f}",
        "near": str(int((np.abs(value - promised) <= NEAR + 1e-9).sum())),
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
        wanted = runs_of(given)
        if given.get("run") == "true":
            train_all(wanted, int(given.get("jobs", "1")))
        runs = [folder for folder in wanted if finished(folder)]
    if not runs:
        print("nothing to do: run=true makes runs, and 'runs=[A,B]' names finished ones")
        return
    alpha, by = float(given.get("alpha", "0.1")), given.get("by")
    table = pd.concat([tables_of(run, alpha, by) for run in runs], ignore_index=True)
    for name in ("median_lower_days", "single"):
        table[name] = table.get(name, np.nan)
    rows = [
        {"task": str(task), "at": str(at), "group": str(group), **pooled(some, 1 - alpha), "says": useful(some)}
        for (task, at, group), some in table.groupby(["task", "at", "group"], sort=False)
    ]
    print(f"{len(runs)} runs, nominal coverage {1 - alpha:.0%}; near: runs within {NEAR * 100:.0f} points of it\n")
    print(markdown(rows))
    pairs = transferred(runs, alpha, by) if len(runs) > 1 else []
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
    raw = json.loads(table.to_json(orient="records"))
    write(out, alpha=alpha, rows=rows, raw=raw, transferred=pairs, abstention=abstention)


if __name__ == "__main__":
    main(sys.argv[1:])
