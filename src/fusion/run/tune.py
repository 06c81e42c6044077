"""`tune`: search settings inside the training part of every fold, or on all patients alone, and say what was chosen."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from fusion.build import build_baselines, build_recipe, build_search, build_splitter, fitting_config, plain
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_tables
from fusion.data.splits import Split
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of
from fusion.run.helpers import helped
from fusion.run.train import check_same_run, fit_progress, resumed_config, run_manifest, train_with
from fusion.training.checkpoint import write_json
from fusion.training.crossvalidate import final_job, fit_jobs
from fusion.training.space import Setting, as_overrides
from fusion.training.tuning import take_trials

FINAL = "final_model"
#: Words of the command line that say how to search, not what is trained.
OF_THE_SEARCH = (
    "trials",
    "minutes",
    "storage",
    "workers",
    "outer",
    "resume",
    "debug",
    "tuning",
    "hydra",
    "trainer.progress",
)


def tune(config: DictConfig) -> int:
    """Search, leave `trials.csv` and `best.yaml` in the run folder, and print the command that trains with the best."""
    hydra = HydraConfig.get()
    folder, overrides = Path(hydra.runtime.output_dir), list(hydra.overrides.task)
    if not config.final_model:
        raise ValueError("what is best is said by the search of the final model; leave out final_model=false")
    if not config.resume:
        _share_time(config)
    values = config_of(folder) if config.resume else plain(config)
    with helped("tune_worker", folder, config.workers - 1):
        if values["outer"]:
            train_with(config, workers=1)  # its processes share the trials of one fold after the other
        else:
            _tune_final_model(config, folder, overrides)
    _summarise(folder)
    return 0


def searches(folder: Path, values: Mapping[str, Any], cohort: Cohort) -> list[tuple[Path, Split]]:
    """The folder and the split of every search of a run, in their order."""
    splitter = build_splitter(values)
    outer = splitter(cohort) if values.get("outer", True) else []
    folds = [(folder / f"fold_{split.repeat}_{split.fold}", split) for split in outer]
    return [*folds, (folder / FINAL, splitter.everyone(cohort))]


def help_search(folder: Path) -> None:
    """Take trials of a run that another process began, until there are none left: the body of `tune_worker`."""
    values = config_of(folder)
    cohort = open_cohort(values["data"])
    search = build_search(values)
    if search is None:
        raise ValueError(f"{folder} searches for nothing; it was started with tuning=none")
    tables = load_tables(cohort, build_recipe(values).make_modalities())
    for place, split in searches(folder, values, cohort):
        take_trials(cohort, tables, split, place, search)


def _share_time(config: DictConfig) -> None:
    """Give every search its part of `minutes`, and say what there is to do."""
    values = plain(config)
    cohort = open_cohort(values["data"])
    count = len(searches(Path(), values, cohort))
    each = None if config.minutes is None else float(config.minutes) * config.workers / count
    OmegaConf.update(config, "tuning.minutes", each)
    limit = "" if config.minutes is None else f", about {config.minutes:g} minutes in all"
    console.print(f"{count} search{'es' * (count > 1)} of at most {config.trials} trials{limit}")


def _tune_final_model(config: DictConfig, folder: Path, overrides: list[str]) -> None:
    """The search on all patients alone: settings and a model, and no score."""
    values = resumed_config(folder, overrides) if config.resume else {**plain(config), "overrides": overrides}
    cohort = open_cohort(values["data"])
    values = fitting_config(values, cohort, console.print)
    manifest = run_manifest(values, cohort, [])
    if (folder / "config.json").exists():
        check_same_run(folder, values, manifest)
    write_json(folder / "manifest.json", manifest)
    write_json(folder / "config.json", values)
    ((place, everyone),) = searches(folder, values, cohort)
    recipe = build_recipe(values)
    bar = fit_progress(values, 0) if values["trainer"]["progress"] else None
    with bar or nullcontext():
        raw = load_tables(cohort, recipe.make_modalities())
        fit_jobs(
            cohort,
            raw,
            [final_job(place, everyone, cohort)],
            recipe,
            fit_baselines=build_baselines(values),
            search=build_search(values),
            progress=bar,
        )


def _summarise(folder: Path) -> None:
    """Write `trials.csv` and `best.yaml`, and print what was chosen and how to train with it."""
    values = config_of(folder)
    found = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/tuning.json"))
    }
    trials_table(found).to_csv(folder / "trials.csv", index=False)
    best = found[FINAL]
    chosen = as_overrides(values, best["settings"])
    command = shlex.join(["python", "scripts/train.py", *_without(values["overrides"], chosen), *chosen])
    (folder / "best.yaml").write_text(
        f"# What the search on all patients chose: trial {best['number']} of {len(best['trials'])}, "
        f"inner loss {best['loss']:.4f}. Train with it:\n# {command}\n"
        "# All patients had a say in this choice, so a cross-validation with it is no result: the folds of\n"
        "# tune.py, each with a search of its own, are.\n" + yaml.safe_dump({"overrides": chosen}, width=120),
        encoding="utf-8",
    )
    _print(found)
    console.print(f"trials: {folder / 'trials.csv'}; chosen: {folder / 'best.yaml'}; train with it:")
    console.print(escape(command), soft_wrap=True, highlight=False)


def trials_table(found: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row per trial of every search, given their `tuning.json` by the name of their folder.

    >>> trial = {"number": 0, "loss": 0.5, "seconds": 2.0, "settings": {"model.dim": 8}}
    >>> trials_table({"final_model": {**trial, "trials": [trial]}}).to_dict("records")
    [{'search': 'final_model', 'trial': 0, 'loss': 0.5, 'seconds': 2.0, 'chosen': True, 'model.dim': 8}]
    """
    rows = [
        {
            "search": name,
            "trial": trial["number"],
            "loss": trial["loss"],
            "seconds": trial["seconds"],
            "chosen": trial["number"] == each["number"],
            **trial["settings"],
        }
        for name, each in found.items()
        for trial in each["trials"]
    ]
    return pd.DataFrame(rows)


def agreement(values: Sequence[Setting]) -> str:
    """What several searches chose, in one word.

    >>> agreement([8, 32, 8]), agreement([0.02, 0.5, 0.1]), agreement([])
    ('8 (2), 32 (1)', '0.02 to 0.5', '')
    """
    if any(isinstance(value, float) for value in values):
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        return f"{min(numbers):.4g} to {max(numbers):.4g}"
    return ", ".join(f"{value} ({count})" for value, count in Counter(values).most_common())


def _without(overrides: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """The words of a command that `train.py` takes too, less those that the choice replaces."""
    replaced = {word.partition("=")[0] for word in chosen}
    kept = []
    for word in overrides:
        key = word.partition("=")[0].lstrip("+~")
        if not key.startswith(OF_THE_SEARCH) and "tuning.space" not in key and key not in replaced:
            kept.append(word)
    return kept


def _print(found: Mapping[str, Mapping[str, Any]]) -> None:
    """A row per setting: where the search began, what it chose on all patients, and what in the folds."""
    best, folds = found[FINAL], [each for name, each in found.items() if name != FINAL]
    first = best["trials"][0]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for column in ("setting", "config", "chosen", *(["in the folds"] if folds else [])):
        table.add_column(column, overflow="fold")
    for name in best["settings"]:
        values = [_short(each["settings"][name]) for each in (first, best)]
        within = [agreement([each["settings"][name] for each in folds])] if folds else []
        table.add_row(*map(escape, (name, *values, *within)))
    within = [agreement([each["loss"] for each in folds])] if folds else []
    table.add_row("inner loss", _short(first["loss"]), _short(best["loss"]), *within)
    console.print(table)


def _short(value: Setting) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
