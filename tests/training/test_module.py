"""What the Lightning module adds to a step: running averages, and the best of them for each task."""

import pytest
import torch
from folds import recipe_for

from fusion.data.cohort import Cohort
from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.training.inner_folds import held_out_outputs
from fusion.training.module import EnsembleModule
from fusion.types import PatientBatch


@pytest.fixture
def parts(tiny_cohort: Cohort) -> tuple[EnsembleModule, PatientBatch]:
    recipe = recipe_for(tiny_cohort, "task=[os,response]")
    assays = load_assays(tiny_cohort, recipe.make_modalities())
    fit_assays(tiny_cohort, assays, tiny_cohort.patient_ids)
    batch = pack_cohort(tiny_cohort, assays, tiny_cohort.patient_ids, ("os", "response"))
    ensemble = recipe.make_ensemble({name: assay.modality for name, assay in assays.items()}, seed=0)
    ensemble.prepare(batch)
    inner = {patient: index % 2 for index, patient in enumerate(batch.patient_ids)}
    module = EnsembleModule(ensemble=ensemble, optimizer=torch.optim.Adam, inner_fold=inner)
    return module.eval(), batch


def place(module: EnsembleModule, seed: int) -> None:
    """Put the averages somewhere near zero, elsewhere for every seed."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.averages.parameters():
        parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def held_out_loss(module: EnsembleModule, batch: PatientBatch, members: torch.nn.ModuleList) -> dict[str, float]:
    outputs = held_out_outputs(members, batch, module.inner_folds(batch))
    losses = module.ensemble.loss(outputs, batch, torch.ones(batch.num_patients))
    return {task: float(loss) for task, loss in losses.items()}


@torch.no_grad()
def test_each_task_keeps_the_round_that_was_best_for_it(parts: tuple[EnsembleModule, PatientBatch]) -> None:
    module, batch = parts
    rounds = []
    for seed in range(8):
        place(module, seed)
        rounds.append(held_out_loss(module, batch, module.averages))
        module.validate(batch)
    least = {task: min(losses[task] for losses in rounds) for task in rounds[0]}
    kept = {task: held_out_loss(module, batch, module.ensemble.members[task])[task] for task in least}
    assert kept == pytest.approx(least)
    assert len({min(range(8), key=lambda r: rounds[r][task]) for task in least}) == 2, "else the test shows nothing"


@torch.no_grad()
def test_averages_settle_where_the_learners_stay(
    parts: tuple[EnsembleModule, PatientBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _ = parts
    for parameter in module.learners.parameters():
        parameter.add_(1.0)
    distances = []
    for step in range(60):
        monkeypatch.setattr(EnsembleModule, "global_step", step)
        module.follow()
        pairs = zip(module.averages.parameters(), module.learners.parameters(), strict=True)
        distances.append(max(float((a - b).abs().max()) for a, b in pairs))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.01


def test_only_the_learners_are_trained(parts: tuple[EnsembleModule, PatientBatch]) -> None:
    module, _ = parts
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(name.startswith("learners.") for name in trained)
