"""`evaluate`: score runs again, pool the jobs of a sweep, compare runs."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from fusion.metrics import FUSION, ModelTable, compare_runs, pool_runs, score_models, score_run
from fusion.report.ablation import VariantScore, variant_cells, variant_name, variant_scores, write_variants
from fusion.run.console import console
from fusion.run.folder import RunTables, config_of, print_scores, read_run
from fusion.run.sweep import FREE
from fusion.training.checkpoint import write_json

Json = dict[str, Any]
#: Up to so many variants are also scored each by itself, with their baselines and subgroups, and compared every two.
MANY = 4
#: So many runs of a setting, evenly taken from all of them, say what plain models, subgroups and curves are like.
IN_FULL = 5
#: Overrides that say how runs were carried out, or which of several they are.
NOT_THE_MODEL = ("seed=", "resume=", "debug=", "workers=", "launcher=", "hydra.")


def evaluate(config: DictConfig) -> int:
    """Score runs again; several are pooled where only their seed differs, and compared where they differ otherwise."""
    if config.predictions is not None:
        from fusion.run.external import evaluate_external

        return evaluate_external(config)
    if config.audit:
        from fusion.run.audit import audit_runs

        return audit_runs(config)
    folders = [job for name in config.runs for job in finished_jobs(Path(name))]
    if not folders:
        raise ValueError("runs=[...] names no folder with a finished run")
    for folder in folders:
        if not (folder / "predictions.parquet").exists():
            raise ValueError(f"{folder} is no finished run (no predictions.parquet); give run folders as runs=[A,B]")
    groups = _grouped(folders)
    manifest = json.loads((folders[0] / "manifest.json").read_text(encoding="utf-8"))
    settings = {
        "horizons": tuple(config.horizons or manifest["horizons"]),
        "landmarks": tuple(config.landmarks or manifest["landmarks"]),
        "resamples": config.resamples,
    }
    many = len(groups) > MANY
    pooled = {group.label: pool_runs([_model_of(f) for f in group.folders]) for group in groups}
    result: dict[str, Any] = {}
    for group in () if many else groups:  # of so many, the common table alone is of use
        result[group.label] = _scored(group, pooled[group.label], settings)
        print_scores(result[group.label], _title(group))
    comparison = compare_runs(pooled, many=many, **settings) if len(pooled) > 1 else None
    rows = _compared(groups, comparison) if comparison else []
    if config.out:
        out = Path(config.out)
        folder = out.parent if out.suffix == ".json" else out
        folder.mkdir(parents=True, exist_ok=True)
        written = [out if out.suffix == ".json" else out / "scores.json"]
        write_json(written[0], {"runs": result, "compare": comparison})
        written += write_variants(rows, folder) if rows and folder == out else []
        console.print(f"wrote {', '.join(map(str, written))}")
    return 0


def _model_of(folder: Path) -> ModelTable:
    """The predictions of a run's model alone: hundreds of runs with all their tables would be gigabytes."""
    splits = pd.read_csv(folder / "splits.csv", dtype={"patient_id": str})
    return ModelTable(pd.read_parquet(folder / "predictions.parquet"), splits)


def _scored(group: "Group", whole: ModelTable, settings: Json) -> Json:
    """All scores of a group; where it has many runs, all of them speak for the model and `IN_FULL` for the rest."""
    count = len(group.folders)
    chosen = group.folders
    if count > IN_FULL:
        chosen = [group.folders[place * count // IN_FULL] for place in range(IN_FULL)]
    tables = [read_run(folder) for folder in chosen]
    part = pool_runs([ModelTable(t.predictions, t.splits) for t in tables]) if count > IN_FULL else whole
    scores = score_run(
        part.predictions,
        _pooled([t.baselines for t in tables], tables),
        part.splits,
        held_back=_pooled([t.held_back for t in tables], tables),
        subgroups=tables[0].subgroups,
        **settings,
    )
    if count > IN_FULL:
        everything = score_models({FUSION: whole}, [], brief=True, **settings)
        for task, of_all in everything["task"].items():
            here = scores["task"][task]
            here["model"][FUSION] |= of_all["model"][FUSION]
            for day, figures in of_all["landmark"].items():
                here["landmark"][day][FUSION] |= figures[FUSION]
    scores["settings"] |= {"runs": count, "runs_in_full": len(chosen)}
    return scores


def _title(group: "Group") -> str:
    count = len(group.folders)
    part = f"; all but {FUSION} from {IN_FULL} of them" if count > IN_FULL else ""
    return f"{group.label}: {count} run{'s' * (count > 1)}{part}"


def _compared(groups: Sequence["Group"], comparison: Json) -> list[VariantScore]:
    """Print, and return, each variant beside the first one."""
    first = groups[0]
    names = {group.label: variant_name(group.words, first.words) or group.label for group in groups}
    if len(set(names.values())) < len(names):  # told apart by more than their overrides
        names = {group.label: group.label for group in groups}
    rows = variant_scores(comparison, names, first.label)
    for task in dict.fromkeys(row.task for row in rows):
        cells = variant_cells(rows, task)
        columns = list(dict.fromkeys(column for row in cells for column in row))
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), collapse_padding=True)
        for column in columns:
            table.add_column(column, overflow="fold", max_width=26 if column == "variant" else None)
        for row in cells:
            table.add_row(*(escape(row.get(column, "")) for column in columns))
        console.print(table)
    return rows


def _pooled(rows: Sequence[pd.DataFrame | None], tables: Sequence[RunTables]) -> pd.DataFrame | None:
    """A further table of several runs as one; None unless every run has it."""
    present = [ModelTable(each, table.splits) for each, table in zip(rows, tables, strict=True) if each is not None]
    return pool_runs(present).predictions if len(present) == len(tables) else None


def finished_jobs(folder: Path) -> list[Path]:
    """The run folder itself, or the finished jobs of a sweep inside it, in their order."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    if (folder / "config.json").exists():
        return [folder]
    jobs = [path.parent for path in folder.glob("*/config.json") if (path.parent / "predictions.parquet").exists()]
    return sorted(jobs, key=lambda job: (int(job.name) if job.name.isdigit() else sys.maxsize, job.name))


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone, under a label made of the overrides that tell the groups apart."""

    label: str
    words: frozenset[str]
    folders: list[Path]


def _grouped(folders: list[Path]) -> list[Group]:
    """Runs by what they are but for the seed, in the order in which they were named."""
    configs = [config_of(folder) for folder in folders]
    words = [{w for w in config.pop("overrides") if not w.startswith(NOT_THE_MODEL)} for config in configs]
    common = set.intersection(*words)
    groups: dict[str, Group] = {}
    for folder, config, mine in zip(folders, configs, words, strict=True):
        kept = {key: value for key, value in config.items() if key not in FREE}
        seedless = {**kept, "seed": None, "split": {**config["split"], "seed": None}}
        key = json.dumps(seedless, sort_keys=True)
        if key not in groups:
            label = " ".join(sorted(mine - common)) or config["name"]
            taken = {group.label for group in groups.values()}
            label = f"{label} ({folder.name})" if label in taken else label
            groups[key] = Group(label, frozenset(mine - common), [])
        groups[key].folders.append(folder)
    return list(groups.values())
