"""The whole model of a patient: encode samples, place their tokens on visits, fuse, recur, and read out every task.

Dimension key: B patients, T visits, V real visits of all patients, S samples, K tokens of a sample, M tokens of a
visit, D width, O outputs.
"""

from collections.abc import Mapping
from typing import cast

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from fusion.models.base import Encoder, Fusion, Temporal
from fusion.models.dropout import Dropout
from fusion.models.layers import read_exactly, real_visits, spread
from fusion.models.mixup import Mix, mix_states
from fusion.models.modality_dropout import IndependentDropout, ModalityDropout
from fusion.models.modality_outputs import ModalityOutputs, modality_outputs
from fusion.types import PatientBatch, Tokens

#: Days by which half of a change of effect over the course of treatment has come about.
HALF_COURSE = 42.0


def last_seen(present: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Index of the latest visit so far that has the assay; -1 where there was none yet.

    >>> last_seen(torch.tensor([[False, True, False, True]]))
    tensor([[-1,  1,  1,  3]])
    """
    visit_T = torch.arange(present.shape[1], device=present.device)
    return torch.where(present, visit_T, -1).cummax(dim=1).values


def carried(slot: Int[Tensor, " S"], patients: int, visits: int) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Index of the latest sample so far of each visit, and of the visit that it was taken at; -1 where none yet.

    >>> carried(torch.tensor([1, 2]), 1, 4)
    (tensor([[-1,  0,  1,  1]]), tensor([[-1,  1,  2,  2]]))
    """
    sample_BT = slot.new_full((patients * visits,), -1)
    sample_BT[slot] = torch.arange(slot.shape[0], device=slot.device)
    sample_BT = sample_BT.view(patients, visits)
    source_BT = last_seen(sample_BT >= 0)
    return torch.where(source_BT >= 0, sample_BT.gather(1, source_BT.clamp(min=0)), -1), source_BT


class PatientModel(nn.Module):
    """Predicts every task at every visit from what was known by its day.

    A visit sees the latest sample of each assay so far, with its age in days: tissue taken at diagnosis still counts
    at week 12, and the blood drawn today replaces last month's. Nothing later than the visit can enter: samples are
    placed at the visit by which they were available, carrying goes forward only, and the recurrence is causal.

    Args:
        encoders: Encoder by modality; their order fixes the modality index.
        fusion: Turns the tokens of a visit into one vector.
        temporal: Carries earlier visits forward.
        num_outputs: Outputs of each task's head.
        dim: Width of the model.
        modality_dropout: Hides assays at each training step, so that the model meets every subset of them that a
            patient may have; a number is the share of (patient, modality) pairs that are hidden.
        knows_days: False hides when visits fall, for an ablation: with `LastVisit` the number and spacing of visits
            then tell the model nothing.
        mixup: For the training step, which draws a `Mix` with this `alpha` and mixes the loss likewise; 0 for none.
        auxiliary_heads: True adds a linear head per modality and task, which reads the tokens of that modality alone
            (`modality_outputs`). A loss on these keeps every encoder learning where one modality dominates the sum.
    """

    def __init__(
        self,
        *,
        encoders: Mapping[str, Encoder],
        fusion: Fusion,
        temporal: Temporal,
        num_outputs: Mapping[str, int],
        dim: int,
        modality_dropout: float | ModalityDropout = 0.2,
        knows_days: bool = True,
        mixup: float = 0.0,
        auxiliary_heads: bool = False,
    ) -> None:
        super().__init__()
        self.modalities = tuple(encoders)
        self.encoders = nn.ModuleDict(encoders)
        self.age = nn.Parameter(torch.zeros(len(self.modalities), dim))
        self.fusion = fusion
        self.temporal = temporal
        self.dropout = Dropout(0.1)
        self.heads = nn.ModuleDict({task: nn.Linear(dim, outputs) for task, outputs in num_outputs.items()})
        self.modality_dropout = (
            modality_dropout
            if isinstance(modality_dropout, ModalityDropout)
            else IndependentDropout(rate=modality_dropout)
        )
        self.knows_days = knows_days
        self.mixup = mixup
        self.dim = dim
        self.modality_heads = nn.ModuleDict()
        if auxiliary_heads:
            for name in self.modalities:
                heads = {task: nn.Linear(dim, outputs) for task, outputs in num_outputs.items()}
                self.modality_heads[name] = nn.ModuleDict(heads)

    def prepare(self, batch: PatientBatch) -> None:
        """Let every encoder learn from the samples of the training part what it needs before training."""
        for name in self.modalities:
            cast(Encoder, self.encoders[name]).prepare(batch.samples[name])

    def place(self, batch: PatientBatch) -> Tokens:
        """Encode all samples and lay their tokens on the visits, each carried forward to the patient's later ones."""
        b, t = batch.visit_mask.shape
        day_BT, real_V = self.known_days(batch), real_visits(batch.visit_mask)

        def of_real(values: Shaped[Tensor, "B T"]) -> Shaped[Tensor, " V"]:
            return values.flatten().index_select(0, real_V)

        course_VD = self.course(of_real(day_BT))
        values, masks, ages, indices = [], [], [], []
        kept = self.modality_dropout(batch, self.modalities)
        for index, name in enumerate(self.modalities):
            samples = batch.samples[name]
            token_SKD = self.encoders[name](samples)
            num_samples, num_tokens = token_SKD.shape[:2]
            sample_BT, source_BT = carried(samples.slot, b, t)
            seen_BT = (source_BT >= 0) & next(kept)
            age_BT = torch.log1p((day_BT - day_BT.gather(1, source_BT.clamp(min=0))) / 21.0)
            seen_V, age_V = of_real(seen_BT), of_real(age_BT)
            # a visit that has not seen the assay points at a row of zeros behind the samples
            sample_V = torch.where(seen_V, of_real(sample_BT), num_samples)
            padded_SKD = torch.cat([token_SKD, token_SKD.new_zeros(1, num_tokens, self.dim)])
            values.append(padded_SKD.index_select(0, sample_V))
            masks.append(seen_V[:, None].expand(-1, num_tokens))
            ages.append((age_V * seen_V)[:, None].expand(-1, num_tokens))
            indices.append(samples.slot.new_full((num_tokens,), index))
        modality = torch.cat(indices)
        aged_VMD = torch.cat(ages, dim=1)[..., None] * self.age[modality]
        value_VMD = torch.addcmul(aged_VMD, torch.cat(values, dim=1), course_VD[:, None])
        return Tokens(values=value_VMD, mask=torch.cat(masks, dim=1), modality=modality)

    def known_days(self, batch: PatientBatch) -> Float[Tensor, "B T"]:
        """Days of the visits as far as the model may know them."""
        return batch.day if self.knows_days else torch.zeros_like(batch.day)

    def course(self, day: Float[Tensor, " V"]) -> Float[Tensor, "V D"]:
        """Factor of every dimension of a token: one in the first half, growing from zero with the days in the second.

        Whatever reads the tokens linearly so has an effect of each assay at baseline and a change of it over treatment:
        a tumour fraction of 1 % means one thing before the first cycle and another after the fourth.
        """
        grown_V1 = (day / (day + HALF_COURSE))[:, None]
        first = self.dim // 2
        return torch.cat([torch.ones_like(grown_V1).expand(-1, first), grown_V1.expand(-1, self.dim - first)], dim=1)

    def forward(
        self, batch: PatientBatch, mix: Mix | None = None, tokens: Tokens | None = None
    ) -> dict[str, Float[Tensor, "B T O"]]:
        """Outputs of every task at every visit; zero at padded visits.

        Args:
            batch: The patients.
            mix: Mixes the states of patients before they are read out; the loss is then to be mixed as well.
            tokens: What `place` gave for this batch, where it is at hand.
        """
        real_V, shape = real_visits(batch.visit_mask), batch.visit_mask.shape
        fused_VD = self.fusion(self.place(batch) if tokens is None else tokens)
        state_BTD = self.temporal(spread(fused_VD, real_V, shape), self.known_days(batch), batch.visit_mask)
        if mix is not None:
            state_BTD = mix_states(state_BTD, batch.visit_mask, mix)
        state_VD = self.dropout(state_BTD.flatten(0, 1).index_select(0, real_V))
        return {task: spread(read_exactly(head, state_VD), real_V, shape) for task, head in self.heads.items()}

    def modality_outputs(self, batch: PatientBatch, tokens: Tokens | None = None) -> ModalityOutputs:
        """Outputs of every task from each modality alone, through the auxiliary heads.

        Args:
            batch: The patients.
            tokens: What `place` gave for this batch, so that nothing is encoded twice.

        Raises:
            ValueError: The model has no auxiliary heads.
        """
        if not self.modality_heads:
            raise ValueError("this model has no head per modality; build it with auxiliary_heads=True")
        heads = {name: dict(cast(nn.ModuleDict, by_task).items()) for name, by_task in self.modality_heads.items()}
        return modality_outputs(self.place(batch) if tokens is None else tokens, batch.visit_mask, heads)
