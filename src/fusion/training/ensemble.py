"""An ensemble over inner folds: every member leaves some training patients out, and answers for those alone.

With M members, the training part of an outer fold is dealt into inner folds and member m never trains on inner fold m.
So every training patient has a prediction by a member that has not seen it. These out-of-fold predictions choose the
epoch, set the scale of the risk, the baseline hazard and the cuts of the risk groups; no patient is lost to a
validation part, and the outer test patients are touched once, by the mean of all members.

Tasks over-fit at different times, so each keeps the members of the epoch that was best for it.

Dimension key: B patients, T visits, O outputs of a head, Q prediction times, E members.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.losses.base import ResponseLoss, SurvivalLoss
from fusion.losses.weights import visit_weights
from fusion.models.patient_model import PatientModel
from fusion.types import Outcome, PatientBatch, Response, ResponsePrediction, SurvivalPrediction

Loss = SurvivalLoss | ResponseLoss
Prediction = SurvivalPrediction | ResponsePrediction


def held_out_outputs(
    members: nn.ModuleList, batch: PatientBatch, inner_fold: Int[Tensor, " B"]
) -> dict[str, Float[Tensor, "B T O"]]:
    """Outputs of every patient by the member that left it out; zero for patients whom no member left out."""
    total: dict[str, Tensor] = {}
    for index, member in enumerate(members):
        mine = (inner_fold == index)[:, None, None]
        for task, output in member(batch).items():
            total[task] = total.get(task, 0.0) + output * mine
    return total


class Ensemble(nn.Module):
    """What predicts for a fold: per task, members that differ in their seed and in the inner fold that they leave out.

    Args:
        make_member: Builds one freshly initialised model.
        losses: Loss by task, shared by the members.
        task_weights: Weight of each task in the training loss.
        num_members: Number of members.
        seed: Member m starts from `seed + m`.
    """

    def __init__(
        self,
        *,
        make_member: Callable[[], PatientModel],
        losses: Mapping[str, Loss],
        task_weights: Mapping[str, float],
        num_members: int,
        seed: int,
    ) -> None:
        super().__init__()
        fresh = []
        for member in range(num_members):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + member)
                fresh.append(make_member())
        self.members = nn.ModuleDict({task: copy.deepcopy(nn.ModuleList(fresh)) for task in losses})
        self.members.requires_grad_(False)
        self.losses = nn.ModuleDict(losses)
        self.task_weights = dict(task_weights)
        self.num_members = num_members
        for task in losses:
            self.register_buffer(f"scale_{task}", torch.ones(()))

    def members_of(self, task: str) -> nn.ModuleList:
        """The members that answer for a task."""
        return cast(nn.ModuleList, self.members[task])

    def loss_of(self, task: str) -> Any:
        """The loss of a task, a `SurvivalLoss` or a `ResponseLoss` as its target demands."""
        return self.losses[task]

    def fresh_members(self) -> nn.ModuleList:
        """A copy of the members to be trained; before training all tasks have the same."""
        return copy.deepcopy(self.members_of(next(iter(self.losses)))).requires_grad_(True)

    def weights_of(self, batch: PatientBatch, task: str) -> Float[Tensor, "B T"]:
        """Weight of every visit in the loss of a task; zero where the task asks nothing of the visit."""
        target = batch.targets[task]
        asked = target.at_risk if isinstance(target, Outcome) else target.known
        return visit_weights(batch.day, asked, scale=self.loss_of(task).visit_scale)

    def loss(
        self, outputs: Mapping[str, Float[Tensor, "B T O"]], batch: PatientBatch, share: Float[Tensor, " B"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Loss of every task over the patients whose `share` is above zero."""
        return {
            task: self.loss_of(task)(outputs[task], batch.targets[task], self.weights_of(batch, task) * share[:, None])
            for task in self.losses
        }

    def total(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Weighted sum over tasks."""
        return torch.stack([self.task_weights[task] * loss for task, loss in losses.items()]).sum()

    def training_loss(
        self, learners: nn.ModuleList, batch: PatientBatch, inner_fold: Int[Tensor, " B"]
    ) -> Float[Tensor, ""]:
        """Sum of the learners' losses, each over the patients that it does not leave out.

        Gradients of different learners never meet, so one optimizer trains all as if each were alone.
        """
        return torch.stack(
            [
                self.total(self.loss(learner(batch), batch, (inner_fold != index).to(batch.day.dtype)))
                for index, learner in enumerate(learners)
            ]
        ).sum()

    def prepare(self, batch: PatientBatch) -> None:
        """Let every loss learn from the training outcomes what it needs."""
        for task in self.losses:
            self.loss_of(task).prepare(batch.targets[task], self.weights_of(batch, task))

    @torch.no_grad()
    def calibrate(self, batch: PatientBatch, inner_fold: Int[Tensor, " B"]) -> dict[str, Float[Tensor, "B T O"]]:
        """Learn scale, baseline hazard and intercept from out-of-fold outputs on the training part, and return these.

        The scale is the slope of the loss in the outputs: over-fitted outputs are shrunk, empty ones nearly to zero.
        """
        self.eval()
        held_out = inner_fold < self.num_members
        outputs = {task: held_out_outputs(self.members_of(task), batch, inner_fold)[task] for task in self.losses}
        for task, output in outputs.items():
            loss, target = self.loss_of(task), batch.targets[task]
            weight = self.weights_of(batch, task) * held_out[:, None]
            scale = best_scale(partial(_scaled_loss, loss, output, target, weight))
            getattr(self, f"scale_{task}").fill_(scale)
            outputs[task] = output * scale
            loss.calibrate(outputs[task], _restricted(target, held_out), batch.day)
        return outputs

    def member_outputs(self, batch: PatientBatch) -> dict[str, Float[Tensor, "E B T O"]]:
        """Scaled outputs of every member."""
        return {
            task: torch.stack([member(batch)[task] for member in self.members_of(task)])
            * getattr(self, f"scale_{task}")
            for task in self.losses
        }

    @torch.no_grad()
    def predict(self, batch: PatientBatch, times: Float[Tensor, " Q"]) -> dict[str, Prediction]:
        """Prediction of every task from the mean output of the members."""
        self.eval()
        return {task: self.decode(task, o.mean(dim=0), times) for task, o in self.member_outputs(batch).items()}

    def decode(self, task: str, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> Prediction:
        """Outputs of a task as risk and curve, or as probabilities."""
        loss = self.loss_of(task)
        return loss.predict(outputs, times) if isinstance(loss, SurvivalLoss) else loss.predict(outputs)


def _scaled_loss(loss: Any, outputs: Tensor, target: Outcome | Response, weight: Tensor, scale: float) -> Tensor:
    # in double precision: near its minimum a loss is flat, and rounding would choose the scale
    scaled: Tensor = loss(scale * outputs.double(), target, weight.double())
    return scaled


def _restricted(target: Outcome | Response, held_out: Tensor) -> Outcome | Response:
    """The target with only these patients in it."""
    values = dict(vars(target))
    key = "at_risk" if isinstance(target, Outcome) else "known"
    values[key] = values[key] & held_out[:, None]
    return type(target)(**values)


def best_scale(loss: Callable[[float], Tensor], low: float = 0.05, high: float = 3.0, steps: int = 40) -> float:
    """Scale at which a loss, convex in it, is least, by golden section.

    The lower end is above zero so that the order of the patients survives.

    >>> round(best_scale(lambda s: torch.tensor((s - 0.7) ** 2)), 3)
    0.7
    """
    ratio = (5**0.5 - 1) / 2
    inner, outer = high - ratio * (high - low), low + ratio * (high - low)
    at_inner, at_outer = float(loss(inner)), float(loss(outer))
    for _ in range(steps):
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - ratio * (high - low)
            at_inner = float(loss(inner))
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + ratio * (high - low)
            at_outer = float(loss(outer))
    return (low + high) / 2


def deal_inner_folds(strata: Sequence[str], order: Sequence[str], val: Sequence[bool], num_members: int) -> list[int]:
    """Inner fold of each patient of a training part, balanced over strata.

    Args:
        strata: Stratum of each patient.
        order: A key to shuffle by, e.g. a hash of the id: the folds do not depend on the order of a file.
        val: True for the patients of the split's validation part; they are inner fold 0.
        num_members: Members of the ensemble. Few members still leave only a share of the patients out each: the
            others are dealt over at least four more inner folds.
    """
    folds = max(num_members - 1, 4)
    inner = [0] * len(strata)
    rest = sorted((i for i in range(len(strata)) if not val[i]), key=lambda i: (strata[i], order[i]))
    for place, patient in enumerate(rest):
        inner[patient] = 1 + place % folds
    return inner
