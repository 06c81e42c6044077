"""Mixup of patients: the state of every visit becomes a mean of two patients', and so does their loss.

Dimension key: B patients, T visits, D width.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.types import TensorContainer


@dataclass(frozen=True)
class Mix(TensorContainer):
    """With whom every patient is mixed at a training step, and how much it keeps of itself.

    Attributes:
        partner: Index of the partner of each patient; its own where it is not to be mixed.
        share: Weight of the patient itself, 0.5 to 1, the same for all: a partial likelihood compares patients, so
            it can only be mixed as a whole.
    """

    partner: Int[Tensor, " B"]
    share: Float[Tensor, ""]


def draw_mix(trained: Bool[Tensor, " B"], alpha: float) -> Mix:
    """Partners in a ring of random order, and a share from Beta(alpha, alpha) (Zhang et al. 2018).

    The share is taken from its upper half, as in MixMatch (Berthelot et al. 2019): a patient stays mostly itself.
    Draws come from torch's global generator.

    Args:
        trained: Patients that the learner trains on. Only they are mixed, with each other: through a partner that the
            learner leaves out, its outcome would get in.
        alpha: Above 0; the larger, the more even the mixture.
    """
    device = trained.device
    key_B = torch.where(trained, torch.rand(trained.shape[0], device=device), 2.0)
    order_B = torch.argsort(key_B)  # those trained come first
    place_B = torch.arange(trained.shape[0], device=device)
    next_B = torch.where(place_B + 1 < trained.sum(), place_B + 1, 0)
    partner_B = torch.empty_like(place_B).scatter_(0, order_B, order_B[next_B])
    share = torch.distributions.Beta(alpha, alpha).sample().to(device)
    return Mix(partner=torch.where(trained, partner_B, place_B), share=torch.maximum(share, 1.0 - share))


def both_real(visit_mask: Bool[Tensor, "B T"], mix: Mix) -> Bool[Tensor, "B T"]:
    """Visits that are mixed: the patient has them, and so has its partner."""
    return visit_mask & visit_mask[mix.partner]


def mix_states(state: Float[Tensor, "B T D"], visit_mask: Bool[Tensor, "B T"], mix: Mix) -> Float[Tensor, "B T D"]:
    """`share * state + (1 - share) * state of the partner` where both visits are real; the others stay.

    Visits are matched by their number, so that baseline is mixed with baseline.

    >>> mix = Mix(partner=torch.tensor([1, 0]), share=torch.tensor(0.75))
    >>> mix_states(torch.tensor([[[0.0], [8.0]], [[4.0], [0.0]]]), torch.tensor([[True, True], [True, False]]), mix)
    tensor([[[1.],
             [8.]],
    <BLANKLINE>
            [[3.],
             [0.]]])
    """
    mixed_BTD = mix.share * state + (1.0 - mix.share) * state[mix.partner]
    return torch.where(both_real(visit_mask, mix)[..., None], mixed_BTD, state)
