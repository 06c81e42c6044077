"""How long later visits count is said by the config, task by task, and reaches the training loss."""

import torch
from composed import composed
from folds import recipe_for

from fusion.build import build_recipe
from fusion.data.cohort import Cohort
from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.losses.weights import visit_weights


def test_each_task_fades_over_its_own_days(tiny_cohort: Cohort) -> None:
    recipe = recipe_for(tiny_cohort, "task=[os,pfs,response]", "tasks.pfs.loss.visit_scale=30")
    assays = load_assays(tiny_cohort, recipe.make_modalities())
    fit_assays(tiny_cohort, assays, tiny_cohort.patient_ids)
    batch = pack_cohort(tiny_cohort, assays, tiny_cohort.patient_ids, tuple(recipe.task_weights))
    ensemble = recipe.make_ensemble({name: assay.modality for name, assay in assays.items()}, seed=0)
    for task, scale in (("os", 120.0), ("pfs", 30.0), ("response", 120.0)):
        target = batch.targets[task]
        asked = getattr(target, "at_risk", None)
        asked = target.known if asked is None else asked
        torch.testing.assert_close(ensemble.weights_of(batch, task), visit_weights(batch.day, asked, scale=scale))
    both = batch.targets["os"].at_risk & batch.targets["pfs"].at_risk & (batch.day == 21)
    assert both.any()
    assert (ensemble.weights_of(batch, "pfs")[both] > ensemble.weights_of(batch, "os")[both]).all()


def test_visits_of_years_count_in_the_experiment_of_years() -> None:
    config = composed("data.path=anywhere", experiment="pbc2")
    losses = build_recipe(config).make_losses()
    assert {task: loss.visit_scale for task, loss in losses.items()} == {"os": 1500.0, "death": 1500.0}
    last = max(config["evaluation"]["landmarks"]) + max(config["evaluation"]["horizons"])
    assert config["evaluation"]["times"][-1] >= last, "or a visit of day 0 says nothing of the last window"
