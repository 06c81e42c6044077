"""Samples held back: only the later ones of one assay, only at later visits, and nothing where there are none."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from folds import fit, predicted, recipe_for

from fusion.data.cohort import Cohort
from fusion.data.dataset import load_tables
from fusion.training.fold import FittedFold, Recipe
from fusion.training.held_back import held_back_predictions, later_samples

BLOOD = "modality=[clinical,plasma,labs]"


@pytest.fixture(scope="module")
def recipe(tiny_cohort: Cohort) -> Recipe:
    return recipe_for(tiny_cohort, BLOOD)


@pytest.fixture(scope="module")
def fitted(tiny_cohort: Cohort, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> FittedFold:
    return fit(tiny_cohort, tmp_path_factory.mktemp("held") / "fold", recipe)


def held_back(fitted: FittedFold, cohort: Cohort, recipe: Recipe) -> pd.DataFrame:
    tables = load_tables(cohort, recipe.make_modalities())
    return held_back_predictions(fitted, cohort, tables, cohort.patient_ids, recipe.times)


def test_one_table_per_serial_assay_at_later_visits(fitted: FittedFold, tiny_cohort: Cohort, recipe: Recipe):
    rows = held_back(fitted, tiny_cohort, recipe)
    assert set(rows["model"]) == {"fusion_without_new_plasma", "fusion_without_new_labs"}, "clinical has one sample"
    whole = predicted(fitted, tiny_cohort, recipe)
    assert (rows["visit"] > 0).all()
    for _, mine in rows.groupby("model"):
        assert len(mine) == (whole["visit"] > 0).sum()


def test_it_is_what_the_model_predicts_of_a_cohort_without_these_samples(
    fitted: FittedFold, tiny_cohort: Cohort, recipe: Recipe
):
    samples = tiny_cohort.samples
    later = (samples["modality"] == "plasma") & (samples["visit"] > 0)
    lacking = replace(tiny_cohort, samples=samples[~later])
    expected = predicted(fitted, lacking, recipe).filter(regex="^(?!lowest_|highest_)")  # of members: not scored
    rows = held_back(fitted, tiny_cohort, recipe)
    mine = rows[rows["model"] == "fusion_without_new_plasma"].drop(columns="model").reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, expected[expected["visit"] > 0].reset_index(drop=True))
    whole = predicted(fitted, tiny_cohort, recipe)
    assert not mine["risk"].equals(whole.loc[whole["visit"] > 0, "risk"].reset_index(drop=True))


def test_nothing_is_held_back_where_nothing_came_later(
    fitted: FittedFold, tiny_cohort: Cohort, recipe: Recipe, tmp_path: Path
):
    once = replace(tiny_cohort, samples=tiny_cohort.samples[tiny_cohort.samples["visit"] == 0])
    assert held_back(fitted, once, recipe).empty
    assert later_samples(tiny_cohort, fitted.modalities["clinical"]) == []
