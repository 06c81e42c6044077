"""Nested tuning: settings are searched inside the training part of a fold, by the loss of its out-of-fold outputs.

Every trial is an ensemble over the same inner folds, so its score is a cross-validated loss over all training
patients, each by the member that left it out, at the epoch that this loss chose. The best trial is the fitted fold:
nothing is refitted, and the outer test patients are met once, after the choice. The score of the best of many trials
flatters it, which is why it is no result; the outer folds give that.
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay
from fusion.data.splits import Split
from fusion.training.callbacks import FitProgress
from fusion.training.checkpoint import write_json
from fusion.training.fold import FittedFold, Recipe, fit_fold, load_fold, split_seed

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Setting = bool | int | float | str | None
Settings = Mapping[str, Setting]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched for in every fold.

    Attributes:
        make_recipe: The recipe with these settings.
        space: By name of the setting, `{choices: [...]}` or `{low, high}` with `log` or `step`.
        start: The settings of the config itself: they are the first trial.
        trials: Trials of a fold, the first one included.
        seed: Seed of the run.
    """

    make_recipe: Callable[[Settings], Recipe]
    space: Mapping[str, Mapping[str, Any]]
    start: Settings
    trials: int
    seed: int


def fit_tuned_fold(
    cohort: Cohort,
    tables: Mapping[str, object],
    split: Split,
    folder: Path,
    search: Search,
    progress: FitProgress | None = None,
) -> FittedFold:
    """Fit a fold once per trial and keep the best; leaves `tuning.json` beside what `fit_fold` leaves.

    Trials that an earlier attempt finished are taken up: the sampler proposes the same ones again.
    """
    if not (folder / "tuning.json").exists():
        results = _search(cohort, tables, split, folder / "trials", search, progress)
        best = min(range(len(results)), key=lambda number: results[number]["loss"])
        write_json(folder / "tuning.json", {"best": best, **results[best], "trials": results})
    best = json.loads((folder / "tuning.json").read_text(encoding="utf-8"))["best"]
    winner = folder / "trials" / str(best)
    for path in sorted(winner.glob("*")):
        os.replace(path, folder / path.name)
    shutil.rmtree(folder / "trials", ignore_errors=True)
    return load_fold(folder, search.make_recipe(chosen_settings(folder)))


def chosen_settings(folder: Path) -> Settings:
    """The settings of a fitted fold; none where nothing was searched for."""
    path = folder / "tuning.json"
    return json.loads(path.read_text(encoding="utf-8"))["settings"] if path.exists() else {}


def _search(
    cohort: Cohort,
    tables: Mapping[str, object],
    split: Split,
    folder: Path,
    search: Search,
    progress: FitProgress | None,
) -> list[dict[str, Any]]:
    """Settings and loss of every trial."""
    optuna = _import_optuna()
    distributions = {name: _distribution(node) for name, node in search.space.items()}
    sampler = optuna.samplers.TPESampler(seed=split_seed(search.seed, split), n_startup_trials=5)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial(dict(search.start))
    results = []
    for number in range(search.trials):
        trial = study.ask(distributions)
        place = folder / str(number)
        loss = _finished(place, trial.params)
        if loss is None:
            recipe = search.make_recipe(trial.params)
            assays = {name: Assay(m, tables[name]) for name, m in recipe.make_modalities().items()}
            callbacks = [progress] if progress else []
            loss = fit_fold(cohort, assays, split, place, recipe, callbacks).inner_loss
            loss = loss if math.isfinite(loss) else sys.float_info.max  # training that diverged is the worst
            write_json(place / "trial.json", {"settings": trial.params, "loss": loss})
        study.tell(trial, loss)
        results.append({"settings": trial.params, "loss": loss})
        if progress:
            progress.fit_done()
    return results


def _finished(place: Path, settings: Settings) -> float | None:
    """Loss of a trial that an earlier attempt brought to its end."""
    if not (place / "trial.json").exists():
        return None
    found = json.loads((place / "trial.json").read_text(encoding="utf-8"))
    if found["settings"] != settings:
        raise ValueError(f"{place} holds a trial of another search; remove {place.parent} to search anew")
    return float(found["loss"])


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as missing:
        raise ImportError("tuning needs Optuna: pip install 'fusion-oncology[tune]'") from missing
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(node: Mapping[str, Any]) -> "BaseDistribution":
    """What Optuna draws a setting from."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if "choices" in node:
        return CategoricalDistribution(node["choices"])
    low, high, log, step = node["low"], node["high"], bool(node.get("log", False)), node.get("step")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=step)


def check_range(name: str, node: Mapping[str, Any], value: Setting) -> None:
    """Refuse a range that is none, or that does not hold the value of the config itself.

    Raises:
        ValueError: What is wrong with it.
    """
    if set(node) != {"choices"} and not {"low", "high"} <= set(node) <= {"low", "high", "log", "step"}:
        raise ValueError(
            f"tuning.space: {name} is {dict(node)}; give choices: [...], or low and high (and log or step)"
        )
    if "choices" not in node and (not node["low"] < node["high"] or (node.get("log") and node["low"] <= 0)):
        raise ValueError(f"tuning.space: {name} is {dict(node)}; low must be below high, and above 0 if log")
    if not (value in node["choices"] if "choices" in node else node["low"] <= value <= node["high"]):
        raise ValueError(
            f"tuning.space: {name} is {value} in the config, outside {dict(node)}; widen the space or set {name}"
        )
