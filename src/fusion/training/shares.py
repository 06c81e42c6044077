"""What each of several processes holds of a batch: patients with their samples, and of all others the outcomes alone.

Dimension key: B patients of the batch, P those of a rank, C chosen ones, N those that a member is asked about, E
members.
"""

import heapq
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from fusion.data.dataset import select_patients
from fusion.types import PatientBatch, TensorContainer


@dataclass(frozen=True)
class Share(TensorContainer):
    """What one rank has of a batch.

    Attributes:
        mine: The patients of this rank, with their samples.
        everyone: All patients of the batch, with their targets and without samples.
        place: Where in `everyone` each patient of `mine` is, increasing.
    """

    mine: PatientBatch
    everyone: PatientBatch
    place: Int[Tensor, " P"]

    def pick(self, chosen: Int[Tensor, " C"]) -> "Share":
        """The same of some patients of the batch; a rank may have none of them."""
        order = self.place.new_full((self.everyone.num_patients,), -1)
        order[self.place] = torch.arange(len(self.place), device=order.device)
        held = order[chosen.to(order.device)]
        mine = select_patients(self.mine, held[held >= 0])
        everyone = select_patients(self.everyone, chosen)
        return Share(mine=mine, everyone=everyone, place=torch.nonzero(held >= 0).squeeze(1))


@dataclass(frozen=True)
class Part(TensorContainer):
    """Patients of a rank that one member is asked about, and where in the whole batch they are."""

    batch: PatientBatch
    place: Int[Tensor, " N"]


def parts_of(share: Share, asked: Bool[Tensor, "E B"]) -> list[Part]:
    """Of the patients of a rank those whom each member is asked about."""
    held = [torch.nonzero(asked_B[share.place]).squeeze(1) for asked_B in asked]
    return [Part(select_patients(share.mine, places), share.place[places]) for places in held]


def share_out(batch: PatientBatch, ranks: int) -> list[Share]:
    """A share of the batch for each of some ranks, alike in rows of samples."""
    rank_B = deal_patients(batch, ranks)
    everyone = replace(batch, samples={}, summary=None)
    places = [torch.nonzero(rank_B == rank).squeeze(1) for rank in range(ranks)]
    bare = replace(batch, targets={}, summary=None, offset={})
    return [Share(mine=select_patients(bare, place), everyone=everyone, place=place) for place in places]


def deal_patients(batch: PatientBatch, ranks: int) -> Int[Tensor, " B"]:
    """Rank of each patient: the largest first, each to the rank that has the fewest rows so far."""
    rows_B = batch.visit_mask.sum(dim=1)
    for samples in batch.samples.values():
        rows_B = rows_B.index_add(0, samples.slot // batch.num_visits, samples.offsets.diff())
    rank_B = torch.zeros_like(rows_B)
    loads = [(0, rank) for rank in range(ranks)]
    for patient in torch.argsort(rows_B, descending=True, stable=True).tolist():
        load, rank = heapq.heappop(loads)
        rank_B[patient] = rank
        heapq.heappush(loads, (load + int(rows_B[patient]), rank))
    return rank_B
