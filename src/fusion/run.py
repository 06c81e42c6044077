"""The body of every command. Beside `build.py` and `cli.py` nothing else knows Hydra."""

import json
import logging
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fusion.build import build, build_baselines, build_recipe, fitting_config, plain
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_assays
from fusion.data.qc import summarise_cohort
from fusion.data.qc import validate as validate_folder
from fusion.data.read import read_cohort
from fusion.data.simulator import simulate_cohort
from fusion.data.splits import split_hash, write_splits
from fusion.metrics import ModelTable, compare_runs, pool_runs, score_run, subgroup_table, summary_table
from fusion.report import build_report
from fusion.training.callbacks import FoldProgress
from fusion.training.checkpoint import write_json
from fusion.training.crossvalidate import cross_validate, load_fold
from fusion.training.manifest import Stopwatch, git_state, hash_inputs, machine_facts, peak_memory_gb

console = Console()
# Lightning's advertisements and its notes on the devices that it found are no news of a run.
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="pytorch_lightning")


# --- simulate, validate ----------------------------------------------------------------------------------------------


def simulate(config: DictConfig) -> int:
    """Write a simulated cohort."""
    values = plain(config)
    values.pop("debug")
    _simulated(**values)
    console.print(f"wrote {values['out']}")
    return 0


def _simulated(*, out: str | Path, preset: str | None, **settings: Any) -> None:
    """Simulate a cohort; `preset=null` is the one without signal, though YAML reads the word as nothing."""
    simulate_cohort(out=out, preset=preset or "null", **settings)


def validate(config: DictConfig) -> int:
    """Check a cohort folder: 0 and a summary, or 1 and every problem."""
    return validate_folder(Path(config.data.path), console, config.data.visit_window, errors=Console(stderr=True))


def open_cohort(data: Mapping[str, Any]) -> Cohort:
    """Read a cohort folder; a simulated one is made first if it is absent."""
    folder = Path(data["path"])
    if data["simulate_if_absent"] and not folder.exists():
        console.print(f"there is no {folder} yet: simulating it")
        _simulated(out=folder, **data["simulate"])
    if not folder.is_dir():
        raise ValueError(f"{folder} is {'no folder' if folder.exists() else 'not there'}; set data.path=DIR")
    return read_cohort(folder, visit_window=data["visit_window"])


# --- train -----------------------------------------------------------------------------------------------------------


def train(config: DictConfig) -> int:
    """Cross-validate, score and report into the run folder."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = list(hydra.overrides.task)
    values = _resumed(folder, overrides) if config.resume else {**plain(config), "overrides": overrides}
    watch = Stopwatch()
    with watch.stage("cohort"):
        cohort = open_cohort(values["data"])
        values = fitting_config(values, cohort, console.print)
        splits = build(values["split"])(cohort)
        manifest = _manifest(values, cohort, splits)
        if (folder / "config.json").exists():
            _check_same_run(folder, values, manifest)
        write_json(folder / "manifest.json", manifest)
        write_json(folder / "config.json", values)
        write_json(folder / "qc.json", summarise_cohort(cohort).to_json())
        write_splits(splits, folder / "splits.csv")
        subgroup_table(cohort.patients).to_csv(folder / "subgroups.csv", index=False)
    console.print(
        f"{cohort.name}: {cohort.num_patients} patients, {', '.join(values['modalities'])}; "
        f"{len(splits)} folds of {values['members']} models"
    )
    with watch.stage("fit"):
        max_epochs = values["trainer"]["lightning"]["max_epochs"]
        bar = FoldProgress(num_folds=len(splits), max_epochs=max_epochs) if values["trainer"]["progress"] else None
        with bar or nullcontext():
            tables = cross_validate(cohort, splits, folder, build_recipe(values), build_baselines(values), bar)
    for name, table in zip(("predictions", "baselines"), tables, strict=True):
        if not table.empty:
            table.to_parquet(folder / f"{name}.parquet", index=False)
    with watch.stage("score"):
        metrics = score_folder(folder, values["evaluation"])
    manifest = {**manifest, "peak_memory_gb": peak_memory_gb(), "wall_seconds": watch.seconds}
    write_json(folder / "manifest.json", manifest)
    if values["evaluation"]["report"]:
        with watch.stage("report"):
            build_report(folder)
        write_json(folder / "manifest.json", manifest)
    print_scores(metrics, values["name"])
    console.print(f"report: {folder / 'report' / 'index.html'}" if values["evaluation"]["report"] else f"run: {folder}")
    return 0


def _resumed(folder: Path, overrides: list[str]) -> dict[str, Any]:
    """The config of an earlier run, which the overrides given now may repeat but not change."""
    values = _finished(folder)
    before = values["overrides"]
    new = [word for word in overrides if not word.startswith(("resume=", "debug=")) and word not in before]
    if new:
        raise ValueError(f"a resumed run keeps its config; leave out {' '.join(new)}, or start a new run")
    hydra_folder = folder / ".hydra"  # Hydra has just overwritten what the run was started with
    OmegaConf.save(
        OmegaConf.create({key: value for key, value in values.items() if key != "overrides"}),
        hydra_folder / "config.yaml",
    )
    OmegaConf.save(OmegaConf.create(before), hydra_folder / "overrides.yaml")
    return values


def _check_same_run(folder: Path, values: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """A folder holds the folds of one config and one cohort: refuse to go on in it with another."""
    before = _finished(folder)
    changed = [key for key in values if key not in ("overrides", "resume", "debug") and before.get(key) != values[key]]
    if changed:
        raise ValueError(f"{folder} holds a run with another config ({', '.join(changed)}); choose another folder")
    first = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    changed = [key for key in ("inputs", "split_sha256") if first[key] != manifest[key]]
    if changed:
        raise ValueError(f"the cohort is not the one that {folder} was started on ({', '.join(changed)}); start anew")


def _manifest(values: Mapping[str, Any], cohort: Cohort, splits: list[Any]) -> dict[str, Any]:
    truth = cohort.folder / "truth" / "manifest.json"
    oracle = json.loads(truth.read_text(encoding="utf-8")).get("oracle") if truth.exists() else None
    return {
        "name": values["name"],
        "experiment": values["name"],
        "git": git_state(Path(__file__).parent),
        **machine_facts(),
        "seed": values["seed"],
        "inputs": hash_inputs(cohort.folder),
        "split_sha256": split_hash(splits),
        "survival_times": values["evaluation"]["times"],
        "horizons": values["evaluation"]["horizons"],
        "landmarks": values["evaluation"]["landmarks"],
        "tasks": list(values["tasks"]),
        "modalities": list(values["modalities"]),
        "cohort": {"name": cohort.name, "path": cohort.folder.name, "patients": cohort.num_patients},
        "folds": len({split.fold for split in splits}),
        "repeats": len({split.repeat for split in splits}),
        "members": values["members"],
        **({"oracle": oracle} if oracle else {}),
    }


# --- evaluate, report, predict ---------------------------------------------------------------------------------------


def score_folder(folder: Path, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Score the predictions of a run folder and write its metrics.json."""
    tables = read_run(folder)
    metrics = score_run(
        **vars(tables),
        horizons=tuple(evaluation["horizons"]),
        landmarks=tuple(evaluation["landmarks"]),
        resamples=evaluation["resamples"],
    )
    write_json(folder / "metrics.json", metrics)
    return metrics


@dataclass(frozen=True)
class RunTables:
    """The tables of a finished run that scores are made from."""

    predictions: pd.DataFrame
    baselines: pd.DataFrame | None
    splits: pd.DataFrame
    subgroups: pd.DataFrame | None


def read_run(folder: Path) -> RunTables:
    """Read the tables of a finished run."""
    if not (folder / "predictions.parquet").exists():
        raise ValueError(f"{folder} is no finished run (no predictions.parquet); give run folders as runs=[A,B]")
    baselines, subgroups = folder / "baselines.parquet", folder / "subgroups.csv"
    return RunTables(
        predictions=pd.read_parquet(folder / "predictions.parquet"),
        baselines=pd.read_parquet(baselines) if baselines.exists() else None,
        splits=pd.read_csv(folder / "splits.csv", dtype={"patient_id": str}),
        subgroups=pd.read_csv(subgroups, dtype=str, keep_default_na=False) if subgroups.exists() else None,
    )


def print_scores(metrics: Mapping[str, Any], title: str) -> None:
    """Print a row per model: C-index or AUROC with interval, at baseline and at the first landmark."""
    landmarks = metrics["settings"]["landmarks"]
    rows = summary_table(dict(metrics), landmark=landmarks[0] if landmarks else 0.0)
    table = Table(
        title=escape(title), box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    for column in rows[0] if rows else []:
        if any(row[column] for row in rows):  # a cohort of single visits has no later figures
            table.add_column(column, no_wrap=column != "model", overflow="fold")
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        cells = [escape(row[str(column.header)]) for column in table.columns]
        table.add_row(*cells, end_section=after is not None and after["score"] != row["score"])
    console.print(table)


def report(config: DictConfig) -> int:
    """Build the report of a run again."""
    console.print(f"report: {build_report(Path(config.run))}")
    return 0


def predict(config: DictConfig) -> int:
    """Apply every fold of a run to another cohort and average; says what that cohort lacks."""
    wanted = plain(config)
    folder, out = Path(wanted["run"]), Path(wanted["out"])
    values = _finished(folder)
    folds = sorted(path.parent for path in folder.glob("fold_*/model.safetensors"))
    if not folds:
        raise ValueError(f"{folder} holds no fitted fold (fold_*/model.safetensors)")
    recipe = build_recipe(values)
    cohort = open_cohort({**values["data"], "path": wanted["data"]["path"], "simulate_if_absent": False})
    tables = {name: assay.table for name, assay in load_assays(cohort, recipe.make_modalities()).items()}
    if all(table is None for table in tables.values()):
        raise ValueError(f"{cohort.folder} has no sample of any modality of the run: {', '.join(tables)}")
    frames = []
    missing: dict[str, set[str]] = {name: set() for name in tables}
    for place in folds:
        fitted = load_fold(place, recipe)
        for name, modality in fitted.modalities.items():
            if tables[name] is not None:
                missing[name].update(modality.missing_features(tables[name]))
        frames.append(fitted.predict(cohort, tables, cohort.patient_ids, recipe.times))
    for name, features in missing.items():
        if tables[name] is None:
            console.print(f"modality {name}: no sample in this cohort; predicted without it")
        elif features:
            shown = f"{', '.join(sorted(features)[:5])}{', ...' if len(features) > 5 else ''}"
            console.print(f"modality {name}: {len(features)} features not in this cohort, left neutral: {shown}")
    rows = _averaged(frames)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(out, index=False)
    console.print(f"wrote {out}: {cohort.num_patients} patients, {len(folds)} folds of {values['members']} models")
    return 0


def _finished(folder: Path) -> dict[str, Any]:
    """The config of a run."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is no run folder (no config.json)")
    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return values


def _averaged(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean risk, curve and probability over folds, whose models saw different patients; risk group by majority."""
    first = frames[0].copy()
    for column in first:
        if column == "risk_group":
            first[column] = pd.concat([frame[column] for frame in frames], axis=1).median(axis=1).round()
        elif column == "risk" or column.startswith(("survival_", "prob_")):
            first[column] = pd.concat([frame[column] for frame in frames], axis=1).mean(axis=1)
    return first


def evaluate(config: DictConfig) -> int:
    """Score runs again; several are pooled where only their seed differs, and compared where they differ otherwise."""
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
        plain_tables = [ModelTable(t.baselines, t.splits) for t in tables if t.baselines is not None]
        plain_models = pool_runs(plain_tables).predictions if len(plain_tables) == len(tables) else None
        result[label] = score_run(
            pooled[label].predictions, plain_models, pooled[label].splits, subgroups=tables[0].subgroups, **settings
        )
        print_scores(result[label], f"{label}: {len(same)} run{'s' * (len(same) > 1)}")
    comparison = compare_runs(pooled, **settings) if len(pooled) > 1 else None
    if comparison:
        print_scores(comparison, "all runs")
    if config.out:
        write_json(Path(config.out), {"runs": result, "compare": comparison})
        console.print(f"wrote {config.out}")
    return 0


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
    configs = [_finished(folder) for folder in folders]
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
