"""The loss of mixed patients: the same mixture of the loss against their own outcomes and against their partners'.

Dimension key: B patients, T visits, O outputs of a head.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.data.dataset import select_target
from fusion.models.mixup import Mix, both_real
from fusion.training.asked import TotalLoss, ask_only
from fusion.types import PatientBatch


def partners_of(batch: PatientBatch, mix: Mix) -> PatientBatch:
    """What the loss is to see of the partners: days and targets, at the visits that were mixed; no ids, no samples."""
    targets = {task: select_target(target, mix.partner) for task, target in batch.targets.items()}
    visit_mask, day = batch.visit_mask[mix.partner], batch.day[mix.partner]
    partners = PatientBatch(patient_ids=(), day=day, visit_mask=visit_mask, samples={}, targets=targets)
    return ask_only(partners, both_real(batch.visit_mask, mix))


def mixed_loss(
    loss: TotalLoss,
    outputs: Mapping[str, Float[Tensor, "B T O"]],
    batch: PatientBatch,
    mix: Mix,
    share: Float[Tensor, " B"],
) -> Float[Tensor, ""]:
    """`mix.share * loss(own outcomes) + (1 - mix.share) * loss(partners' outcomes)` (Zhang et al. 2018).

    The outputs are those of `model(batch, mix=mix)`. Against the partners' outcomes, visits weigh as the partners' do.
    A visit that the partner does not have was not mixed; it counts in the first loss alone.

    Args:
        loss: The loss of all tasks.
        outputs: Outputs of mixed states.
        batch: The patients with their targets.
        mix: How the states were mixed.
        share: Share of each patient; 0 for those that the learner leaves out, whose outcome then enters neither loss.
    """
    partners_share = torch.where(share > 0, share[mix.partner], 0.0)
    partners = loss(outputs, partners_of(batch, mix), partners_share)
    return mix.share * loss(outputs, batch, share) + (1.0 - mix.share) * partners
