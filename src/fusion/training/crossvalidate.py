"""Cross-validate a cohort fold by fold into a run folder that can be taken up again, and fit the final model."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay
from fusion.data.splits import Split
from fusion.training.baselines import FitBaselines
from fusion.training.callbacks import FitProgress
from fusion.training.fold import FittedFold, Recipe, fit_fold
from fusion.training.held_back import held_back_predictions
from fusion.training.tuning import Search, fit_tuned_fold


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


def cross_validate(
    cohort: Cohort,
    tables: Mapping[str, object],
    splits: Sequence[Split],
    folder: Path,
    recipe: Recipe,
    *,
    fit_baselines: FitBaselines | None = None,
    search: Search | None = None,
    progress: FitProgress | None = None,
) -> RunPredictions:
    """Fit every fold and predict its test patients; finished folds of an earlier attempt are kept.

    Args:
        cohort: The cohort.
        tables: Raw table of every modality of it.
        splits: Its folds.
        folder: Run folder; each fold has a folder in it.
        recipe: How to make and train the model.
        fit_baselines: Fits the plain models to a fold.
        search: Settings to be searched for inside every fold.
        progress: The bar to be moved on.
    """
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for split in splits:
        place = folder / f"fold_{split.repeat}_{split.fold}"
        if not (place / "predictions.parquet").exists():
            fitted = _fit(cohort, tables, split, place, recipe, search, progress)
            _write_predictions(cohort, tables, split, place, fitted, recipe, fit_baselines)
        elif progress:
            progress.fit_done(search.trials if search else 1)
        for name, parts in frames.items():
            if (place / f"{name}.parquet").exists():
                parts.append(pd.read_parquet(place / f"{name}.parquet"))
    return RunPredictions(**{n: pd.concat(p, ignore_index=True) if p else pd.DataFrame() for n, p in frames.items()})


def fit_final_model(
    cohort: Cohort,
    tables: Mapping[str, object],
    everyone: Split,
    folder: Path,
    recipe: Recipe,
    *,
    fit_baselines: FitBaselines | None = None,
    search: Search | None = None,
    progress: FitProgress | None = None,
) -> None:
    """Fit on every patient, into `folder`, the model that new patients are given to.

    It also leaves what it predicts of its own training patients: no result, but the apparent performance that the
    .632+ estimate starts from.
    """
    if (folder / "predictions.parquet").exists():
        return
    fitted = _fit(cohort, tables, everyone, folder, recipe, search, progress)
    itself = Split(repeat=0, fold=0, train=everyone.train, val=everyone.val, test=cohort.patient_ids)
    _write_predictions(cohort, tables, itself, folder, fitted, recipe, fit_baselines)


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
