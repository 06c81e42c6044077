"""The recipe of a model, and a fitted fold, which predicts. `fit.py` fits: Lightning takes seconds to import."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay, pack_cohort
from fusion.data.modalities.base import Modality
from fusion.data.splits import Split
from fusion.data.visit_table import column_names
from fusion.losses.task_weights import FixedWeights
from fusion.models.patient_model import PatientModel
from fusion.training.anchor import AnchorPlan, Anchors
from fusion.training.batched import Wanted
from fusion.training.checkpoint import (
    load_ensemble,
    load_preprocessing,
)
from fusion.training.ensemble import Ensemble, Loss
from fusion.training.predictions import prediction_frame
from fusion.training.pretraining.base import NoPretraining, Pretraining
from fusion.types import PatientBatch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make and train the model of a fold: everything that the config says, as objects.

    Attributes:
        make_modalities: Fresh, unfitted modalities by name.
        make_member: A fresh model, given the fitted modalities and the outputs of each task.
        make_losses: Fresh losses by task.
        task_weights: Weight of each task.
        optimizer: Builds the optimizer from parameters.
        make_trainer: Builds a Trainer, given `default_root_dir`, `callbacks` and `logger`.
        make_logger: Builds the logger of a fold from its folder.
        num_members: Members of the ensemble.
        batch_size: Patients of a step; None for all at once.
        patience: Validation rounds without progress before training stops.
        checkpoint_seconds: Least time between two writings of `last.ckpt`.
        seed: Seed of the run.
        times: Days after a visit at which survival is written down.
        plan: The plain models that answer with the network.
        pretraining: What is done to the members before they are trained.
        combine: Makes, given the weight of each task, one training loss of those of the tasks.
        auxiliary: Weight of the loss of each modality alone.
        ranks: Processes that share the patients of a fit.
        batched: Whether members are trained as one model; `auto`: where that is likely to be faster.
    """

    make_modalities: Callable[[], dict[str, Modality]]
    make_member: Callable[[Mapping[str, Modality], Mapping[str, int]], PatientModel]
    make_losses: Callable[[], dict[str, Loss]]
    task_weights: Mapping[str, float]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    make_trainer: Callable[..., Any]
    make_logger: Callable[[Path], object]
    num_members: int
    batch_size: int | None
    patience: int
    checkpoint_seconds: float
    seed: int
    times: tuple[float, ...]
    plan: AnchorPlan = field(default_factory=AnchorPlan)
    pretraining: Pretraining = field(default_factory=NoPretraining)
    combine: Callable[..., nn.Module] = FixedWeights
    auxiliary: float = 0.0
    ranks: int = 1
    batched: Wanted = "auto"

    def make_ensemble(
        self, modalities: Mapping[str, Modality], seed: int, anchored: Mapping[str, Sequence[str]] | None = None
    ) -> Ensemble:
        """A fresh ensemble for fitted modalities.

        Args:
            modalities: Fitted modalities.
            seed: Of its first member.
            anchored: By task, names of the plain models that speak of it; none by default.
        """
        losses = self.make_losses()
        outputs = {task: loss.num_outputs for task, loss in losses.items()}
        columns = sum(len(column_names(modality, self.plan.detail)) for modality in modalities.values())
        by_name = {each.name: each for each in self.plan.models.values()}
        return Ensemble(
            anchors={
                task: Anchors([by_name[name] for name in names], num_columns=columns)
                for task, names in (anchored or {}).items()
            },
            plan=self.plan,
            combine=partial(self.combine, weights=dict(self.task_weights)),
            auxiliary=self.auxiliary,
            make_member=lambda: self.make_member(modalities, outputs),
            losses=losses,
            task_weights=self.task_weights,
            num_members=self.num_members,
            seed=seed,
        )


@dataclass(frozen=True)
class FittedFold:
    """What predicts for one fold.

    Attributes:
        modalities: Its fitted modalities.
        ensemble: Its ensemble.
        cuts: Cuts of the risk groups by task.
        inner_loss: Loss of the out-of-fold outputs at the chosen epochs, by which settings are compared.
    """

    modalities: Mapping[str, Modality]
    ensemble: Ensemble
    cuts: Mapping[str, Sequence[float]]
    inner_loss: float

    def pack(self, cohort: Cohort, tables: Mapping[str, object], patient_ids: Sequence[str]) -> PatientBatch:
        """These patients as the ensemble reads them, without targets.

        Args:
            cohort: Where the patients are.
            tables: Raw table of every modality.
            patient_ids: Patients, in the order of the batch.
        """
        assays = {name: Assay(modality, tables[name]) for name, modality in self.modalities.items()}
        plain, detail = bool(self.ensemble.anchors), self.ensemble.plan.detail
        return pack_cohort(cohort, assays, patient_ids, summary=plain, detail=detail)

    def predict(
        self, cohort: Cohort, tables: Mapping[str, object], patient_ids: Sequence[str], times: Sequence[float]
    ) -> pd.DataFrame:
        """Rows of every task at every visit of these patients."""
        batch = self.pack(cohort, tables, patient_ids)
        predictions = self.ensemble.predict(batch, torch.tensor(times, dtype=torch.float32))
        return prediction_frame(cohort, batch, predictions, times, self.cuts)


def load_fold(folder: Path, recipe: Recipe) -> FittedFold:
    """Take a finished fold up from disk."""
    modalities = recipe.make_modalities()
    extra = load_preprocessing(folder, modalities)
    ensemble = recipe.make_ensemble(modalities, seed=0, anchored=extra.get("anchored", {}))
    load_ensemble(folder, ensemble)
    return FittedFold(modalities=modalities, ensemble=ensemble, cuts=extra["cuts"], inner_loss=extra["inner_loss"])


def split_seed(seed: int, split: Split) -> int:
    """A seed for one split, from that of the run."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{split.repeat}/{split.fold}".encode()).digest()[:4], "big")
