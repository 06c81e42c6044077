"""One fold, fitted as a run would, for the tests of training and of leakage."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
from composed import FAST, composed, on_cohort

from fusion.build import build_recipe
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_assays, load_tables
from fusion.data.splits import Split, StratifiedKFold
from fusion.training.fit import fit_fold
from fusion.training.fold import FittedFold, Recipe

FEW = ("modality=[clinical,plasma]", "task=[os,response]")


def recipe_for(cohort: Cohort, *overrides: str) -> Recipe:
    """The recipe of a small run on a cohort."""
    return build_recipe(composed(*on_cohort(cohort.folder), *FAST, *FEW, *overrides))


def first_split(cohort: Cohort) -> Split:
    """The first of two folds."""
    return StratifiedKFold(folds=2, repeats=1)(cohort)[0]


def fit(
    cohort: Cohort, folder: Path, recipe: Recipe, split: Split | None = None, callbacks: Sequence[pl.Callback] = ()
) -> FittedFold:
    """Fit a fold with assays of its own."""
    assays = load_assays(cohort, recipe.make_modalities())
    return fit_fold(cohort, assays, split or first_split(cohort), folder, recipe, callbacks)


def predicted(
    fitted: FittedFold, cohort: Cohort, recipe: Recipe, patients: Sequence[str] | None = None
) -> pd.DataFrame:
    """What a fitted fold predicts for some patients, all by default."""
    tables = load_tables(cohort, recipe.make_modalities())
    return fitted.predict(cohort, tables, cohort.patient_ids if patients is None else patients, recipe.times)
