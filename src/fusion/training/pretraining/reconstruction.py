"""Self-supervised masked reconstruction: a hidden modality is predicted from the others of the same visit.

Dimension key: B patients, T visits, V real visits of all patients, P patients, S samples, R rows of all samples,
F features of a row, M tokens of a visit, N modalities, D width.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fusion.models.layers import segment_sum
from fusion.models.modality_outputs import pooled_tokens
from fusion.models.patient_model import PatientModel, carried
from fusion.training.asked import TotalLoss
from fusion.training.pretraining.base import Pretraining, one_visit_each
from fusion.types import PatientBatch, Samples, Tokens


def mean_rows(samples: Samples) -> Float[Tensor, "S F"]:
    """Mean row of every sample, each feature at mean 0 and variance 1 over samples; constant features are 0.

    >>> mean_rows(Samples(torch.tensor([[1.0], [3.0], [4.0]]), torch.tensor([0, 2, 3]), torch.tensor([0, 1])))
    tensor([[-1.],
            [ 1.]])
    """
    num = samples.slot.shape[0]
    count_S = (samples.offsets[1:] - samples.offsets[:-1]).clamp(min=1)
    mean_SF = segment_sum(samples.rows, samples.sample_of_row, num) / count_S[:, None]
    centred_SF = mean_SF - mean_SF.sum(dim=0) / max(num, 1)
    deviation_F = (centred_SF.square().sum(dim=0) / max(num, 1)).sqrt()
    return torch.where(deviation_F > 1e-6, centred_SF / deviation_F.clamp(min=1e-6), 0.0)


def hide_one(seen: Bool[Tensor, "P N"]) -> Int[Tensor, " P"]:
    """A random modality of each visit among those seen; -1 where less than two were, as nothing else would be left.

    >>> hide_one(torch.tensor([[True, False], [False, False]]))
    tensor([-1, -1])
    """
    key_PN = torch.rand(seen.shape, device=seen.device).masked_fill(~seen, -1.0)
    return torch.where(seen.sum(dim=1) >= 2, key_PN.argmax(dim=1), -1)


class Reconstruction(Pretraining):
    """Encoders and fusion learn to predict one hidden modality of a visit from what else was known by its day.

    At each step every patient enters with one of its visits; one modality is hidden there, and a linear decoder of the
    fused visit predicts the mean row of its latest sample, feature by feature in units of its standard deviation
    (after He et al. 2022, masked autoencoders). Decoders are thrown away. Asks for no outcome. Targets are inputs, not
    tokens: tokens that are predicted by each other may all become the same. Of a column that holds an index, such as
    a variant's gene, the mean says little; it is one column among many.

    Args:
        epochs: Steps.
        lr: Learning rate of AdamW.
        weight_decay: Of AdamW.
    """

    def __init__(self, *, epochs: int = 60, lr: float = 3e-3, weight_decay: float = 0.1) -> None:
        super().__init__(epochs=epochs, lr=lr, weight_decay=weight_decay)

    def pretrain(self, learner: PatientModel, batch: PatientBatch, loss: TotalLoss) -> list[float]:
        """Train encoders, ages and fusion on the mean squared error over patients; 1 is that of knowing nothing."""
        names = learner.modalities
        if len(names) < 2:
            return []  # nothing to predict from
        target = {name: mean_rows(batch.samples[name]) for name in names}
        sample = {name: carried(batch.samples[name].slot, *batch.visit_mask.shape)[0] for name in names}
        widths = {name: values.shape[1] for name, values in target.items()}
        decoders = nn.ModuleDict({name: nn.Linear(learner.dim, width) for name, width in widths.items()})
        for parameter in decoders.to(learner.age.device).parameters():
            nn.init.zeros_(parameter)  # the error starts at that of knowing nothing

        def step() -> Tensor:
            chosen_P = one_visit_each(batch.visit_mask)
            tokens = _at(learner.place(batch), chosen_P)
            hidden_P = hide_one(pooled_tokens(tokens, len(names))[1])
            fused_PD = learner.fusion(_without(tokens, hidden_P))
            total = fused_PD.sum() * 0.0
            for index, name in enumerate(names):
                asked_P = hidden_P == index
                sample_P = sample[name][batch.visit_mask][chosen_P][asked_P]
                error_PF = decoders[name](fused_PD[asked_P]) - target[name][sample_P]
                total = total + error_PF.square().mean(dim=1).sum()
            return total / (hidden_P >= 0).sum().clamp(min=1)

        ages = nn.ParameterList([learner.age])
        return self.minimise([learner.encoders, ages, learner.fusion, decoders], step)


def _at(tokens: Tokens, chosen: Int[Tensor, " P"]) -> Tokens:
    return Tokens(values=tokens.values[chosen], mask=tokens.mask[chosen], modality=tokens.modality)


def _without(tokens: Tokens, hidden: Int[Tensor, " P"]) -> Tokens:
    """The tokens of each visit less those of one modality, as if the assay had not been made."""
    kept_PM = tokens.modality[None] != hidden[:, None]
    return Tokens(values=tokens.values * kept_PM[..., None], mask=tokens.mask & kept_PM, modality=tokens.modality)
