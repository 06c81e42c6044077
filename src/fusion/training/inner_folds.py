"""Inner folds of a training part: who is left out by which member, and answered for by it.

Dimension key: B patients, T visits, O outputs of a head, E members.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.data.dataset import select_patients
from fusion.types import PatientBatch

#: Of each member the places of the patients that it leaves out, and these.
HeldOutParts = Sequence[tuple[Int[Tensor, "..."], PatientBatch]]


def held_out_parts(batch: PatientBatch, inner_fold: Int[Tensor, " B"], num_members: int) -> HeldOutParts:
    """The patients that each member leaves out."""
    places = [torch.nonzero(inner_fold == index).squeeze(1) for index in range(num_members)]
    return [(mine, select_patients(batch, mine)) for mine in places]


def outputs_of_parts(
    members: nn.ModuleList, parts: HeldOutParts, num_patients: int
) -> dict[str, Float[Tensor, "B T O"]]:
    """Outputs of every patient by the member that left it out; zero for patients whom no member left out."""
    total: dict[str, Tensor] = {}
    for member, (mine, part) in zip(members, parts, strict=True):
        for task, output in member(part).items():
            whole = total.get(task, output.new_zeros(num_patients, *output.shape[1:]))
            total[task] = whole.index_copy(0, mine, output)
    return total


def held_out_outputs(
    members: nn.ModuleList, batch: PatientBatch, inner_fold: Int[Tensor, " B"]
) -> dict[str, Float[Tensor, "B T O"]]:
    """As `outputs_of_parts`, where it is asked once."""
    return outputs_of_parts(members, held_out_parts(batch, inner_fold, len(members)), batch.num_patients)


def training_parts(batch: PatientBatch, inner_fold: Int[Tensor, " B"], num_members: int) -> tuple[PatientBatch, ...]:
    """The patients that each member trains on."""
    kept = [torch.nonzero(inner_fold != index).squeeze(1) for index in range(num_members)]
    return tuple(select_patients(batch, mine) for mine in kept)


def training_shares(inner_fold: Int[Tensor, " B"], num_members: int) -> Float[Tensor, "E B"]:
    """1 where a member trains on a patient, 0 where it leaves it out.

    >>> training_shares(torch.tensor([0, 1, 2]), 2)
    tensor([[0., 1., 1.],
            [1., 0., 1.]])
    """
    return (inner_fold != torch.arange(num_members, device=inner_fold.device)[:, None]).float()


def num_inner_folds(num_members: int) -> int:
    """Inner folds of a training part: one for each member, and at least five."""
    return max(num_members, 5)


def deal_inner_folds(strata: Sequence[str], order: Sequence[str], val: Sequence[bool], num_members: int) -> list[int]:
    """Inner fold of each patient of a training part, balanced over strata.

    Args:
        strata: Stratum of each patient.
        order: A key to shuffle by, e.g. a hash of the id: the folds do not depend on the order of a file.
        val: True for the patients of the split's validation part; they are inner fold 0.
        num_members: Members of the ensemble. Few members still leave only a share of the patients out each: the
            others are dealt over at least four more inner folds.
    """
    folds = num_inner_folds(num_members) - 1
    inner = [0] * len(strata)
    rest = sorted((i for i in range(len(strata)) if not val[i]), key=lambda i: (strata[i], order[i]))
    for place, patient in enumerate(rest):
        inner[patient] = 1 + place % folds
    return inner
