"""What each modality says by itself: outputs of every task from the tokens of one modality alone.

Dimension key: B patients, T visits, V real visits of all patients, M tokens of a visit, N modalities, D width,
O outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.layers import read_exactly, real_visits, spread
from fusion.types import TensorContainer, Tokens


@dataclass(frozen=True)
class ModalityOutputs(TensorContainer):
    """Outputs of every modality alone.

    Attributes:
        outputs: By modality and task, "B T O"; zero at visits that have not seen the modality.
        seen: By modality, True at real visits that have seen it, and from which it is not hidden at this step.
    """

    outputs: Mapping[str, Mapping[str, Float[Tensor, "B T O"]]]
    seen: Mapping[str, Bool[Tensor, "B T"]]


def pooled_tokens(tokens: Tokens, num_modalities: int) -> tuple[Float[Tensor, "V N D"], Bool[Tensor, "V N"]]:
    """Sum of each modality's tokens at every visit, and whether there is any.

    >>> tokens = Tokens(torch.ones(1, 3, 1), torch.tensor([[True, True, False]]), torch.tensor([0, 0, 1]))
    >>> pooled_tokens(tokens, 2)
    (tensor([[[2.],
             [0.]]]), tensor([[ True, False]]))
    """
    own_MN = functional.one_hot(tokens.modality, num_modalities).to(tokens.values)
    mask_VM = tokens.mask.to(tokens.values)
    pooled_VND = torch.einsum("vmd,vm,mn->vnd", tokens.values, mask_VM, own_MN)
    return pooled_VND, torch.einsum("vm,mn->vn", mask_VM, own_MN) > 0


def modality_outputs(
    tokens: Tokens, visit_mask: Bool[Tensor, "B T"], heads: Mapping[str, Mapping[str, nn.Module]]
) -> ModalityOutputs:
    """Read every task out of each modality's tokens.

    Args:
        tokens: Tokens of the real visits.
        visit_mask: True where a visit is real.
        heads: Head by modality, in the order of the modality index, and task.
    """
    at_visits = partial(spread, place=real_visits(visit_mask), shape=visit_mask.shape)
    pooled_VND, seen_VN = pooled_tokens(tokens, len(heads))
    outputs, seen = {}, {}
    for index, (name, by_task) in enumerate(heads.items()):
        seen_V = seen_VN[:, index]
        seen[name] = at_visits(seen_V)
        outputs[name] = {
            task: at_visits(read_exactly(head, pooled_VND[:, index]) * seen_V[:, None])
            for task, head in by_task.items()
        }
    return ModalityOutputs(outputs=outputs, seen=seen)
