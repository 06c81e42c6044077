"""What each visit's new information moved, and what the mere passage of time did.

From one visit to the next the score changes for two reasons. Time has passed: what was known is older, and the patient
is still at risk. And something new is known. With the samples of the visit taken away, the model says what it would
have said on that day without them; the step from the visit before to there is `time`, the step from there to what is
said is shared among the assays of the visit by exact Shapley values. So the rows of a patient add up to the trace.

Dimension key: B patients, T visits, N patients put together, M modalities.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from fusion.explain.modality_values import ModalityValues
from fusion.explain.pool import Part, Pool
from fusion.explain.shapley import coalitions, shapley_values

#: What stands in place of a modality for the passage of time.
TIME = "time"


@dataclass(frozen=True)
class VisitStep:
    """What one source of change moved at one visit.

    Attributes:
        patient: Place of the patient in the list that was asked for.
        visit: The visit.
        modality: Modality of the new samples, or `TIME`.
        contribution: By how much it moved the score.
        before: Score at the visit before; at the first visit that of a patient of whom nothing is known.
        after: Score at this visit.
    """

    patient: int
    visit: int
    modality: str
    contribution: float
    before: float
    after: float


@dataclass(frozen=True)
class _Visit:
    """A visit of a patient with something new, and where its coalitions lie among the patients put together."""

    patient: int
    visit: int
    new: tuple[str, ...]
    start: int


def visit_values(
    pool: Pool, patients: Int[Tensor, " B"], first: Mapping[str, ModalityValues]
) -> dict[str, list[VisitStep]]:
    """Steps of every visit, by task; those of a patient add up to the last score less that of the empty patient.

    Args:
        pool: Where the patients are.
        patients: Their places.
        first: `modality_values` of these patients, which are the steps of the first visit.
    """
    visits, part = _plan(pool, patients)
    answers = pool.answers(part) if len(part) else {}
    steps: dict[str, list[VisitStep]] = {}
    for task, values in first.items():
        steps[task] = _first_steps(pool, patients, values)
        score = answers[task].score.double() if task in answers else torch.zeros(0)
        for each in visits:
            worth = score[each.start : each.start + 2 ** len(each.new), each.visit]
            before = float(values.output[each.patient, each.visit - 1])
            after = float(values.output[each.patient, each.visit])
            moved = {TIME: float(worth[0]) - before, **dict(zip(each.new, shapley_values(worth).tolist(), strict=True))}
            steps[task] += [VisitStep(each.patient, each.visit, n, value, before, after) for n, value in moved.items()]
        steps[task].sort(key=lambda step: (step.patient, step.visit))
    return steps


def _first_steps(pool: Pool, patients: Int[Tensor, " B"], values: ModalityValues) -> list[VisitStep]:
    steps = []
    for place in range(len(patients)):
        before, after = float(values.base[place, 0]), float(values.output[place, 0])
        for number, name in enumerate(pool.modalities):
            if bool(pool.seen(name)[patients[place], 0]):
                moved = float(values.contribution[number, place, 0])
                steps.append(VisitStep(place, 0, name, moved, before, after))
    return steps


def _plan(pool: Pool, patients: Int[Tensor, " B"]) -> tuple[list[_Visit], Part]:
    """Every later visit with all coalitions of its new samples, as one list of patients to put together."""
    visits: list[_Visit] = []
    recipient: list[int] = []
    asked: list[int] = []
    dropped: dict[str, list[int]] = {name: [] for name in pool.modalities}
    count_B = pool.batch.visit_mask.sum(dim=1).tolist()
    for place, patient in enumerate(patients.tolist()):
        for visit in range(1, int(count_B[patient])):
            new = tuple(name for name in pool.modalities if int(pool.sample_of[name][patient, visit]) >= 0)
            visits.append(_Visit(place, visit, new, len(recipient)))
            for member in coalitions(len(new)).tolist():
                recipient.append(patient)
                asked.append(visit + 1)
                kept = dict(zip(new, member, strict=True))
                for name in pool.modalities:
                    dropped[name].append(visit if not kept.get(name, True) else -1)
    return visits, Part(
        recipient=torch.tensor(recipient, dtype=torch.int64),
        dropped={name: torch.tensor(value, dtype=torch.int64) for name, value in dropped.items()},
        visits=torch.tensor(asked, dtype=torch.int64),
    )
