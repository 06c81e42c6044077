"""Auxiliary loss of each modality by itself, so that none falls silent beside one that learns faster.

Trained on the sum alone, the encoder of the assay that learns first takes the gradient of the others (Wang et al.
2020, "What makes training multi-modal classification networks hard?"; Peng et al. 2022, OGM-GE). A loss on the outputs
of each modality alone gives every encoder a gradient of its own.

Dimension key: B patients, T visits, O outputs of a head.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.models.modality_outputs import ModalityOutputs
from fusion.training.asked import TotalLoss, ask_only
from fusion.types import PatientBatch


def auxiliary_loss(
    loss: TotalLoss, alone: ModalityOutputs, batch: PatientBatch, share: Float[Tensor, " B"]
) -> Float[Tensor, ""]:
    """Mean over modalities of the loss of each alone, at the visits that have seen it.

    Patients without the assay are in no risk set of it: nothing is said of them. A modality that no visit of the batch
    has seen adds a zero that is connected to the graph.

    Args:
        loss: The loss of all tasks.
        alone: Outputs of every modality alone.
        batch: The patients with their targets.
        share: Share of each patient; 0 for those that the learner leaves out.
    """
    losses = [loss(outputs, ask_only(batch, alone.seen[name]), share) for name, outputs in alone.outputs.items()]
    return torch.stack(losses).mean()
