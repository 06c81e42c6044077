"""Fit the folds of a run and its final model into a folder that can be taken up again, by one process or by several."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay
from fusion.data.splits import Split
from fusion.training.baselines import FitBaselines
from fusion.training.callbacks import FitProgress
from fusion.training.fit import fit_fold
from fusion.training.fold import FittedFold, Recipe
from fusion.training.held_back import held_back_predictions
from fusion.training.search import Search
from fusion.training.tuning import fit_tuned_fold


@dataclass(frozen=True)
class RunPredictions:
    """Predictions of held-out patients, each a table that is empty where there is nothing of its kind.

    Attributes:
        predictions: Of the model.
        baselines: Of the plain models, with a `model` column.
        held_back: Of the model with one serial assay held at its first sample, with a `model` column.
    """

    predictions: pd.DataFrame
    baselines: pd.DataFrame
    held_back: pd.DataFrame


TABLES = tuple(field.name for field in fields(RunPredictions))


@dataclass(frozen=True)
class Job:
    """One model to be fitted, and whom it is to predict.

    Attributes:
        place: Its folder; `predictions.parquet` there tells that it is done.
        split: Whom it is fitted to, and whom it predicts.
    """

    place: Path
    split: Split

    @property
    def done(self) -> bool:
        """Whether its predictions are there."""
        return (self.place / "predictions.parquet").exists()


def fold_jobs(folder: Path, splits: Sequence[Split]) -> list[Job]:
    """A model for every fold of a run."""
    return [Job(folder / f"fold_{split.repeat}_{split.fold}", split) for split in splits]


def final_job(place: Path, everyone: Split, cohort: Cohort) -> Job:
    """The model of all patients, which new ones are given to.

    It leaves what it predicts of its own training patients: no result, but the apparent performance that the .632+
    estimate starts from.
    """
    return Job(place, Split(repeat=0, fold=0, train=everyone.train, val=everyone.val, test=cohort.patient_ids))


def fit_jobs(
    cohort: Cohort,
    tables: Mapping[str, object],
    jobs: Sequence[Job],
    recipe: Recipe,
    *,
    fit_baselines: FitBaselines | None = None,
    search: Search | None = None,
    progress: FitProgress | None = None,
    stay: bool = True,
) -> None:
    """Fit every model of a run that is not done yet. Other processes may work on the same run: each takes what is free.

    Args:
        cohort: The cohort.
        tables: Raw table of every modality of it.
        jobs: The models.
        recipe: How to make and train one.
        fit_baselines: Fits the plain models to a fold.
        search: Settings to be searched for inside every fold.
        progress: The bar to be moved on.
        stay: Wait for the models that other processes are at, and take over what one that was killed has left.
    """

    def fit(job: Job) -> None:
        if not job.done:
            fitted = _fit(cohort, tables, job.split, job.place, recipe, search, progress)
            _write_predictions(cohort, tables, job.split, job.place, fitted, recipe, fit_baselines)
        elif progress:
            progress.fit_done(search.trials if search else 1)

    busy = []
    for job in jobs:
        job.place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(job.place.with_name(f".{job.place.name}.lock"))
        try:
            with lock.acquire(timeout=0):
                fit(job)
        except Timeout:
            busy.append((job, lock))
    for job, lock in busy if stay else ():
        with lock:
            fit(job)


def read_predictions(jobs: Sequence[Job]) -> RunPredictions:
    """What the models of a run predict, fold under fold."""
    frames = {name: [job.place / f"{name}.parquet" for job in jobs] for name in TABLES}
    parts = {name: [pd.read_parquet(path) for path in paths if path.exists()] for name, paths in frames.items()}
    return RunPredictions(**{n: pd.concat(p, ignore_index=True) if p else pd.DataFrame() for n, p in parts.items()})


def _fit(
    cohort: Cohort,
    tables: Mapping[str, object],
    split: Split,
    place: Path,
    recipe: Recipe,
    search: Search | None,
    progress: FitProgress | None,
) -> FittedFold:
    if search is not None:
        return fit_tuned_fold(cohort, tables, split, place, search, progress)
    assays = {name: Assay(modality, tables[name]) for name, modality in recipe.make_modalities().items()}
    fitted = fit_fold(cohort, assays, split, place, recipe, [progress] if progress else [])
    if progress:
        progress.fit_done()
    return fitted


def _write_predictions(
    cohort: Cohort,
    tables: Mapping[str, object],
    split: Split,
    place: Path,
    fitted: FittedFold,
    recipe: Recipe,
    fit_baselines: FitBaselines | None,
) -> None:
    """Predict the test patients; predictions.parquet comes last, since it tells that a fold is finished."""
    if fit_baselines is not None:
        assays = {name: Assay(modality, tables[name]) for name, modality in fitted.modalities.items()}
        _write_table(fit_baselines(cohort, assays, split, recipe.times), split, place / "baselines.parquet")
    held_back = held_back_predictions(fitted, cohort, tables, split.test, recipe.times)
    if not held_back.empty:
        _write_table(held_back, split, place / "held_back.parquet")
    rows = fitted.predict(cohort, tables, split.test, recipe.times)
    _write_table(rows, split, place / "predictions.parquet")


def _write_table(rows: pd.DataFrame, split: Split, path: Path) -> None:
    keys = {"repeat": split.repeat, "fold": split.fold}
    temporary = path.with_name(path.name + ".part")
    rows.assign(**keys)[[*keys, *rows]].to_parquet(temporary, index=False)
    os.replace(temporary, path)
