"""Learners trained as one model are what they are one by one: outputs, gradients, steps, checkpoints."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from composed import ROOT
from folds import fit, recipe_for
from torch import nn

from fusion.data.cohort import Cohort
from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.training.inner_folds import training_parts, training_shares
from fusion.training.module import EnsembleModule
from fusion.types import Outcome, PatientBatch

ALL = "modality=[clinical,variants,expression,methylation,histology,plasma,labs]"
Made = Callable[..., tuple[EnsembleModule, PatientBatch]]


@pytest.fixture(scope="module")
def packed(tiny_cohort: Cohort) -> Callable[..., tuple[Callable[[], EnsembleModule], PatientBatch]]:
    """A maker of equal modules for some overrides, and the patients."""

    def of(*overrides: str) -> tuple[Callable[[], EnsembleModule], PatientBatch]:
        recipe = recipe_for(tiny_cohort, "members=3", *overrides)
        assays = load_assays(tiny_cohort, recipe.make_modalities())
        fit_assays(tiny_cohort, assays, tiny_cohort.patient_ids)
        tasks = tuple(recipe.task_weights)
        batch = pack_cohort(tiny_cohort, assays, tiny_cohort.patient_ids, tasks, summary=True)
        modalities = {name: assay.modality for name, assay in assays.items()}

        def make() -> EnsembleModule:
            ensemble = recipe.make_ensemble(modalities, seed=0)
            ensemble.prepare(batch)
            spread(ensemble)
            inner = {patient: number % 5 for number, patient in enumerate(batch.patient_ids)}
            module = EnsembleModule(ensemble=ensemble, optimizer=recipe.optimizer, inner_fold=inner)
            return module

        return make, batch

    return of


def spread(ensemble: nn.Module) -> None:
    """Move every weight off its start, where blocks that begin as zero would hide what they do."""
    generator = torch.Generator().manual_seed(1)
    for parameter in ensemble.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)


def gradients(module: EnsembleModule, batch: PatientBatch) -> tuple[float, torch.Tensor]:
    """Loss of a step and its gradients, those of one learner after those of another."""
    module.zero_grad()
    optimizer = module.configure_optimizers()
    loss = module.training_step(batch, 0)
    loss.backward()
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in optimizer.param_groups[0]["params"]]
    if module.one_by_one is not None:
        return loss.item(), torch.cat([grad.flatten() for grad in grads])
    learned = [*module.learners.parameters(), *module.ensemble.combine.parameters()]
    flat = [torch.zeros_like(parameter).flatten() for parameter in learned]
    for own, grad in zip(module._layout(), grads, strict=True):
        for place, row in zip(own, grad if len(own) > 1 else [grad], strict=True):
            flat[place] = row.flatten()
    return loss.item(), torch.cat(flat)


@pytest.mark.parametrize(
    ("overrides", "alone"),
    [
        ((ALL, "task=[os,pfs,response]"), set()),
        ((ALL, "task_weights=uncertainty", "encoder@model.encoders.histology=gated_attention"), {"histology"}),
        (("modality=[clinical,expression,labs]", "loss@tasks.os.loss=logistic_hazard"), set()),
        (("modality=[histology]", "encoder@model.encoders.histology=mean_pool"), {"histology"}),
        (("loss@tasks.os.loss=cox_stratified", "modality_dropout=matched"), set()),
    ],
)
def test_a_step_is_that_of_learners_one_by_one(packed: Made, overrides: tuple[str, ...], alone: set[str]):
    make, batch = packed(*overrides)
    module = make()
    module.batch_learners(batch, True)
    assert module.one_by_one is None
    assert set(module._alone) == alone
    loss, grad = gradients(module.eval(), batch)  # without dropout both are the same sum
    expected, own = gradients(make().eval(), batch)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert float((grad - own).abs().max()) < 1e-5
    assert float(own.abs().max()) > 1e-2


def doubled(module: EnsembleModule, batch: PatientBatch) -> tuple[EnsembleModule, PatientBatch]:
    """Everything in float64."""
    samples = {name: replace(each, rows=each.rows.double()) for name, each in batch.samples.items()}
    targets = {
        task: replace(each, duration=each.duration.double()) if isinstance(each, Outcome) else each
        for task, each in batch.targets.items()
    }
    return module.double(), replace(batch, day=batch.day.double(), samples=samples, targets=targets)


def trained(module: EnsembleModule, batch: PatientBatch, steps: int, monkeypatch: pytest.MonkeyPatch) -> EnsembleModule:
    optimizer = module.configure_optimizers()
    for step in range(steps):
        monkeypatch.setattr(EnsembleModule, "global_step", step)
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        module.follow()
    return module


def test_in_float64_weights_and_averages_stay_equal(packed: Made, monkeypatch: pytest.MonkeyPatch):
    make, batch = packed(ALL, "task=[os,response]")
    states = []
    for wanted in (True, False):
        module, exact = doubled(make(), batch)
        module.batch_learners(exact, wanted)
        states.append(trained(module.eval(), exact, 8, monkeypatch).state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=0.0, atol=1e-5, msg=name)
    fresh = make().double().state_dict()
    moved = [name for name in fresh if not torch.equal(fresh[name], states[0][name])]
    assert any(name.startswith("learners.2.") for name in moved)
    assert any(name.startswith("averages.2.") for name in moved)


def test_whom_a_member_leaves_out_does_not_move_it(packed: Made):
    make, batch = packed("modality=[clinical,labs]", "task=[os]")
    outcome = batch.targets["os"]
    first = torch.tensor([number % 5 == 0 for number in range(batch.num_patients)])[:, None]
    other = replace(
        outcome, duration=torch.where(first, 3.0, outcome.duration), event=torch.where(first, True, outcome.event)
    )
    grads = []
    for target in (outcome, other):
        module = make()
        module.batch_learners(batch, True)
        _, grad = gradients(module.eval(), replace(batch, targets={"os": target}))
        grads.append(grad.view(3, -1))
    torch.testing.assert_close(grads[0][0], grads[1][0], rtol=0.0, atol=1e-6)
    assert float((grads[0][1] - grads[1][1]).abs().max()) > 1e-3, "member 1 does train on them"


def test_members_draw_their_own_dropout(packed: Made):
    make, batch = packed("modality=[clinical,labs]", "task=[os]")
    module = make().train()
    module.ensemble.losses["os"].each = None  # type: ignore[assignment]  # outputs alone are looked at
    for learner in list(module.learners)[1:]:
        learner.load_state_dict(module.learners[0].state_dict())
    module.batch_learners(batch, True)
    module.configure_optimizers()
    torch.manual_seed(0)
    first = module._batched(batch)["os"]  # type: ignore[misc]
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(0)
    torch.testing.assert_close(module._batched(batch)["os"], first)  # type: ignore[misc]
    module.eval()
    outputs = module._batched(batch)["os"]  # type: ignore[misc]
    torch.testing.assert_close(outputs[0], outputs[2])


def test_shares_and_parts_name_the_same_patients(packed: Made):
    _, batch = packed("modality=[clinical]", "task=[os]")
    inner = torch.arange(batch.num_patients) % 4
    share = training_shares(inner, 3)
    for mine, part in zip(share, training_parts(batch, inner, 3), strict=True):
        assert part.patient_ids == tuple(np.array(batch.patient_ids)[mine.numpy() > 0])


# --- chosen, or not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "wanted", "says"),
    [
        ((), False, ""),
        (("members=3",), "auto", "3 in number"),
        (("members=1",), True, "there is one"),
        (("model.mixup=0.4",), True, "model.mixup"),
        (("model.auxiliary=0.3",), True, "each modality alone"),
    ],
)
def test_what_cannot_be_batched_says_why(packed: Made, overrides: tuple[str, ...], wanted: bool | str, says: str):
    make, batch = packed("modality=[clinical]", "task=[os]", *overrides)
    module = make()
    module.batch_learners(batch, wanted)  # type: ignore[arg-type]
    assert module.one_by_one is not None
    assert says in module.one_by_one
    assert module.configure_optimizers().param_groups[0]["params"] == list(module.learners.parameters())


class Counting(nn.Module):
    """Fusion that no two patients go through alike: how many of them depends on the weights."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: object) -> torch.Tensor:
        fused = self.inner(tokens)
        return fused + self.level * (fused[:, 0] > self.level).nonzero().shape[0]


def test_a_model_that_torch_cannot_stack_is_trained_one_by_one(packed: Made):
    make, batch = packed("modality=[clinical]", "task=[os]")
    module = make()
    for learner in module.learners:
        learner.fusion = Counting(learner.fusion)  # type: ignore[arg-type]
    module.batch_learners(batch, True)
    assert "torch cannot stack them" in str(module.one_by_one)
    module.training_step(batch, 0).backward()


@pytest.mark.parametrize("group", ["fusion", "temporal"])
def test_options_are_stacked_or_say_why_not(packed: Made, group: str):
    reasons = {}
    for path in sorted((ROOT / "configs" / group).glob("*.yaml")):
        make, batch = packed("modality=[clinical,labs]", "task=[os]", f"{group}={path.stem}", "members=2")
        module = make().train()
        module.batch_learners(batch, True)
        reasons[path.stem] = module.one_by_one
    assert reasons["pairwise_products" if group == "fusion" else "continuous_decay"] is None, "the default"
    assert all(reason is None or "torch cannot stack them" in reason for reason in reasons.values()), reasons


# --- through a fit ----------------------------------------------------------------------------------------------------


class Stop(pl.Callback):
    """Raises in the middle of an epoch."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.current_epoch == 5:
            raise RuntimeError("power cut")


@pytest.mark.parametrize(("first", "then"), [("true", "false"), ("false", "true"), ("true", "true")])
def test_a_fold_begun_in_one_way_is_taken_up_in_either(first: str, then: str, tiny_cohort: Cohort, tmp_path: Path):
    words = ["members=3", "trainer.checkpoint_seconds=0", "trainer.lightning.max_epochs=8"]
    with pytest.raises(RuntimeError, match="power cut"):
        fit(tiny_cohort, tmp_path, recipe_for(tiny_cohort, *words, f"trainer.batched={first}"), callbacks=[Stop()])
    fit(tiny_cohort, tmp_path, recipe_for(tiny_cohort, *words, f"trainer.batched={then}"))
    loss = pd.read_csv(tmp_path / "metrics.csv")["train/loss"]
    assert len(loss) == 8
    assert np.isfinite(loss).all()
