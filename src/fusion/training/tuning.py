"""Nested tuning: settings are searched inside the training part of a fold, by the loss of its out-of-fold outputs.

Every trial is an ensemble over the same inner folds, so its score is a cross-validated loss over all training
patients, each by the member that left it out, at the epoch that this loss chose. The best trial is the fitted fold:
nothing is refitted, and the outer test patients are met once, after the choice. The score of the best of many trials
flatters it, which is why it is no result; the outer folds give that.

The trials of a fold are one Optuna study. Its settings and losses lie in a database, its models in
`FOLD/trials/NUMBER/`, and any number of processes that see both take trials from it in turn. Who fits a trial holds
the lock of its file; the system lets go of the lock when a process dies, and the next one takes that trial up from
its last checkpoint. So no trial is lost, and none needs a heartbeat.
"""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay
from fusion.data.splits import Split
from fusion.training.callbacks import FitProgress
from fusion.training.checkpoint import write_json
from fusion.training.fit import fit_fold
from fusion.training.fold import FittedFold, Recipe, load_fold, split_seed
from fusion.training.search import Search, chosen_settings
from fusion.training.space import Range, Setting, Settings

if TYPE_CHECKING:
    from optuna import Study, Trial

#: Trials drawn by chance before the sampler learns from them.
RANDOM_TRIALS = 5


def fit_tuned_fold(
    cohort: Cohort,
    tables: Mapping[str, object],
    split: Split,
    folder: Path,
    search: Search,
    progress: FitProgress | None = None,
) -> FittedFold:
    """Fit a fold once per trial and keep the best; leaves `tuning.json` beside what `fit_fold` leaves.

    Trials that an earlier attempt finished are taken up, and those that it left unfinished go on.
    """
    before = progress.fits if progress else 0
    while not (folder / "tuning.json").exists():
        take_trials(cohort, tables, split, folder, search, progress)
        results = _results(folder, search)
        if results is None:
            time.sleep(1)  # other processes are at the last trials; should one die, its trial is ours
            continue
        best = min(range(len(results)), key=lambda index: results[index]["loss"])
        write_json(folder / "tuning.json", {"best": best, **results[best], "trials": results})
    winner = folder / "trials" / str(json.loads((folder / "tuning.json").read_text(encoding="utf-8"))["number"])
    for path in sorted(winner.glob("*")):
        os.replace(path, folder / path.name)
    shutil.rmtree(folder / "trials", ignore_errors=True)
    if progress:
        progress.fit_done(before + search.trials - progress.fits)  # those of others, and those there was no time for
    return load_fold(folder, search.make_recipe(chosen_settings(folder)))


def take_trials(
    cohort: Cohort,
    tables: Mapping[str, object],
    split: Split,
    folder: Path,
    search: Search,
    progress: FitProgress | None = None,
) -> None:
    """Fit trials of a fold until none is left to take, beside other processes that do the same."""
    if (folder / "tuning.json").exists():
        return
    with _study(folder, search) as study:
        while taken := _take(study, folder, search, split_seed(search.seed, split)):
            number, settings, lock = taken
            place = folder / "trials" / str(number)
            try:
                loss = _finished(place, settings)
                if loss is None:
                    loss = _fit(cohort, tables, split, place, search.make_recipe(settings), settings, progress)
                study.tell(number, loss)
            finally:
                lock.release()
            if progress:
                progress.fit_done()


def _fit(
    cohort: Cohort,
    tables: Mapping[str, object],
    split: Split,
    place: Path,
    recipe: Recipe,
    settings: Settings,
    progress: FitProgress | None,
) -> float:
    began = time.monotonic()
    assays = {name: Assay(modality, tables[name]) for name, modality in recipe.make_modalities().items()}
    loss = fit_fold(cohort, assays, split, place, recipe, [progress] if progress else []).inner_loss
    loss = loss if math.isfinite(loss) else sys.float_info.max  # training that diverged is the worst
    seconds = round(time.monotonic() - began, 1)
    write_json(place / "trial.json", {"settings": dict(settings), "loss": loss, "seconds": seconds})
    return loss


def _take(study: "Study", folder: Path, search: Search, seed: int) -> tuple[int, Settings, FileLock] | None:
    """Number, settings and lock of a trial that somebody left unfinished, or of a new one; None if none is left."""
    from optuna.trial import TrialState

    trials = folder / "trials"
    with _alone(folder):
        if (folder / "tuning.json").exists():
            return None
        trials.mkdir(parents=True, exist_ok=True)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(dict(search.start))
        begun = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        for trial in begun:
            if trial.state == TrialState.RUNNING and (lock := _claimed(trials / f"{trial.number}.lock")):
                if study.get_trials(deepcopy=False)[trial.number].state != TrialState.RUNNING:
                    lock.release()  # whoever had it came to the end of it in the meantime
                    continue
                if trial.params.keys() == search.space.keys():
                    return trial.number, trial.params, lock
                lock.release()
                study.tell(trial.number, state=TrialState.FAIL)  # killed while its settings were being drawn
        if len(begun) >= search.trials or (begun and _seconds(trials) >= 60 * (search.minutes or math.inf)):
            return None
        new = study.ask()
        # What a trial draws depends on its number and on the trials before it, not on where the process began.
        study.sampler = _sampler(seed, new.number)
        settings = {name: _drawn(new, name, node) for name, node in search.space.items()}
        fresh = _claimed(trials / f"{new.number}.lock")
        assert fresh is not None, "nobody else knows of this trial yet"
        return new.number, settings, fresh


def _results(folder: Path, search: Search) -> list[dict[str, Any]] | None:
    """Number, settings, loss and seconds of every trial; None while any is being fitted."""
    from optuna.trial import TrialState

    with _study(folder, search) as study:
        found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        if any(trial.state == TrialState.RUNNING for trial in found):
            return None
        results = []
        for trial in found:
            path = folder / "trials" / str(trial.number) / "trial.json"
            if _finished(path.parent, trial.params) is None:
                raise ValueError(
                    f"the study of {folder} knows trial {trial.number}, but there is no {path}; start anew"
                )
            results.append({"number": trial.number, **json.loads(path.read_text(encoding="utf-8"))})
        return results


def _finished(place: Path, settings: Settings) -> float | None:
    """Loss of a trial that an earlier attempt brought to its end."""
    if not (place / "trial.json").exists():
        return None
    found = json.loads((place / "trial.json").read_text(encoding="utf-8"))
    if found["settings"] != settings:
        raise ValueError(f"{place} holds a trial of another search; remove {place.parent} and its study, or start anew")
    return float(found["loss"])


def _seconds(trials: Path) -> float:
    """What the finished trials of a fold have taken together, whoever fitted them."""
    return sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in trials.glob("*/trial.json"))


@contextmanager
def _study(folder: Path, search: Search) -> Iterator["Study"]:
    """The study of a fold, made if it is absent."""
    optuna = _import_optuna()
    if search.storage is None:
        name, url, engine = folder.name, f"sqlite:///{folder.resolve().parent / 'study.db'}", {"timeout": 60}
    else:  # shared with other runs
        name, url, engine = "/".join(folder.resolve().parts[-3:]), search.storage, {}
    with _alone(folder):
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": engine})
        study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
    try:
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _alone(folder: Path) -> FileLock:
    """Only one process of a run at a time is in here."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.parent / ".study.lock")


def _claimed(path: Path) -> FileLock | None:
    """The lock of a trial, held until it is released or the process ends; None if another process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _sampler(seed: int, number: int) -> Any:
    derived = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return _import_optuna().samplers.TPESampler(seed=derived, n_startup_trials=RANDOM_TRIALS)


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as missing:
        raise ImportError("tuning needs Optuna: pip install 'fusion-oncology[tune]'") from missing
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _drawn(trial: "Trial", name: str, node: Range) -> Setting:
    """A value that the sampler proposes for a setting."""
    if "choices" in node or "options" in node:
        return trial.suggest_categorical(name, list(node.get("choices") or node["options"]))
    low, high, log, step = node["low"], node["high"], bool(node.get("log", False)), node.get("step")
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log, step=step or 1)
    return trial.suggest_float(name, float(low), float(high), log=log, step=step)
