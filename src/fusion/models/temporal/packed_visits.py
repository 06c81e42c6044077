"""Real visits of all patients step by step, those with most visits first: a recurrence then computes no padding.

Dimension key: B patients, T visits, V real visits, in the order of steps and within a step of patients.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.models.layers import spread


@dataclass(frozen=True)
class PackedVisits:
    """Where each real visit lies, and how many patients have one at each step.

    Attributes:
        shape: Patients and visits.
        place: Place of each packed visit among the B * T.
        sizes: Patients at each step, never increasing; those of a step are the first of the step before.
    """

    shape: tuple[int, int]
    place: Int[Tensor, " V"]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, mask: Bool[Tensor, "B T"]) -> "PackedVisits":
        """Packing of the visits that are real; of every patient these come first.

        >>> PackedVisits.of(torch.tensor([[True, False], [True, True]]))
        PackedVisits(shape=(2, 2), place=tensor([2, 0, 3]), sizes=(2, 1))
        """
        b, t = mask.shape
        order_B = mask.sum(dim=1).argsort(descending=True, stable=True)
        place_TB = order_B * t + torch.arange(t, device=mask.device)[:, None]
        return cls(shape=(b, t), place=place_TB[mask[order_B].T], sizes=tuple(mask.sum(dim=0).tolist()))

    def pack(self, values: Float[Tensor, "B T E"]) -> Float[Tensor, "V E"]:
        """Values of the real visits."""
        return values.flatten(0, 1)[self.place]

    def steps(self, values: Float[Tensor, "V E"]) -> tuple[Tensor, ...]:
        """Values by step; a step that nobody reaches is left out."""
        return values.split([size for size in self.sizes if size])

    def unpack(self, values: Float[Tensor, "V E"]) -> Float[Tensor, "B T E"]:
        """Values at their patients and visits, zero at padded ones."""
        return spread(values, self.place, self.shape)
