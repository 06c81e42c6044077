"""The Lightning module: it knows losses and the optimizer, and nothing of what is inside a model."""

from collections.abc import Callable, Iterable, Mapping

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.training.ensemble import Ensemble
from fusion.types import PatientBatch


class EnsembleModule(pl.LightningModule):
    """Trains the members of an ensemble side by side and watches the loss on the patients that each leaves out.

    Args:
        ensemble: The models and their losses.
        optimizer: Builds the optimizer from named parameters' values.
        inner_fold: Inner fold of each training patient, by id.
    """

    def __init__(
        self,
        *,
        ensemble: Ensemble,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        inner_fold: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.make_optimizer = optimizer
        self.inner_fold = inner_fold

    def inner_folds(self, batch: PatientBatch) -> Int[Tensor, " B"]:
        """Inner fold of the patients of a batch."""
        return torch.tensor([self.inner_fold[patient] for patient in batch.patient_ids], device=batch.day.device)

    def training_step(self, batch: PatientBatch, batch_idx: int) -> Float[Tensor, ""]:
        loss = self.ensemble.training_loss(batch, self.inner_folds(batch))
        mean = loss.detach() / len(self.ensemble.members)
        self.log("train/loss", mean, on_step=False, on_epoch=True, batch_size=batch.num_patients)
        return loss

    def validation_step(self, batch: PatientBatch, batch_idx: int) -> None:
        inner = self.inner_folds(batch)
        outputs = self.ensemble.held_out_outputs(batch, inner)
        held_out = (inner < len(self.ensemble.members)).to(batch.day.dtype)
        losses = self.ensemble.loss(outputs, batch, held_out)
        scores = {"val/loss": self.ensemble.total(losses), **{f"val/{task}": loss for task, loss in losses.items()}}
        self.log_dict(scores, on_step=False, on_epoch=True, batch_size=batch.num_patients)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.make_optimizer(self.ensemble.members.parameters())
