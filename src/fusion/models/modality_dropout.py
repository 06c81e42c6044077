"""Which assays of a patient are hidden at a training step, so that the model meets the subsets that patients have.

Dimension key: B patients, T visits, S samples, N modalities.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from fusion.types import PatientBatch


def presence(batch: PatientBatch, modalities: Sequence[str]) -> Bool[Tensor, "B N"]:
    """True where a patient has at least one sample of a modality, at any visit."""
    present_BN = batch.visit_mask.new_zeros(batch.num_patients, len(modalities))
    for index, name in enumerate(modalities):
        present_BN[batch.samples[name].slot // batch.num_visits, index] = True
    return present_BN


class ModalityDropout(nn.Module, ABC):
    """A way to hide assays of patients while training; in evaluation nothing is hidden.

    Args:
        rate: Share of the draws that hide something; what a draw is, the subclass says.
    """

    def __init__(self, *, rate: float) -> None:
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"modality dropout of {rate}: give a rate from 0 to below 1")
        self.rate = rate

    def forward(self, batch: PatientBatch, modalities: Sequence[str]) -> Iterator[Bool[Tensor, "B 1"]]:
        """One mask per modality, in their order: True where the patient keeps it."""
        if self.training and self.rate:
            yield from self.draw(batch, modalities)
        else:
            for _ in modalities:
                yield torch.ones(batch.num_patients, 1, dtype=torch.bool, device=batch.day.device)

    @abstractmethod
    def draw(self, batch: PatientBatch, modalities: Sequence[str]) -> Iterator[Bool[Tensor, "B 1"]]:
        """Draw what is kept at this step."""


class IndependentDropout(ModalityDropout):
    """Hides each modality of each patient by itself.

    Masks are drawn one by one as they are asked for, between the draws of the encoders.

    Args:
        rate: Share of (patient, modality) pairs hidden at each step.
    """

    def draw(self, batch: PatientBatch, modalities: Sequence[str]) -> Iterator[Bool[Tensor, "B 1"]]:
        """A draw for every modality in turn."""
        for _ in modalities:
            yield torch.rand(batch.num_patients, 1, device=batch.day.device) >= self.rate


class MatchedDropout(ModalityDropout):
    """Hides from a patient what another patient of the batch lacks, so that training meets the missingness seen.

    Assays are missing together: who has no tissue has neither variants nor expression. A patient so keeps of its own
    modalities only those that a random other patient has as well. A modality that a third of the patients lack is
    hidden from others at a third of the rate, one that all have is never hidden, and no subset is made up from rates.
    Where nothing would be left the patient keeps all: a patient of whom nothing is known is not among those seen.

    The patterns are read from the whole batch, also of patients whom a member of the ensemble leaves out. They tell
    which assays were made, and nothing of what these or the outcomes were.

    Args:
        rate: Share of patients that take over the pattern of another at each step.
    """

    def draw(self, batch: PatientBatch, modalities: Sequence[str]) -> Iterator[Bool[Tensor, "B 1"]]:
        """One joint draw of all modalities."""
        num, device = batch.num_patients, batch.day.device
        present_BN = presence(batch, modalities)
        step_B = torch.randint(max(num - 1, 1), (num,), device=device) + 1
        other_BN = present_BN[(torch.arange(num, device=device) + step_B) % max(num, 1)]
        left_B1 = (present_BN & other_BN).any(dim=1, keepdim=True)
        taken_B1 = (torch.rand(num, 1, device=device) < self.rate) & left_B1
        yield from (other_BN | ~taken_B1).split(1, dim=1)
