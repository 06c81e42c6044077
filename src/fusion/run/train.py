"""`train`: cross-validate, score and report into a run folder that can be taken up again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fusion.build import build, build_baselines, build_recipe, build_search, build_splitter, fitting_config, plain
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_tables
from fusion.data.qc import summarise_cohort
from fusion.data.shift import summarise_training
from fusion.data.splits import split_hash, write_splits
from fusion.metrics import subgroup_table
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of, print_scores, say_pages, score_folder, write_pages
from fusion.run.helpers import helped
from fusion.run.locked_model import lock_model
from fusion.run.sweep import FREE, config_hash
from fusion.training.callbacks import FitProgress
from fusion.training.checkpoint import write_json
from fusion.training.crossvalidate import TABLES, Job, final_job, fit_jobs, fold_jobs, read_predictions
from fusion.training.manifest import Stopwatch, git_state, hash_inputs, machine_facts, peak_memory_gb


def train(config: DictConfig) -> int:
    """Cross-validate, score and report into the run folder."""
    return train_with(config, num_workers(config))


def train_with(config: DictConfig, workers: int) -> int:
    """As `train`, with so many processes that fit folds."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = list(hydra.overrides.task)
    if config.resume:
        values = resumed_config(folder, overrides)
        asked = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("config_sha256")
    else:
        values = {**plain(config), "overrides": overrides}
        asked = config_hash(values)
    watch = Stopwatch()
    with watch.stage("cohort"):
        cohort = open_cohort(values["data"])
        values = fitting_config(values, cohort, console.print)
        splitter = build_splitter(values)
        splits = splitter(cohort)
        manifest = {**run_manifest(values, cohort, splits), "config_sha256": asked}
        if (folder / "config.json").exists():
            check_same_run(folder, values, manifest)
        write_json(folder / "manifest.json", manifest)
        write_json(folder / "config.json", values)
        write_json(folder / "qc.json", summarise_cohort(cohort).to_json())
        modalities = {name: build(node) for name, node in values["modalities"].items()}
        write_json(folder / "training_summary.json", summarise_training(cohort, modalities))
        write_splits(splits, folder / "splits.csv")
        subgroup_table(cohort.patients).to_csv(folder / "subgroups.csv", index=False)
    console.print(
        f"{cohort.name}: {cohort.num_patients} patients, {', '.join(values['modalities'])}; "
        f"{len(splits)} folds of {values['members']} models"
    )
    here = with_ranks(values, config, overrides)
    recipe, search = build_recipe(here), build_search(here)
    workers = min(workers, len(splits) + bool(values["final_model"]))
    bar = fit_progress(values, len(splits)) if values["trainer"]["progress"] else None
    helpers = helped("fold_worker", folder, workers - 1)
    with bar or nullcontext(), helpers, shared_cores(workers), watch.stage("fit"):
        raw = load_tables(cohort, recipe.make_modalities())
        jobs = run_jobs(folder, values, cohort)
        plain_models = build_baselines(values)
        fit_jobs(cohort, raw, jobs, recipe, fit_baselines=plain_models, search=search, progress=bar)
    for lock in folder.glob(".*.lock"):
        lock.unlink()
    tables = read_predictions(fold_jobs(folder, splits))
    for name in TABLES:
        table = getattr(tables, name)
        if not table.empty:
            table.to_parquet(folder / f"{name}.parquet", index=False)
    with watch.stage("score"):
        metrics = score_folder(folder, values["evaluation"])
    manifest = {**manifest, "peak_memory_gb": peak_memory_gb(), "wall_seconds": watch.seconds}
    write_json(folder / "manifest.json", manifest)
    pages = {}
    if values["evaluation"]["report"]:
        with watch.stage("report"):
            pages = write_pages(folder)
        write_json(folder / "manifest.json", manifest)
    if values["final_model"]:
        lock_model(folder)
    write_json(folder / "manifest.json", {**manifest, "finished": True})
    print_scores(metrics, values["name"])
    say_pages(pages or {"run": folder})
    return 0


def num_workers(config: DictConfig) -> int:
    """Processes that fit folds: as asked, or one per core up to four where models train on the CPU.

    A model of this size leaves a second core idle, and two of them keep a GPU waiting for one another's kernels. A job
    of a sweep counts the cores that its launcher gave it: torch has as many threads.
    """
    if config.workers is not None:
        return max(int(config.workers), 1)
    alone = not torch.cuda.is_available() and config.trainer.ranks == 1
    return min(torch.get_num_threads(), 4) if alone else 1


def with_ranks(values: dict[str, Any], config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """The config by which models are fitted here: a run may be taken up by more or fewer ranks than began it."""
    if not any(word.startswith("trainer.ranks=") for word in overrides):
        return values
    return {**values, "trainer": {**values["trainer"], "ranks": config.trainer.ranks}}


@contextmanager
def shared_cores(workers: int) -> Iterator[None]:
    """Leave this process its part of the cores, while others work beside it."""
    cores = torch.get_num_threads()
    torch.set_num_threads(max(1, cores // workers))
    try:
        yield
    finally:
        torch.set_num_threads(cores)  # the next job of a sweep may run in this process


def run_jobs(folder: Path, values: Mapping[str, Any], cohort: Cohort) -> list[Job]:
    """All models of a run: one per fold, then that of all patients."""
    splitter = build_splitter(values)
    jobs = fold_jobs(folder, splitter(cohort))
    if values["final_model"]:
        jobs.append(final_job(folder / "final_model", splitter.everyone(cohort), cohort))
    return jobs


def help_folds(folder: Path) -> None:
    """Fit folds of a run that another process began, until nobody is needed: the body of `fold_worker`."""
    torch.set_num_threads(1)
    values = config_of(folder)
    cohort, recipe = open_cohort(values["data"]), build_recipe(values)
    tables = load_tables(cohort, recipe.make_modalities())
    jobs = run_jobs(folder, values, cohort)
    fit_jobs(
        *(cohort, tables, jobs, recipe),
        fit_baselines=build_baselines(values),
        search=build_search(values),
        stay=False,
    )


def fit_progress(values: Mapping[str, Any], num_folds: int) -> FitProgress:
    """The bar over every fit of the run."""
    fits = num_folds + bool(values["final_model"])
    trials = (values.get("tuning") or {}).get("trials", 1)
    return FitProgress(num_fits=fits * trials, max_epochs=values["trainer"]["lightning"]["max_epochs"])


def resumed_config(folder: Path, overrides: list[str]) -> dict[str, Any]:
    """The config of an earlier run, which the overrides given now may repeat but not change."""
    values = config_of(folder)
    before = values["overrides"]
    free = ("resume=", "debug=", "workers=", "trainer.ranks=")
    new = [word for word in overrides if not word.startswith(free) and word not in before]
    if new:
        raise ValueError(f"a resumed run keeps its config; leave out {' '.join(new)}, or start a new run")
    hydra_folder = folder / ".hydra"  # Hydra has just overwritten what the run was started with
    OmegaConf.save(
        OmegaConf.create({key: value for key, value in values.items() if key != "overrides"}),
        hydra_folder / "config.yaml",
    )
    OmegaConf.save(OmegaConf.create(before), hydra_folder / "overrides.yaml")
    return values


def check_same_run(folder: Path, values: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """A folder holds the folds of one config and one cohort: refuse to go on in it with another."""
    before = config_of(folder)
    changed = [key for key in values if key not in FREE and before.get(key) != values[key]]
    if changed:
        raise ValueError(f"{folder} holds a run with another config ({', '.join(changed)}); choose another folder")
    first = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    changed = [key for key in ("inputs", "split_sha256") if first[key] != manifest[key]]
    if changed:
        raise ValueError(f"the cohort is not the one that {folder} was started on ({', '.join(changed)}); start anew")


def run_manifest(values: Mapping[str, Any], cohort: Cohort, splits: list[Any]) -> dict[str, Any]:
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
        "split": values["split"]["_target_"].rpartition(".")[2],
        "folds": len({split.fold for split in splits}),
        "repeats": len({split.repeat for split in splits}),
        "members": values["members"],
        **({"oracle": oracle} if oracle else {}),
    }
