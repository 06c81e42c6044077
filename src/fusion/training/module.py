"""The Lightning module: it knows losses and the optimizer, and nothing of what is inside a model."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.patient_model import PatientModel
from fusion.training.batched import Batched, Wanted, cannot_stack, sources, tied, too_large
from fusion.training.callbacks import validated
from fusion.training.ensemble import Ensemble
from fusion.training.inner_folds import (
    Part,
    fits,
    held_out_parts,
    outputs_of_parts,
    training_parts,
    training_shares,
)
from fusion.training.optimizer_state import put_together, taken_apart
from fusion.types import PatientBatch


class EnsembleModule(pl.LightningModule):
    """Trains learners side by side and hands their best averages to an ensemble.

    Three sets of weights. The learners take the steps. Their running averages follow: at a few hundred patients
    dropout makes single steps noisy, and averaging takes most of the noise out of both the weights and the choice of
    the epoch. Whenever the averages are the best so far for a task, on the patients that each member leaves out, the
    ensemble takes them over for this task.

    Learners take their steps one by one, each on the patients that it does not leave out, or as one model
    (`batch_learners`). A checkpoint is the same either way.

    Args:
        ensemble: The models and their losses.
        optimizer: Builds the optimizer from the learners' parameters.
        inner_fold: Inner fold of each training patient, by id.
        averaging: Share of the running average that is kept at a step, once training is under way.

    Lightning's own log and validation loop take longer than a small step does, so neither is used: `scores` is what
    callbacks read, and validation is part of the last step of an epoch (`loop.train` says on whom).

    Attributes:
        one_by_one: Why the learners are trained one by one, empty where that was asked for; None where they are
            trained as one model.
        everyone: Whom validation is on, as `training_step` takes them; None for no validation.
        scores: The newest value of everything that is measured.
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
        self.one_by_one: str | None = ""
        self._alone: tuple[str, ...] = ()
        self._batched: Batched | None = None
        self._followed: tuple[list[Tensor], list[Tensor]] | None = None
        self._parts: tuple[tuple[str, ...], tuple[PatientBatch, ...]] | None = None
        self._shares: tuple[tuple[str, ...], Tensor] | None = None
        self._held_out: tuple[tuple[str, ...], tuple[Part, ...]] | None = None
        self._tensors: dict[str | None, list[Tensor]] = {}
        self.everyone: Any = None
        self.scores: dict[str, Tensor] = {}
        self._new: dict[str, Tensor] = {}
        self._losses: list[tuple[Tensor, int]] = []
        self.register_buffer("best", torch.full((len(ensemble.losses),), torch.inf))

    def inner_folds(self, batch: PatientBatch) -> Int[Tensor, " B"]:
        """Inner fold of the patients of a batch."""
        return torch.tensor([self.inner_fold[patient] for patient in batch.patient_ids], device=batch.day.device)

    @property
    def inner_loss(self) -> float:
        """The best loss so far on the patients that members leave out, each task at its own epoch."""
        return float(self.ensemble.total(dict(zip(self.ensemble.losses, self.best, strict=True))))

    def batch_learners(self, batch: PatientBatch, wanted: Wanted = "auto", batch_size: int | None = None) -> None:
        """Train the learners as one model from now on, if that is wanted and possible; `one_by_one` says why not.

        To be called before training. It may not rest on how long a step takes: draws of dropout come in another order,
        so the same seed would give another model on a busy machine.

        Args:
            batch: All patients that are trained on.
            wanted: True or False, or `auto`: where it is likely to be faster.
            batch_size: Patients of a step; None for all.
        """
        learners = cast(list[PatientModel], list(self.learners))
        self._alone, reason = (), "" if wanted is False else self.ensemble.cannot_batch
        if reason is None and wanted == "auto":
            summed = [name for name, encoder in learners[0].encoders.items() if cast(Encoder, encoder).sums_rows]
            reason = too_large(len(learners), batch, batch_size, summed)
        if reason is None:
            try:
                self._alone = cannot_stack(learners, batch)
            except ValueError as error:
                reason = str(error)
        self.one_by_one = reason

    def training_step(self, batch: PatientBatch, batch_idx: int) -> Float[Tensor, ""]:
        if self._batched is not None:
            loss = self.ensemble.loss_of_all(self._batched(batch), batch, self._shares_of(batch))
        else:
            loss = self.ensemble.training_loss(self.learners, self._parts_of(batch))
        self.note_loss(loss, batch.num_patients)
        return loss

    def note_loss(self, loss: Float[Tensor, ""], num_patients: int) -> None:
        """Keep the loss of a step for the mean of its epoch."""
        self._losses.append((loss.detach() / len(self.learners), num_patients))

    def note(self, scores: Mapping[str, Tensor]) -> None:
        """Keep what was measured, until the end of the epoch logs it."""
        self.scores.update(scores)
        self._new.update(scores)

    def _parts_of(self, batch: PatientBatch) -> tuple[PatientBatch, ...]:
        """What each learner trains on; kept, since without batches it is the same at each step."""
        if self._parts is None or self._parts[0] is not batch.patient_ids:
            parts = training_parts(batch, self.inner_folds(batch), len(self.learners))
            self._parts = (batch.patient_ids, parts)
        return self._parts[1]

    def _shares_of(self, batch: PatientBatch) -> Float[Tensor, "E B"]:
        """Whom each learner trains on; kept likewise."""
        if self._shares is None or self._shares[0] is not batch.patient_ids:
            shares = training_shares(self.inner_folds(batch), len(self.learners)).to(batch.day)
            self._shares = (batch.patient_ids, shares)
        return self._shares[1]

    @torch.no_grad()
    def follow(self) -> None:
        """Let the averages follow; the first steps count little, since they start from nothing."""
        kept = min(self.averaging, self.global_step / (self.global_step + 9.0))
        if self._followed is None:
            self._followed = list(self.averages.parameters()), list(self.learners.parameters())
        torch._foreach_lerp_(*self._followed, 1.0 - kept)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: object, batch_idx: int) -> None:
        """Follow; at the last step of an epoch, sum up its losses and validate."""
        self.follow()
        if not self.trainer.is_last_batch:
            return
        summed = torch.stack([loss * patients for loss, patients in self._losses]).sum()
        self.note({"train/loss": summed / max(sum(patients for _, patients in self._losses), 1)})
        self._losses.clear()
        if self.everyone is not None and validated(self.trainer):
            with self.trainer.precision_plugin.val_step_context():
                self.validate(self.trainer.strategy.batch_to_device(self.everyone))

    def on_train_epoch_end(self) -> None:
        """Hand what is new to the loggers."""
        values = {name: float(score) for name, score in self._new.items()}
        self._new.clear()
        for logger in self.trainer.loggers:
            logger.log_metrics({**values, "epoch": self.current_epoch}, step=self.global_step)

    def on_train_end(self) -> None:
        """Let go of the patients: a module lives on, in a circle with its trainer, while the next fold is trained."""
        self.everyone = self._parts = self._shares = self._held_out = None

    def validate(self, batch: PatientBatch) -> None:
        """Validation is on all patients at once: a partial likelihood is no mean over batches."""
        if self.averages.training:  # they take no dropout, ever
            self.averages.eval()
        inner = self.inner_folds(batch)
        held_out = (inner < self.ensemble.num_members).to(batch.day.dtype)
        outputs = outputs_of_parts(self.averages, self._held_out_parts(batch, inner), batch.num_patients)
        losses = self.ensemble.loss(outputs, batch, held_out)
        self.take_losses(losses)

    def _held_out_parts(self, batch: PatientBatch, inner: Int[Tensor, " B"]) -> Iterable[Part]:
        """Whom each average is asked about; kept likewise, unless they are too large to lie there twice."""
        if self._held_out is None or self._held_out[0] is not batch.patient_ids:
            parts = held_out_parts(batch, inner, len(self.averages))
            if not fits(batch):
                return parts
            self._held_out = (batch.patient_ids, tuple(parts))
        return self._held_out[1]

    def take_losses(self, losses: Mapping[str, Float[Tensor, ""]]) -> None:
        """Keep the averages for each task whose loss on held-out patients is the best so far."""
        for index, (task, loss) in enumerate(losses.items()):
            if loss < self.best[index]:
                self.best[index] = loss
                torch._foreach_copy_(self._tensors_of(task), self._tensors_of(None))
        scores = {"val/loss": self.ensemble.total(losses), "val/best": torch.tensor(self.inner_loss)}
        self.note(scores | {f"val/{task}": loss for task, loss in losses.items()})

    def _tensors_of(self, task: str | None) -> list[Tensor]:
        """Weights and buffers of the members of a task, or of the averages: loading states by name takes far longer."""
        if task not in self._tensors:
            members = self.averages if task is None else self.ensemble.members_of(task)
            self._tensors[task] = [*(parameter.detach() for parameter in members.parameters()), *members.buffers()]
        return self._tensors[task]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        learned: list[nn.Parameter] = list(self.learners.parameters())
        if self.one_by_one is None:  # here and not before, as the learners now lie where they will be trained
            self._batched = Batched(cast(list[PatientModel], list(self.learners)), self._alone)
            learned = self._batched.parameters
            self._followed = list(tied(list(self.averages), self._alone)), [p.detach() for p in learned]
        learned = [*learned, *self.ensemble.combine.parameters()]
        return self.make_optimizer([parameter for parameter in learned if parameter.requires_grad])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.one_by_one is None:
            states, layout = checkpoint["optimizer_states"], self._layout()
            checkpoint["optimizer_states"] = [taken_apart(state, layout) for state in states]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.one_by_one is None:
            states, layout = checkpoint["optimizer_states"], self._layout()
            checkpoint["optimizer_states"] = [put_together(state, layout) for state in states]

    def _layout(self) -> list[tuple[int, ...]]:
        """For each tensor of the optimizer, places of what it stands for among the parameters of all learners."""
        combined = list(self.ensemble.combine.parameters())
        learned = [p for p in [*self.learners.parameters(), *combined] if p.requires_grad]
        place = {id(parameter): number for number, parameter in enumerate(learned)}
        own = [*sources(list(self.learners), self._alone), *((parameter,) for parameter in combined)]
        return [tuple(place[id(p)] for p in each) for each in own if each[0].requires_grad]
