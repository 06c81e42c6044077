"""The contract of pretraining: every learner, alone, on the patients that it does not leave out.

Dimension key: B patients, T visits, V real visits of all patients, P patients with a visit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from fusion.data.dataset import select_patients
from fusion.models.patient_model import PatientModel
from fusion.training.asked import TotalLoss
from fusion.types import PatientBatch


class Pretraining(ABC):
    """Runs once, before training proper, and leaves the learners with other weights, some of them maybe frozen.

    A learner is shown a batch of its own, without the patients that it leaves out: their samples do not reach it
    either. What happens depends on seed, weights and these patients alone, so that a resumed fold may run it again to
    know which weights are frozen. Frozen are parameters with `requires_grad` False, which optimizers pass over.

    Args:
        epochs: Steps; each takes all patients at once.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW.
    """

    def __init__(self, *, epochs: int, lr: float = 3e-3, weight_decay: float = 0.1) -> None:
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay

    def __call__(
        self, learners: nn.ModuleList, batch: PatientBatch, loss: TotalLoss, inner_fold: Int[Tensor, " B"], *, seed: int
    ) -> list[list[float]]:
        """Pretrain every learner; learner m does not see the patients of inner fold m.

        Args:
            learners: Patient models, changed in place.
            batch: All patients of the training part, on the CPU.
            loss: The loss of all tasks, ready for use (`Ensemble.prepare`).
            inner_fold: Inner fold of each patient.
            seed: Seed of the fold; torch's global generator on the CPU is left as it was.

        Returns:
            What was minimised, for every learner and epoch.
        """
        history = []
        for index, learner in enumerate(cast(Iterable[PatientModel], learners)):
            mine = select_patients(batch, torch.nonzero(inner_fold.cpu() != index).squeeze(1))
            was_training = learner.training
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(np.random.SeedSequence([seed, index]).generate_state(1)[0]))
                learner.train()
                learner.modality_dropout.eval()  # what is to be hidden, the subclass says
                history.append(self.pretrain(learner, mine.to(learner.age.device), loss))
            learner.zero_grad()
            learner.train(was_training)
        return history

    @abstractmethod
    def pretrain(self, learner: PatientModel, batch: PatientBatch, loss: TotalLoss) -> list[float]:
        """Pretrain one learner on its own patients; what was minimised, for every epoch."""

    def minimise(self, modules: Iterable[nn.Module], step: Callable[[], Tensor]) -> list[float]:
        """Take one step per epoch with the parameters of these modules; those of others stay."""
        parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay)
        losses = []
        for _ in range(self.epochs):
            optimizer.zero_grad()
            value = step()
            value.backward()
            optimizer.step()
            losses.append(value.detach())
        return torch.stack(losses).tolist() if losses else []


class NoPretraining(Pretraining):
    """Leaves the learners as they are."""

    def __init__(self) -> None:
        super().__init__(epochs=0)

    def __call__(
        self, learners: nn.ModuleList, batch: PatientBatch, loss: TotalLoss, inner_fold: Int[Tensor, " B"], *, seed: int
    ) -> list[list[float]]:
        """Nothing to do, and no patient is copied for it: slides may be larger than memory."""
        return [[] for _ in learners]

    def pretrain(self, learner: PatientModel, batch: PatientBatch, loss: TotalLoss) -> list[float]:
        """Nothing to do."""
        return []


def one_visit_each(visit_mask: Bool[Tensor, "B T"]) -> Int[Tensor, " P"]:
    """A random real visit of every patient that has one, as its place among all real visits.

    One visit each: visits of a patient share their tissue, and a patient with many must not weigh more.

    >>> one_visit_each(torch.tensor([[True, False], [False, False], [True, False]]))
    tensor([0, 1])
    """
    key_BT = torch.rand(visit_mask.shape, device=visit_mask.device).masked_fill(~visit_mask, -1.0)
    place_BT = visit_mask.flatten().cumsum(0).view_as(visit_mask) - 1
    chosen_B = place_BT.gather(1, key_BT.argmax(dim=1, keepdim=True)).squeeze(1)
    return chosen_B[visit_mask.any(dim=1)]
