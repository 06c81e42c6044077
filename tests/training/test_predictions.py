"""The table of predictions: between what the members say each by itself lies what is said together."""

from pathlib import Path

import numpy as np
import torch
from folds import fit, predicted, recipe_for

from fusion.data.cohort import Cohort
from fusion.data.dataset import load_assays, pack_cohort
from fusion.training.predictions import range_columns, survival_columns
from fusion.types import SurvivalPrediction


def test_curves_lie_between_those_of_the_members(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_for(tiny_cohort, "members=3", "trainer.lightning.max_epochs=4")
    fitted = fit(tiny_cohort, tmp_path, recipe)
    rows = predicted(fitted, tiny_cohort, recipe).query("task == 'os'")
    lowest, highest = range_columns(recipe.times)
    low, said, high = (rows[names].to_numpy() for names in (lowest, survival_columns(recipe.times), highest))
    assert (low <= said + 1e-6).all()
    assert (said <= high + 1e-6).all()
    assert (high - low).max() > 0.01, "members that all agree would test nothing"

    assays = load_assays(tiny_cohort, fitted.modalities)
    batch = pack_cohort(tiny_cohort, assays, tiny_cohort.patient_ids, summary=bool(fitted.ensemble.anchors))
    times = torch.tensor(recipe.times, dtype=torch.float32)
    ensemble = fitted.ensemble.eval()
    alone = [ensemble.decode("os", each, times) for each in ensemble.member_outputs(batch)["os"].detach()]
    curves = np.stack(
        [each.survival[batch.visit_mask].numpy() for each in alone if isinstance(each, SurvivalPrediction)]
    )
    np.testing.assert_allclose(low, curves.min(axis=0), atol=0.0011)
    np.testing.assert_allclose(high, curves.max(axis=0), atol=0.0011)


def test_one_model_has_no_range(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_for(tiny_cohort, "members=1", "trainer.lightning.max_epochs=1")
    rows = predicted(fit(tiny_cohort, tmp_path, recipe), tiny_cohort, recipe)
    assert not [name for name in rows if name.startswith(("lowest_", "highest_"))]
