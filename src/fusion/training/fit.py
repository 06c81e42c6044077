"""Fit the model of one fold, up to its files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE, Assay, fit_assays, pack_cohort, select_patients, table_columns
from fusion.data.splits import Split
from fusion.data.targets import survival_tasks
from fusion.data.visit_table import build_visit_table
from fusion.training.baselines import one_thread
from fusion.training.callbacks import Checkpoints, Patience, SeededSteps
from fusion.training.checkpoint import save_ensemble, save_preprocessing
from fusion.training.device import resident
from fusion.training.distributed import Steps, train_in_ranks
from fusion.training.ensemble import Ensemble
from fusion.training.fold import FittedFold, Recipe, split_seed
from fusion.training.inner_folds import deal_inner_folds
from fusion.training.loop import train
from fusion.training.module import EnsembleModule
from fusion.training.rank_module import RankModule
from fusion.types import Outcome, PatientBatch, SurvivalPrediction, VisitTable


def fit_fold(
    cohort: Cohort,
    assays: Mapping[str, Assay],
    split: Split,
    folder: Path,
    recipe: Recipe,
    callbacks: Sequence[pl.Callback] = (),
) -> FittedFold:
    """Train on the training and validation part of a split; the test part is not looked at.

    Leaves `model.safetensors`, `preprocessing.*`, `metrics.csv`, `best.ckpt` and `last.ckpt` in `folder`. If a
    `last.ckpt` is there, training goes on from it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    patient_ids = tuple(sorted((*split.train, *split.val)))
    fit_assays(cohort, assays, patient_ids)
    modalities = {name: assay.modality for name, assay in assays.items()}
    tasks = tuple(recipe.task_weights)
    batch = pack_cohort(cohort, assays, patient_ids, tasks)
    inner_fold = _inner_folds(batch, split, recipe.num_members)

    seed = split_seed(recipe.seed, split)
    pl.seed_everything(seed, verbose=False)
    table = None
    if recipe.plan.models:
        table = _plain_table(cohort, assays, patient_ids, tasks, recipe.plan.detail)
        batch = replace(batch, summary=table_columns(batch, table))
    losses = recipe.make_losses()
    chosen = {} if table is None else {t: recipe.plan.of(t, table) for t in tasks if losses[t].direction is not None}
    anchored = {task: [each.name for each in models] for task, models in chosen.items() if models}
    ensemble = recipe.make_ensemble(modalities, seed, anchored)
    ensemble.prepare(batch)
    inner = torch.tensor([inner_fold[patient] for patient in batch.patient_ids])
    with one_thread():
        plain = ensemble.fit_anchors(batch, table, inner) if table is not None else {}
        batch = replace(batch, offset=ensemble.offsets(batch, plain))
    make_module = RankModule if recipe.ranks > 1 else EnsembleModule
    module = make_module(ensemble=ensemble, optimizer=recipe.optimizer, inner_fold=inner_fold)
    recipe.pretraining(
        module.learners, batch, lambda o, b, share: ensemble.total(ensemble.loss(o, b, share)), inner, seed=seed
    )
    module.averages.load_state_dict(module.learners.state_dict())
    mine = [Patience(recipe.patience), SeededSteps(seed), Checkpoints(folder, recipe.checkpoint_seconds)]
    trainer = recipe.make_trainer(
        default_root_dir=str(folder), callbacks=[*mine, *callbacks], logger=recipe.make_logger(folder)
    )
    _train(trainer, module, batch, folder, recipe, seed)
    with one_thread():
        outputs = ensemble.to("cpu").calibrate(batch, inner, plain)
    cuts = _risk_cuts(batch, outputs, ensemble, held_out=inner < recipe.num_members)
    extra = {"cuts": cuts, "inner_fold": inner_fold, "inner_loss": module.inner_loss, "anchored": anchored}
    save_preprocessing(folder, modalities, extra)
    save_ensemble(folder, ensemble)
    return FittedFold(modalities=modalities, ensemble=ensemble.eval(), cuts=cuts, inner_loss=module.inner_loss)


def _plain_table(
    cohort: Cohort, assays: Mapping[str, Assay], patient_ids: Sequence[str], tasks: Sequence[str], detail: bool
) -> VisitTable:
    """What the plain models inside the answer see of these patients."""
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    endpoints = [task for task in tasks if task in survival_tasks(cohort)]
    return build_visit_table(cohort, pairs, patient_ids, endpoints, response=RESPONSE in tasks, detail=detail)


def _train(
    trainer: pl.Trainer, module: EnsembleModule, batch: PatientBatch, folder: Path, recipe: Recipe, seed: int
) -> None:
    """Train to the end, from the last checkpoint if there is one, by this process or with others."""
    if trainer.world_size > 1:
        raise ValueError(
            "Lightning runs the whole command again on every device, and inside a sweep that repeats the sweep: leave "
            f"trainer.lightning.devices=1 and take trainer=ddp trainer.ranks={trainer.world_size}"
        )
    module.batch_learners(batch, recipe.batched, recipe.batch_size)
    if isinstance(module, RankModule):
        steps = Steps(
            make_trainer=recipe.make_trainer,
            folder=folder,
            batch_size=recipe.batch_size,
            patience=recipe.patience,
            seed=seed,
        )
        train_in_ranks(trainer, module, batch, recipe.ranks, steps)
        return
    near = resident(batch, trainer.strategy.root_device)
    train(
        *(trainer, module, near, partial(select_patients, near)),
        num_patients=batch.num_patients,
        batch_size=recipe.batch_size,
        seed=seed,
        last=folder / "last.ckpt",
    )


def _inner_folds(batch: PatientBatch, split: Split, num_members: int) -> dict[str, int]:
    """Inner fold by patient, balanced over the first task's events."""
    target = next(iter(batch.targets.values()))
    flag = target.event if hasattr(target, "event") else target.label
    val = set(split.val)
    inner = deal_inner_folds(
        strata=[str(int(f)) for f in flag[:, 0]],
        order=[hashlib.sha256(f"{split.repeat}/{split.fold}/{p}".encode()).hexdigest() for p in batch.patient_ids],
        val=[patient in val for patient in batch.patient_ids],
        num_members=num_members,
    )
    return dict(zip(batch.patient_ids, inner, strict=True))


def _risk_cuts(
    batch: PatientBatch, outputs: Mapping[str, torch.Tensor], ensemble: Ensemble, held_out: torch.Tensor
) -> dict[str, list[float]]:
    """Tertiles of the out-of-fold risk at baseline, per survival task; some patients no member left out."""
    times = torch.zeros(1)
    cuts = {}
    for task, output in outputs.items():
        target, prediction = batch.targets[task], ensemble.decode(task, output, times)
        if isinstance(target, Outcome) and isinstance(prediction, SurvivalPrediction):
            known = target.at_risk[:, 0] & held_out
            risk = prediction.risk[:, 0][known if known.any() else held_out]
            cuts[task] = [float(cut) for cut in np.quantile(risk.numpy(), [1 / 3, 2 / 3])]
    return cuts
