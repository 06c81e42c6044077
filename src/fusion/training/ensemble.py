"""An ensemble over inner folds: every member leaves some training patients out, and answers for those alone.

With M members, the training part of an outer fold is dealt into inner folds and member m never trains on inner fold m.
So every training patient has a prediction by a member that has not seen it. These out-of-fold predictions choose the
epoch, set the scale of the risk, the baseline hazard and the cuts of the risk groups; no patient is lost to a
validation part, and the outer test patients are touched once, by the mean of all members.

Tasks over-fit at different times, so each keeps the members of the epoch that was best for it.

Plain models may answer with the network (`fusion.training.anchor`): fitted on the same inner folds, weighted on the
same out-of-fold predictions.

Dimension key: B patients, T visits, O outputs of a head, Q prediction times, E members, K plain models.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fusion.losses.base import ResponseLoss, SurvivalLoss
from fusion.losses.task_weights import FixedWeights
from fusion.losses.weights import visit_weights
from fusion.models.mixup import draw_mix
from fusion.models.patient_model import PatientModel
from fusion.training.anchor import AnchorPlan, Anchors, Fits, left_out
from fusion.training.auxiliary import auxiliary_loss
from fusion.training.blend import Blend, Total, best_scale, blended, choose_blend, summed_loss
from fusion.training.inner_folds import held_out_outputs, num_inner_folds, outputs_of_all
from fusion.training.mixup import mixed_loss
from fusion.types import PatientBatch, ResponsePrediction, SurvivalPrediction, VisitTable

Loss = SurvivalLoss | ResponseLoss
Prediction = SurvivalPrediction | ResponsePrediction


class Ensemble(nn.Module):
    """What predicts for a fold: per task, members that differ in their seed and in the inner fold that they leave out.

    Args:
        make_member: Builds one freshly initialised model.
        losses: Loss by task, shared by the members.
        task_weights: Weight of each task in the training loss.
        num_members: Number of members.
        seed: Member m starts from `seed + m`.
        plan: The plain models that answer with the network.
        anchors: These models by task, to be fitted; none for a task on which no plain model can speak.
        combine: Builds what makes one training loss of those of the tasks, once for every member; their weighted sum
            by default.
        auxiliary: Weight of the loss of each modality alone, for members with auxiliary heads.
    """

    def __init__(
        self,
        *,
        make_member: Callable[[], PatientModel],
        losses: Mapping[str, Loss],
        task_weights: Mapping[str, float],
        num_members: int,
        seed: int,
        plan: AnchorPlan | None = None,
        anchors: Mapping[str, Anchors] | None = None,
        combine: Callable[[], nn.Module] | None = None,
        auxiliary: float = 0.0,
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
        self.weighted_sum = FixedWeights(weights=task_weights)
        make_combine = combine or partial(FixedWeights, weights=task_weights)
        self.combine = nn.ModuleList(make_combine() for _ in range(num_members))
        self.auxiliary = auxiliary
        self.plan = plan or AnchorPlan()
        self.anchors = nn.ModuleDict(dict(anchors or {}))
        for task in losses:
            self.register_buffer(f"scale_{task}", torch.ones(()))
        for task, anchor in (anchors or {}).items():
            self.register_buffer(f"blend_{task}", anchor.prior)

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
        return visit_weights(batch.day, batch.targets[task].asked, scale=self.loss_of(task).visit_scale)

    def loss(
        self, outputs: Mapping[str, Float[Tensor, "B T O"]], batch: PatientBatch, share: Float[Tensor, " B"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Loss of every task over the patients whose `share` is above zero."""
        losses = {}
        for task in self.losses:
            loss, output = self.loss_of(task), outputs[task]
            if task in batch.offset:
                output = output + loss.direction * batch.offset[task][..., None]
            losses[task] = loss(output, batch.targets[task], self.weights_of(batch, task) * share[:, None])
        return losses

    def total(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Weighted sum over tasks, by which epochs and settings are compared."""
        total: Tensor = self.weighted_sum(losses)
        return total

    def training_loss(self, learners: nn.ModuleList, parts: Sequence[PatientBatch]) -> Float[Tensor, ""]:
        """Sum of the learners' losses, each over the patients of its part.

        Gradients of different learners never meet, so one optimizer trains all as if each were alone.
        """
        losses = [
            self._learner_loss(cast(PatientModel, learner), combine, part)
            for learner, combine, part in zip(learners, self.combine, parts, strict=True)
            if part.num_patients  # of a small batch a member may leave out all
        ]
        if not losses:
            return torch.stack([parameter.sum() for parameter in learners.parameters()]).sum() * 0.0
        return torch.stack(losses).sum()

    @property
    def cannot_batch(self) -> str | None:
        """Why the loss of all members cannot be taken at once; None where it can."""
        if self.auxiliary:
            return "there is a loss of each modality alone"
        mixed = any(cast(PatientModel, member).mixup for task in self.losses for member in self.members_of(task))
        return "each mixes patients of its own (model.mixup)" if mixed else None

    def loss_of_all(
        self, outputs: Mapping[str, Float[Tensor, "E B T O"]], batch: PatientBatch, share: Float[Tensor, "E B"]
    ) -> Float[Tensor, ""]:
        """What `training_loss` gives, from the outputs of all learners for the same patients.

        Args:
            outputs: What each learner says of every patient.
            batch: The patients with their targets.
            share: 0 where a learner leaves a patient out: it weighs nothing and stands in no risk set.
        """
        losses = {}
        for task in self.losses:
            loss, output = self.loss_of(task), outputs[task]
            if task in batch.offset:
                output = output + loss.direction * batch.offset[task][..., None]
            losses[task] = loss.each(output, batch.targets[task], self.weights_of(batch, task) * share[..., None])
        if all(isinstance(combine, FixedWeights) for combine in self.combine):  # linear, so members are summed first
            return self.total({task: loss_E.sum() for task, loss_E in losses.items()})
        totals = [
            combine({task: loss_E[member] for task, loss_E in losses.items()})
            for member, combine in enumerate(self.combine)
        ]
        return torch.stack(totals).sum()

    def _learner_loss(self, learner: PatientModel, combine: nn.Module, batch: PatientBatch) -> Float[Tensor, ""]:
        share = torch.ones_like(batch.day[:, 0])

        def combined(outputs: Mapping[str, Tensor], asked: PatientBatch, of: Tensor) -> Tensor:
            total: Tensor = combine(self.loss(outputs, asked, of))
            return total

        tokens = learner.place(batch)
        mix = draw_mix(share > 0, learner.mixup) if learner.mixup else None
        outputs = learner(batch, mix=mix, tokens=tokens)
        loss = combined(outputs, batch, share) if mix is None else mixed_loss(combined, outputs, batch, mix, share)
        if self.auxiliary:
            alone = learner.modality_outputs(batch, tokens=tokens)
            loss = loss + self.auxiliary * auxiliary_loss(combined, alone, batch, share)
        return loss

    def prepare(self, batch: PatientBatch) -> None:
        """Let every loss learn from the training outcomes, and every encoder from the samples, what it needs."""
        for task in self.losses:
            self.loss_of(task).prepare(batch.targets[task], self.weights_of(batch, task))
        first, *others = (cast(PatientModel, member) for task in self.losses for member in self.members_of(task))
        first.prepare(batch)  # once: what is learned from samples alone is the same for all
        learned = dict(first.encoders.named_buffers())
        for other in others:
            for name, buffer in other.encoders.named_buffers():
                buffer.copy_(learned[name])

    def fit_anchors(
        self, batch: PatientBatch, table: VisitTable, inner_fold: Int[Tensor, " B"]
    ) -> dict[str, Float[Tensor, "K B T"]]:
        """Fit the plain models of every task; by task, what they say of patients whom they did not see."""
        place = dict(zip(batch.patient_ids, inner_fold.tolist(), strict=True))
        row_fold = torch.tensor([place[str(patient)] for patient in table.patient_ids])
        fits = Fits(table, row_fold, num_folds=num_inner_folds(self.num_members))
        said = {}
        for task, module in self.anchors.items():
            anchor = cast(Anchors, module)
            twins = anchor.fit(fits, task)
            plain = left_out(twins, summary_of(batch), batch.day, inner_fold)
            asked = self.weights_of(batch, task) > 0
            anchor.centre.copy_(plain[:, asked].mean(dim=1).nan_to_num())
            said[task] = plain - anchor.centre[:, None, None]
        return said

    def offsets(
        self, batch: PatientBatch, plain: Mapping[str, Float[Tensor, "K B T"]]
    ) -> dict[str, Float[Tensor, "B T"]]:
        """What a network that learns the residual of the plain models is to add to; nothing where it does not."""
        offset = {}
        for task, said in plain.items() if self.plan.residual else ():
            silent = torch.zeros(*batch.visit_mask.shape, self.loss_of(task).num_outputs)
            everyone = torch.ones_like(batch.visit_mask[:, 0])
            prior = cast(Anchors, self.anchors[task]).prior
            weights = self._blend(task, batch, said, silent, everyone, prior, 0.0).plain
            getattr(self, f"blend_{task}").copy_(weights)
            offset[task] = blended(said, silent[..., :1], Blend(weights, 0.0), 1.0)[..., 0]
        return offset

    def _blend(
        self,
        task: str,
        batch: PatientBatch,
        plain: Float[Tensor, "K B T"],
        network: Float[Tensor, "B T O"],
        held_out: Bool[Tensor, " B"],
        prior: Float[Tensor, "2 K"],
        network_prior: float,
    ) -> Blend:
        return choose_blend(
            self._total(task, batch, held_out),
            plain,
            network,
            prior=prior,
            network_prior=network_prior,
            trust=self.plan.trust,
            direction=self.loss_of(task).direction,
        )

    def _total(self, task: str, batch: PatientBatch, held_out: Bool[Tensor, " B"]) -> Total:
        weight = self.weights_of(batch, task) * held_out[:, None]
        return summed_loss(self.loss_of(task), batch.targets[task].only(held_out), weight, batch.day)

    def calibrate(
        self,
        batch: PatientBatch,
        inner_fold: Int[Tensor, " B"],
        plain: Mapping[str, Float[Tensor, "K B T"]] = MappingProxyType({}),
    ) -> dict[str, Float[Tensor, "B T O"]]:
        """Learn scale, weights, baseline hazard and intercept from out-of-fold outputs on the training part.

        The scale is the slope of the loss in the network's outputs: over-fitted outputs are shrunk, empty ones nearly
        to zero. Then the weights of plain models and network are chosen.

        Args:
            batch: The training part.
            inner_fold: Inner fold of each patient.
            plain: By task, what the plain models say of patients whom they did not see (`fit_anchors`).

        Returns:
            The out-of-fold outputs, as calibrated.
        """
        self.eval()
        held_out = inner_fold < self.num_members
        calibrated = {}
        for task in self.losses:
            with torch.no_grad():
                network = held_out_outputs(self.members_of(task), batch, inner_fold)[task]
            prior = getattr(self, f"blend_{task}").clone() if task in self.anchors else None
            for _ in range(self.loss_of(task).rounds):
                outputs = self._weighed(task, batch, network, plain.get(task), held_out, prior)
                self.loss_of(task).calibrate(outputs, batch.targets[task].only(held_out), batch.day)
            calibrated[task] = outputs
        return calibrated

    def _weighed(
        self,
        task: str,
        batch: PatientBatch,
        network: Float[Tensor, "B T O"],
        plain: Float[Tensor, "K B T"] | None,
        held_out: Bool[Tensor, " B"],
        prior: Float[Tensor, "2 K"] | None,
    ) -> Float[Tensor, "B T O"]:
        """Learn the scale of a network's outputs and the weights of the plain models; the weighted sum."""
        scale, residual = 1.0, self.plan.residual and prior is not None
        if not residual:
            total = self._total(task, batch, held_out)
            scale = best_scale(lambda factor: total(factor * network))
        outputs = scale * network
        if plain is not None and prior is not None:
            network_prior = 1.0 if residual else self.plan.network
            weights = self._blend(task, batch, plain, outputs, held_out, prior, network_prior)
            getattr(self, f"blend_{task}").copy_(weights.plain)
            scale *= weights.network
            outputs = blended(plain, outputs, weights, self.loss_of(task).direction)
        getattr(self, f"scale_{task}").fill_(scale)
        return outputs

    def member_outputs(self, batch: PatientBatch) -> dict[str, Float[Tensor, "E B T O"]]:
        """Outputs of every member, each beside the mean of the plain models."""
        outputs = {}
        for task in self.losses:
            network = torch.stack([said[task] for said in outputs_of_all(self.members_of(task), batch)])
            network = network * getattr(self, f"scale_{task}")
            if task in self.anchors:
                plain = cast(Anchors, self.anchors[task])(summary_of(batch), batch.day)
                weights = Blend(getattr(self, f"blend_{task}"), 1.0)
                direction = self.loss_of(task).direction
                network = torch.stack([blended(plain, each, weights, direction) for each in network])
            outputs[task] = network
        return outputs

    @torch.no_grad()
    def predict(self, batch: PatientBatch, times: Float[Tensor, " Q"]) -> dict[str, Prediction]:
        """Prediction of every task from the mean output of the members, and between what they say each by itself."""
        self.eval()
        return {task: self._answer(task, outputs, times) for task, outputs in self.member_outputs(batch).items()}

    def _answer(self, task: str, outputs: Float[Tensor, "E B T O"], times: Float[Tensor, " Q"]) -> Prediction:
        answer = self.decode(task, outputs.mean(dim=0), times)
        if len(outputs) == 1 or not isinstance(answer, SurvivalPrediction):
            return answer
        alone = [cast(SurvivalPrediction, self.decode(task, each, times)).survival for each in outputs]
        # With several outputs the mean of them need not decode between the members: it is counted as one.
        curves = torch.stack([answer.survival, *alone])
        return replace(answer, lowest=curves.amin(dim=0), highest=curves.amax(dim=0))

    def decode(self, task: str, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> Prediction:
        """Outputs of a task as risk and curve, or as probabilities."""
        loss = self.loss_of(task)
        return loss.predict(outputs, times) if isinstance(loss, SurvivalLoss) else loss.predict(outputs)


def summary_of(batch: PatientBatch) -> Float[Tensor, "B T P"]:
    """What the plain models see of a batch.

    Raises:
        ValueError: The batch was packed without it.
    """
    if batch.summary is None:
        raise ValueError("plain models answer with this network: pack the cohort with `summary=True`")
    return batch.summary
