"""Exact Shapley value of each modality at every visit, over all coalitions, through the model's own masks.

Dimension key: B held-out patients, T visits, M modalities, C = 2^M coalitions.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.explain.pool import HIDDEN, Part, Pool
from fusion.explain.shapley import coalitions, shapley_values


@dataclass(frozen=True)
class ModalityValues:
    """Contributions of the modalities to the score of one task.

    Attributes:
        base: Score when every modality is hidden.
        output: Score with all that is known.
        contribution: Shapley values; they add up to `output - base`, and are zero where nothing was seen.
    """

    base: Float[Tensor, "B T"]
    output: Float[Tensor, "B T"]
    contribution: Float[Tensor, "M B T"]


def modality_values(pool: Pool, patients: Int[Tensor, " B"]) -> dict[str, ModalityValues]:
    """Shapley values of all modalities, by task.

    A modality is hidden by taking all its samples away, as if it had never been measured; the model then works as it
    does for a patient without it. One forward pass per coalition, for all patients.

    Args:
        pool: Where the patients are.
        patients: Their places.
    """
    member_CM = coalitions(len(pool.modalities))
    num_coalitions, num_patients = len(member_CM), len(patients)
    recipient = patients.repeat(num_coalitions)
    present = member_CM.repeat_interleave(num_patients, dim=0)
    source = {name: torch.where(present[:, place], recipient, HIDDEN) for place, name in enumerate(pool.modalities)}
    seen = torch.stack([pool.seen(name)[patients] for name in pool.modalities])
    found = {}
    for task, answer in pool.answers(Part(recipient=recipient, source=source)).items():
        worth = answer.score.double().view(num_coalitions, num_patients, -1)
        found[task] = _values(worth, seen)
    return found


def _values(worth: Float[Tensor, "C B T"], seen: Bool[Tensor, "M B T"]) -> ModalityValues:
    value = shapley_values(worth)
    # what was not seen moves nothing but the last bits of a sum
    return ModalityValues(base=worth[0], output=worth[-1], contribution=torch.where(seen, value, 0.0))
