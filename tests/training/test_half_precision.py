"""Products in bf16, as `trainer=gpu` has them: every part trains, and losses and risks stay in single precision."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from composed import ROOT
from folds import fit, predicted, recipe_for
from scipy.stats import spearmanr
from torch.utils._python_dispatch import TorchDispatchMode

from fusion.data.cohort import Cohort
from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.training.module import EnsembleModule
from fusion.types import PatientBatch

ALL = "modality=[clinical,variants,expression,methylation,histology,plasma,labs]"
Made = Callable[..., tuple[EnsembleModule, PatientBatch]]


@pytest.fixture(scope="module")
def made(tiny_cohort: Cohort) -> Made:
    """A module for some overrides, its weights moved off zero, and the patients."""

    def of(*overrides: str) -> tuple[EnsembleModule, PatientBatch]:
        recipe = recipe_for(tiny_cohort, "members=2", "task=[os]", *overrides)
        assays = load_assays(tiny_cohort, recipe.make_modalities())
        fit_assays(tiny_cohort, assays, tiny_cohort.patient_ids)
        batch = pack_cohort(tiny_cohort, assays, tiny_cohort.patient_ids, tuple(recipe.task_weights), summary=True)
        ensemble = recipe.make_ensemble({name: assay.modality for name, assay in assays.items()}, seed=0)
        ensemble.prepare(batch)
        generator = torch.Generator().manual_seed(1)
        for parameter in ensemble.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        inner = {patient: number % 5 for number, patient in enumerate(batch.patient_ids)}
        module = EnsembleModule(ensemble=ensemble, optimizer=recipe.optimizer, inner_fold=inner)
        return module, batch

    return of


def half() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


#: Encoders of bags: tests/models/encoders/test_bag_autocast.py.
ENCODERS = {
    "expression": ("interaction", "linear", "numeric_tokens", "periodic", "piecewise_linear", "vector"),
    "expression_pathways": ("pathway_tokens",),
    "expression_signatures": ("signature_tokens",),
    "methylation_regions": ("region_tokens",),
    "variants": ("burden", "gene_burden", "variant_attention", "variant_set"),
}
PARTS = [
    *(f"{group}={path.stem}" for group in ("fusion", "temporal") for path in (ROOT / "configs" / group).glob("*.yaml")),
    *(f"encoder@model.encoders.{assay}={name}" for assay, names in ENCODERS.items() for name in names),
]


@pytest.mark.parametrize("part", sorted(PARTS))
def test_every_part_stays_near_single_precision(part: str, made: Made):
    assay = part.partition("=")[0].rpartition(".")[2] if part.startswith("encoder") else "expression"
    module, batch = made(f"modality=[clinical,{assay},labs]", part)
    learner = module.learners[0].eval()
    expected = learner(batch)["os"][batch.visit_mask]
    with half():
        found = learner(batch)["os"][batch.visit_mask]
        loss = module.train().training_step(batch, 0)
    loss.backward()
    assert found.dtype == loss.dtype == torch.float32
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()
    assert all(
        p.grad.isfinite().all() and p.grad.dtype == torch.float32
        for p in module.learners.parameters()
        if p.grad is not None
    )


class Narrow(TorchDispatchMode):
    """Notes the operations that give bf16."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.dtype == torch.bfloat16:
            self.seen.add(str(func))
        return out


@pytest.mark.parametrize("loss", sorted(path.stem for path in (ROOT / "configs" / "loss").glob("*.yaml")))
def test_losses_make_nothing_in_half_precision(loss: str, made: Made):
    task = "response" if loss in ("binary", "ordinal") else "os"
    module, batch = made("modality=[clinical,labs]", f"task=[{task}]", f"loss@tasks.{task}.loss={loss}")
    with half():
        outputs = module.learners[0](batch)
        share = torch.ones(batch.num_patients)
        with Narrow() as narrow:
            module.ensemble.loss(outputs, batch, share)
            module.ensemble.loss_of_all({t: each[None] for t, each in outputs.items()}, batch, share[None])
    assert narrow.seen == set()


@pytest.mark.parametrize("batched", ["true", "false"])
def test_a_fit_says_much_the_same(batched: str, tiny_cohort: Cohort, tmp_path: Path):
    risks = []
    for trainer in ("quiet", "gpu"):
        words = [ALL, "task=[os]", "members=3", f"trainer={trainer}", f"trainer.batched={batched}"]
        recipe = recipe_for(tiny_cohort, *words, "trainer.lightning.accelerator=cpu", "trainer.lightning.max_epochs=8")
        rows = predicted(fit(tiny_cohort, tmp_path / trainer, recipe), tiny_cohort, recipe)
        risks.append(rows["risk"].to_numpy())
    assert (risks[0] != risks[1]).any()
    assert spearmanr(*risks).statistic > 0.98
