"""Supervised pretraining of each encoder on its own modality, before fusion is learned.

Dimension key: B patients, T visits, O outputs of a head.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.models.modality_outputs import modality_outputs
from fusion.models.patient_model import PatientModel
from fusion.training.asked import TotalLoss
from fusion.training.auxiliary import auxiliary_loss
from fusion.training.blend import best_scale
from fusion.training.pretraining.base import Pretraining
from fusion.types import PatientBatch


class SingleModality(Pretraining):
    """Each encoder learns the outcomes from its own modality, at the visits that have seen it, then it is frozen.

    Whatever the number of assays, each encoder is then as good as a model of this assay alone, and the few events are
    left for fusion, recurrence and heads ("late fusion" of learned representations). No head is made for the purpose:
    all modalities are read out by the model's own heads. Fusion adds tokens up, so those of different assays must mean
    the same in the same place; frozen behind heads of their own they would not. What several assays know alike would
    then count several times, so the heads are at last scaled to the least loss of the whole model.

    Args:
        epochs: Steps. Few: a stop by held-out loss would need patients of its own.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW.
        freeze: False lets training proper move the encoders on.
    """

    def __init__(self, *, epochs: int = 40, lr: float = 3e-3, weight_decay: float = 0.1, freeze: bool = True) -> None:
        super().__init__(epochs=epochs, lr=lr, weight_decay=weight_decay)
        self.freeze = freeze

    def pretrain(self, learner: PatientModel, batch: PatientBatch, loss: TotalLoss) -> list[float]:
        """Train encoders and heads on the mean over modalities of the loss of each alone."""
        heads = {name: dict(learner.heads.items()) for name in learner.modalities}
        share_B = batch.day.new_ones(batch.num_patients)

        def step() -> Tensor:
            alone = modality_outputs(learner.place(batch), batch.visit_mask, heads)
            return auxiliary_loss(loss, alone, batch, share_B)

        history = self.minimise([learner.encoders, learner.heads], step)
        learner.encoders.requires_grad_(not self.freeze)
        _scale_heads(learner.eval(), batch, loss, share_B)
        return history


@torch.no_grad()
def _scale_heads(learner: PatientModel, batch: PatientBatch, loss: TotalLoss, share: Float[Tensor, " B"]) -> None:
    outputs = learner(batch)
    scale = best_scale(lambda factor: loss({task: factor * output for task, output in outputs.items()}, batch, share))
    for parameter in learner.heads.parameters():
        parameter.mul_(scale)
