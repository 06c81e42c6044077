"""`evaluate`: score runs again, pool the jobs of a sweep, compare runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from fusion.metrics import ModelTable, compare_runs, pool_runs, score_run
from fusion.run.audit import audit_runs
from fusion.run.console import console
from fusion.run.external import evaluate_external
from fusion.run.folder import RunTables, config_of, print_scores, read_run
from fusion.training.checkpoint import write_json


def evaluate(config: DictConfig) -> int:
    """Score runs again; several are pooled where only their seed differs, and compared where they differ otherwise."""
    if config.predictions is not None:
        return evaluate_external(config)
    if config.audit:
        return audit_runs(config)
    folders = [job for name in config.runs for job in _jobs(Path(name))]
    if not folders:
        raise ValueError("runs=[...] names no folder with a finished run")
    runs = {folder: read_run(folder) for folder in folders}
    result: dict[str, Any] = {}
    pooled: dict[str, ModelTable] = {}
    settings: dict[str, Any] = {}
    for label, same in _grouped(folders).items():
        tables = [runs[folder] for folder in same]
        manifest = json.loads((same[0] / "manifest.json").read_text(encoding="utf-8"))
        settings = {
            "horizons": tuple(config.horizons or manifest["horizons"]),
            "landmarks": tuple(config.landmarks or manifest["landmarks"]),
            "resamples": config.resamples,
        }
        pooled[label] = pool_runs([ModelTable(t.predictions, t.splits) for t in tables])
        result[label] = score_run(
            pooled[label].predictions,
            _pooled([t.baselines for t in tables], tables),
            pooled[label].splits,
            held_back=_pooled([t.held_back for t in tables], tables),
            subgroups=tables[0].subgroups,
            **settings,
        )
        print_scores(result[label], f"{label}: {len(same)} run{'s' * (len(same) > 1)}")
    comparison = compare_runs(pooled, **settings) if len(pooled) > 1 else None
    if comparison:
        print_scores(comparison, "all runs")
    if config.out:
        write_json(Path(config.out), {"runs": result, "compare": comparison})
        console.print(f"wrote {config.out}")
    return 0


def _pooled(rows: Sequence[pd.DataFrame | None], tables: Sequence[RunTables]) -> pd.DataFrame | None:
    """A further table of several runs as one; None unless every run has it."""
    present = [ModelTable(each, table.splits) for each, table in zip(rows, tables, strict=True) if each is not None]
    return pool_runs(present).predictions if len(present) == len(tables) else None


def _jobs(folder: Path) -> list[Path]:
    """The run folder itself, or the finished jobs of a sweep inside it."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    if (folder / "config.json").exists():
        return [folder]
    return sorted(
        path.parent for path in folder.glob("*/config.json") if (path.parent / "predictions.parquet").exists()
    )


def _grouped(folders: list[Path]) -> dict[str, list[Path]]:
    """Runs that differ in the seed alone, under a label made of the overrides that tell the groups apart."""
    configs = [config_of(folder) for folder in folders]
    words = [{w for w in config.pop("overrides") if not w.startswith(("seed=", "resume="))} for config in configs]
    common = set.intersection(*words)
    groups: dict[str, list[Path]] = {}
    labels: dict[str, str] = {}
    for folder, config, mine in zip(folders, configs, words, strict=True):
        seedless = {**config, "seed": None, "split": {**config["split"], "seed": None}}
        key = json.dumps(seedless, sort_keys=True)
        label = " ".join(sorted(mine - common)) or config["name"]
        taken = {other for k, other in labels.items() if k != key}
        labels.setdefault(key, f"{label} ({folder.name})" if label in taken else label)
        groups.setdefault(labels[key], []).append(folder)
    return groups
