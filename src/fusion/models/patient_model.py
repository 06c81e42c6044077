"""The whole model of a patient: encode samples, place their tokens on visits, fuse, recur, and read out every task.

Dimension key: B patients, T visits, S samples, K tokens of a sample, M tokens of a visit, D width, O outputs.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fusion.models.base import Encoder, Fusion, Temporal
from fusion.types import PatientBatch, Tokens


def last_seen(present: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Index of the latest visit so far that has the assay; -1 where there was none yet.

    >>> last_seen(torch.tensor([[False, True, False, True]]))
    tensor([[-1,  1,  1,  3]])
    """
    visit_T = torch.arange(present.shape[1], device=present.device)
    return torch.where(present, visit_T, -1).cummax(dim=1).values


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
        modality_dropout: Share of (patient, modality) pairs hidden at each training step, so that the model meets
            every subset of assays that a patient may have.
    """

    def __init__(
        self,
        *,
        encoders: Mapping[str, Encoder],
        fusion: Fusion,
        temporal: Temporal,
        num_outputs: Mapping[str, int],
        dim: int,
        modality_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.modalities = tuple(encoders)
        self.encoders = nn.ModuleDict(encoders)
        self.age = nn.Parameter(torch.zeros(len(self.modalities), dim))
        self.fusion = fusion
        self.temporal = temporal
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.ModuleDict({task: nn.Linear(dim, outputs) for task, outputs in num_outputs.items()})
        self.modality_dropout = modality_dropout
        self.dim = dim

    def place(self, batch: PatientBatch) -> Tokens:
        """Encode all samples and lay their tokens on (patient, visit), carried forward to later visits."""
        b, t = batch.visit_mask.shape
        values, masks, indices = [], [], []
        for index, name in enumerate(self.modalities):
            encoder = self.encoders[name]
            samples = batch.samples[name]
            token_SKD = encoder(samples)
            present_BT = torch.zeros(b * t, dtype=torch.bool, device=token_SKD.device)
            present_BT[samples.slot] = True
            placed = torch.zeros(b * t, *token_SKD.shape[1:], dtype=token_SKD.dtype, device=token_SKD.device)
            placed = placed.index_copy(0, samples.slot, token_SKD).view(b, t, *token_SKD.shape[1:])
            source_BT = last_seen(present_BT.view(b, t))
            seen_BT = (source_BT >= 0) & batch.visit_mask & self._kept(b, batch.day.device)
            source_BT = source_BT.clamp(min=0)
            carried = torch.take_along_dim(placed, source_BT[:, :, None, None], dim=1)
            age_BT = torch.log1p((batch.day - torch.take_along_dim(batch.day, source_BT, dim=1)) / 21.0)
            carried = carried + age_BT[..., None, None] * self.age[index]
            values.append(carried * seen_BT[..., None, None])
            masks.append(seen_BT[..., None].expand(b, t, token_SKD.shape[1]))
            indices.append(torch.full((token_SKD.shape[1],), index, device=token_SKD.device))
        return Tokens(values=torch.cat(values, dim=2), mask=torch.cat(masks, dim=2), modality=torch.cat(indices))

    def _kept(self, num_patients: int, device: torch.device) -> Bool[Tensor, "B 1"]:
        if not self.training or not self.modality_dropout:
            return torch.ones(num_patients, 1, dtype=torch.bool, device=device)
        return torch.rand(num_patients, 1, device=device) >= self.modality_dropout

    def forward(self, batch: PatientBatch) -> dict[str, Float[Tensor, "B T O"]]:
        """Outputs of every task at every visit; what stands at padded visits has no meaning."""
        fused_BTD = self.fusion(self.place(batch))
        state_BTD = self.dropout(self.temporal(fused_BTD, batch.day, batch.visit_mask))
        return {task: head(state_BTD) for task, head in self.heads.items()}
