"""Inner folds of a training part: who is left out by which member, and answered for by it.

Dimension key: B patients, T visits, O outputs of a head, E members.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.data.dataset import select_patients
from fusion.types import PatientBatch

#: Some patients that one member is asked about: its index, their places in the batch, and they.
Part = tuple[int, Int[Tensor, "..."], PatientBatch]
#: Numbers of input that a model is asked about at once, a quarter of a gigabyte in single precision: what it makes of
#: them takes about as much again. Answers to some patients are the same as to all.
MOST_NUMBERS = 1 << 26


def numbers_of(batch: PatientBatch) -> Int[Tensor, " B"]:
    """Numbers of input of each patient, all modalities together."""
    total = torch.zeros(batch.num_patients, dtype=torch.long, device=batch.day.device)
    for samples in batch.samples.values():
        count_S = samples.offsets.diff() * samples.rows.shape[1]
        total = total.index_add(0, samples.slot // max(batch.num_visits, 1), count_S)
    return total


def fits(batch: PatientBatch) -> bool:
    """Whether a model can be asked about all patients at once, as mostly it can."""
    return int(numbers_of(batch).sum()) <= MOST_NUMBERS


def pieces(batch: PatientBatch, places: Int[Tensor, " P"]) -> tuple[Tensor, ...]:
    """Places of patients in groups that a model can be asked about at once."""
    piece_P = (numbers_of(batch)[places].cumsum(0) - 1).clamp(min=0) // MOST_NUMBERS
    return places.split(piece_P.unique_consecutive(return_counts=True)[1].tolist() or [0])


def held_out_parts(batch: PatientBatch, inner_fold: Int[Tensor, " B"], num_members: int) -> Iterator[Part]:
    """The patients that each member leaves out."""
    for index in range(num_members):
        for some in pieces(batch, torch.nonzero(inner_fold == index).squeeze(1)):
            yield index, some, select_patients(batch, some)


def outputs_of_parts(
    members: nn.ModuleList, parts: Iterable[Part], num_patients: int
) -> dict[str, Float[Tensor, "B T O"]]:
    """Outputs of every patient by the member that is asked about it; zero for patients of no part."""
    total: dict[str, Tensor] = {}
    for index, places, part in parts:
        for task, output in members[index](part).items():
            whole = total.get(task, output.new_zeros(num_patients, *output.shape[1:]))
            total[task] = whole.index_copy(0, places, output)
    return total


def held_out_outputs(
    members: nn.ModuleList, batch: PatientBatch, inner_fold: Int[Tensor, " B"]
) -> dict[str, Float[Tensor, "B T O"]]:
    """Outputs of every patient by the member that left it out; zero for patients whom no member left out."""
    return outputs_of_parts(members, held_out_parts(batch, inner_fold, len(members)), batch.num_patients)


def outputs_of_all(members: nn.ModuleList, batch: PatientBatch) -> list[dict[str, Float[Tensor, "B T O"]]]:
    """Outputs of every patient by each member."""
    if fits(batch):
        return [member(batch) for member in members]
    places = pieces(batch, torch.arange(batch.num_patients, device=batch.day.device))
    return [
        outputs_of_parts(
            nn.ModuleList([member]), ((0, some, select_patients(batch, some)) for some in places), batch.num_patients
        )
        for member in members
    ]


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
