"""The module of one rank: the outputs of its own patients, summed with those of all ranks, and the loss of the whole.

Dimension key: B patients of the batch, P those of a rank, T visits, E members, O outputs of a head, W columns of the
table: outputs of all tasks side by side.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn

from fusion.models.modality_outputs import ModalityOutputs
from fusion.models.patient_model import PatientModel
from fusion.training.auxiliary import auxiliary_loss
from fusion.training.batched import Wanted
from fusion.training.module import EnsembleModule
from fusion.training.shares import Part, Share, parts_of
from fusion.types import PatientBatch


class SumOverRanks(torch.autograd.Function):
    """Sum of a tensor over the ranks, for a loss that every rank then computes alike.

    Each rank has the whole gradient already. It goes back times the number of ranks, since gradients of parameters are
    averaged over them: so those of a part before the sum add up, and those after it stay what they are.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * distributed.get_world_size()


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace gradients by their mean over the ranks; a parameter has none if it has none on any rank."""
    flat = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
    there = torch.tensor([float(p.grad is not None) for p in parameters], device=flat[0].device)
    total = torch.cat([there.to(flat[0]), *flat])
    distributed.all_reduce(total)
    there, mean = total[: len(parameters)], total[len(parameters) :] / distributed.get_world_size()
    pieces = mean.split([p.numel() for p in parameters])
    for parameter, piece, known in zip(parameters, pieces, (there > 0).tolist(), strict=True):
        parameter.grad = piece.view_as(parameter).clone() if known else None


class RankModule(EnsembleModule):
    """Trains the learners of an ensemble on a share of the patients, beside the other ranks.

    Weights, averages, best epochs and what is logged are the same on all ranks.

    Raises:
        ValueError: The members mix patients, who may be of different ranks.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._shared: tuple[tuple[str, ...], list[Part]] | None = None
        if any(cast(PatientModel, learner).mixup for learner in self.learners):
            raise ValueError("several ranks cannot mix patients: model.mixup=0, or one process with trainer.ranks=1")

    def batch_learners(self, batch: PatientBatch, wanted: Wanted = "auto", batch_size: int | None = None) -> None:
        """Never as one model: of each learner only the outputs for this rank's patients are wanted."""
        self.one_by_one = "the patients are divided over ranks"

    def training_step(self, share: Share, batch_idx: int) -> Float[Tensor, ""]:  # type: ignore[override]
        everyone = share.everyone
        member_E1 = torch.arange(len(self.learners), device=everyone.day.device)[:, None]
        trained_EB = self.inner_folds(everyone) != member_E1
        if self._shared is None or self._shared[0] is not everyone.patient_ids:
            self._shared = (everyone.patient_ids, parts_of(share, trained_EB))  # without batches the same each time
        table_EBTW = self.outputs_of_all(self.learners, share, self._shared[1], alone=self.ensemble.auxiliary > 0)
        combines = zip(self.ensemble.combine, table_EBTW, trained_EB, strict=True)
        losses = [self._loss(combine, table, everyone, on.float()) for combine, table, on in combines if on.any()]
        loss = torch.stack(losses).sum()
        self.note_loss(loss, everyone.num_patients)
        return loss

    def on_after_backward(self) -> None:
        average_gradients([p for group in self.trainer.optimizers[0].param_groups for p in group["params"]])

    def validate(self, share: Share) -> None:  # type: ignore[override]
        inner_B = self.inner_folds(share.everyone)
        member_E1 = torch.arange(len(self.averages), device=inner_B.device)[:, None]
        table_EBTW = self.outputs_of_all(self.averages, share, parts_of(share, inner_B == member_E1))
        held_out = (inner_B < self.ensemble.num_members).to(share.everyone.day.dtype)
        losses = self.ensemble.loss(self._by_task(table_EBTW.sum(dim=0)), share.everyone, held_out)
        agreed = torch.stack(list(losses.values()))
        distributed.broadcast(agreed, 0)  # ranks that round differently would stop at different epochs
        self.take_losses(dict(zip(losses, agreed, strict=True)))

    def outputs_of_all(
        self, members: nn.ModuleList, share: Share, parts: Sequence[Part], *, alone: bool = False
    ) -> Float[Tensor, "E B T W"]:
        """What each member says of the patients that it is asked about, whichever rank holds them; zero of the others.

        Args:
            members: The members.
            share: What this rank has of the batch.
            parts: Whom of them each member is asked about.
            alone: Whether to add what each modality says alone, and whether it was seen, in further columns.
        """
        tasks, everyone = tuple(self._tasks), share.everyone
        empty = everyone.day.new_zeros(len(parts), everyone.num_patients, everyone.num_visits, sum(self._widths(alone)))
        table = empty.flatten(0, 1)
        for index, (member, part) in enumerate(zip(members, parts, strict=True)):
            if len(part.place):
                rows = _said(cast(PatientModel, member), part.batch, tasks, alone).to(table.dtype)
                table = table.index_copy(0, index * everyone.num_patients + part.place, rows)
        if torch.is_grad_enabled() and not table.requires_grad:
            table.requires_grad_()  # a rank that holds none of them takes part all the same
        total: Tensor = SumOverRanks.apply(table)
        return total.view_as(empty)

    @property
    def _tasks(self) -> dict[str, int]:
        """Width of the head of every task."""
        return {task: self.ensemble.loss_of(task).num_outputs for task in self.ensemble.losses}

    def _widths(self, alone: bool) -> list[int]:
        names = cast(PatientModel, self.learners[0]).modalities if alone else ()
        return [*self._tasks.values()] * (1 + len(names)) + [1] * len(names)

    def _by_task(self, table: Float[Tensor, "B T W"]) -> dict[str, Float[Tensor, "B T O"]]:
        return dict(zip(self._tasks, table.split(self._widths(False), dim=-1), strict=True))

    def _loss(
        self, combine: nn.Module, table: Float[Tensor, "B T W"], batch: PatientBatch, share: Float[Tensor, " B"]
    ) -> Float[Tensor, ""]:
        """Loss of one member, as `Ensemble.training_loss` has it."""

        def combined(outputs: Any, asked: PatientBatch, of: Tensor) -> Tensor:
            total: Tensor = combine(self.ensemble.loss(outputs, asked, of))
            return total

        auxiliary = self.ensemble.auxiliary
        if not auxiliary:
            return combined(self._by_task(table), batch, share)
        names = cast(PatientModel, self.learners[0]).modalities
        parts = table.split([*[sum(self._tasks.values())] * (1 + len(names)), *[1] * len(names)], dim=-1)
        outputs = {name: self._by_task(part) for name, part in zip(names, parts[1:], strict=False)}
        seen = {name: part[..., 0] > 0 for name, part in zip(names, parts[1 + len(names) :], strict=True)}
        also = auxiliary_loss(combined, ModalityOutputs(outputs=outputs, seen=seen), batch, share)
        return combined(self._by_task(parts[0]), batch, share) + auxiliary * also


def _said(member: PatientModel, batch: PatientBatch, tasks: Sequence[str], alone: bool) -> Float[Tensor, "P T W"]:
    """Outputs of all tasks side by side; then those of every modality alone, and where it was seen."""
    tokens = member.place(batch)
    outputs = member(batch, tokens=tokens)
    columns = [outputs[task] for task in tasks]
    if alone:
        by_modality = member.modality_outputs(batch, tokens=tokens)
        columns += [by_modality.outputs[name][task] for name in member.modalities for task in tasks]
        columns += [by_modality.seen[name][..., None].to(columns[0]) for name in member.modalities]
    return torch.cat(columns, dim=-1)
