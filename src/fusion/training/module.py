"""The Lightning module: it knows losses and the optimizer, and nothing of what is inside a model."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.training.ensemble import Ensemble
from fusion.training.inner_folds import held_out_outputs, training_parts
from fusion.types import PatientBatch


class EnsembleModule(pl.LightningModule):
    """Trains learners side by side and hands their best averages to an ensemble.

    Three sets of weights. The learners take the steps. Their running averages follow: at a few hundred patients
    dropout makes single steps noisy, and averaging takes most of the noise out of both the weights and the choice of
    the epoch. Whenever the averages are the best so far for a task, on the patients that each member leaves out, the
    ensemble takes them over for this task.

    Args:
        ensemble: The models and their losses.
        optimizer: Builds the optimizer from the learners' parameters.
        inner_fold: Inner fold of each training patient, by id.
        averaging: Share of the running average that is kept at a step, once training is under way.
    """

    best: Tensor
    learners: nn.ModuleList
    averages: nn.ModuleList

    def __init__(
        self,
        *,
        ensemble: Ensemble,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        inner_fold: Mapping[str, int],
        averaging: float = 0.9,
    ) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.learners = ensemble.fresh_members()
        self.averages = copy.deepcopy(self.learners).requires_grad_(False)
        self.make_optimizer = optimizer
        self.inner_fold = inner_fold
        self.averaging = averaging
        self._parts: tuple[tuple[str, ...], tuple[PatientBatch, ...]] | None = None
        self.register_buffer("best", torch.full((len(ensemble.losses),), torch.inf))

    def inner_folds(self, batch: PatientBatch) -> Int[Tensor, " B"]:
        """Inner fold of the patients of a batch."""
        return torch.tensor([self.inner_fold[patient] for patient in batch.patient_ids], device=batch.day.device)

    @property
    def inner_loss(self) -> float:
        """The best loss so far on the patients that members leave out, each task at its own epoch."""
        return float(self.ensemble.total(dict(zip(self.ensemble.losses, self.best, strict=True))))

    def training_step(self, batch: PatientBatch, batch_idx: int) -> Float[Tensor, ""]:
        if (
            self._parts is None or self._parts[0] is not batch.patient_ids
        ):  # without batches they are the same each time
            parts = training_parts(batch, self.inner_folds(batch), len(self.learners))
            self._parts = (batch.patient_ids, parts)
        loss = self.ensemble.training_loss(self.learners, self._parts[1])
        mean = loss.detach() / len(self.learners)
        self.log("train/loss", mean, on_step=False, on_epoch=True, batch_size=batch.num_patients)
        return loss

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: PatientBatch, batch_idx: int) -> None:
        """Let the averages follow; the first steps count little, since they start from nothing."""
        kept = min(self.averaging, self.global_step / (self.global_step + 9.0))
        pairs = zip(self.averages.parameters(), self.learners.parameters(), strict=True)
        for average, value in pairs:
            average.lerp_(value, 1.0 - kept)

    def validation_step(self, batch: PatientBatch, batch_idx: int) -> None:
        """Validation has one batch of all patients: a partial likelihood is no mean over batches."""
        inner = self.inner_folds(batch)
        held_out = (inner < self.ensemble.num_members).to(batch.day.dtype)
        losses = self.ensemble.loss(held_out_outputs(self.averages, batch, inner), batch, held_out)
        for index, (task, loss) in enumerate(losses.items()):
            if loss < self.best[index]:
                self.best[index] = loss
                self.ensemble.members_of(task).load_state_dict(self.averages.state_dict())
        scores = {"val/loss": self.ensemble.total(losses), "val/best": torch.tensor(self.inner_loss)}
        scores |= {f"val/{task}": loss for task, loss in losses.items()}
        self.log_dict(scores, on_step=False, on_epoch=True, batch_size=batch.num_patients)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        learned = [*self.learners.parameters(), *self.ensemble.combine.parameters()]
        return self.make_optimizer([parameter for parameter in learned if parameter.requires_grad])
