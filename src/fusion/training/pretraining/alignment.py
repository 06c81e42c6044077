"""Self-supervised alignment: tokens of one patient's assays lie closer together than those of two patients.

Dimension key: V real visits of all patients, P patients, N modalities, D width, J width of the projection.
"""

from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.modality_outputs import pooled_tokens
from fusion.models.patient_model import PatientModel
from fusion.training.asked import TotalLoss
from fusion.training.pretraining.base import Pretraining, one_visit_each
from fusion.types import PatientBatch


def info_nce(first: Float[Tensor, "P J"], second: Float[Tensor, "P J"], temperature: float) -> Float[Tensor, ""]:
    """Cross-entropy of finding a patient's partner among all by cosine, in both directions (CLIP, Radford et al. 2021).

    >>> info_nce(torch.eye(2), torch.eye(2), temperature=1.0)
    tensor(0.3133)
    >>> info_nce(torch.eye(2), torch.ones(2, 2), temperature=1.0)
    tensor(0.6931)
    """
    if not len(first):
        return (first.sum() + second.sum()) * 0.0
    cosine_PP = torch.einsum("pj,qj->pq", functional.normalize(first, dim=1), functional.normalize(second, dim=1))
    logits_PP, own_P = cosine_PP / temperature, torch.arange(len(first), device=first.device)
    return (functional.cross_entropy(logits_PP, own_P) + functional.cross_entropy(logits_PP.T, own_P)) / 2.0


class Alignment(Pretraining):
    """Aligns the encoders of every pair of modalities, by InfoNCE over the patients that have both at a visit.

    Asks for no outcome, so patients whose outcome is not known help as well. At each step every patient enters with
    one of its visits, which sees the latest sample of each assay. What assays share is learned, what one alone knows
    is not: best where assays are noisy views of the same disease.

    Tokens are compared in one projection for all modalities, thrown away afterwards: fusion adds tokens up, so they
    are aligned in the space that they are added in.

    Args:
        epochs: Steps.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW.
        projection: Width in which tokens are compared.
        temperature: Of the cosines; lower asks more of close neighbours.
    """

    def __init__(
        self,
        *,
        epochs: int = 60,
        lr: float = 3e-3,
        weight_decay: float = 0.1,
        projection: int = 16,
        temperature: float = 0.2,
    ) -> None:
        super().__init__(epochs=epochs, lr=lr, weight_decay=weight_decay)
        self.projection = projection
        self.temperature = temperature

    def pretrain(self, learner: PatientModel, batch: PatientBatch, loss: TotalLoss) -> list[float]:
        """Train the encoders on the mean InfoNCE of all pairs, each weighing as the patients that have it."""
        num = len(learner.modalities)
        if num < 2:
            return []  # nothing to align with
        project = nn.Linear(learner.dim, self.projection).to(learner.age.device)

        def step() -> Tensor:
            pooled_VND, seen_VN = pooled_tokens(learner.place(batch), num)
            chosen_P = one_visit_each(batch.visit_mask)
            view_PNJ, seen_PN = project(pooled_VND[chosen_P]), seen_VN[chosen_P]
            total, pairs = view_PNJ.sum() * 0.0, 0
            for a, b in combinations(range(num), 2):
                both_P = seen_PN[:, a] & seen_PN[:, b]
                count = int(both_P.sum())
                total = total + count * info_nce(view_PNJ[both_P, a], view_PNJ[both_P, b], self.temperature)
                pairs += count
            return total / max(pairs, 1)

        return self.minimise([learner.encoders, project], step)
