"""Late fusion: a non-linear network for each modality, and a plain sum of what they say.

Dimension key: V visits, A modalities, D width, H hidden.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.base import Fusion
from fusion.models.dropout import Dropout
from fusion.models.layers import GroupLinear, group_mean, group_present
from fusion.types import Tokens


class Late(Fusion):
    """Sum over modalities of `x + W2 selu(W1 x)` of their mean tokens, with weights of each modality's own.

    One modality's non-linearity never meets another's: log hazards of assays add up, and no interaction can be learned.
    The yardstick for every fusion that claims one. It differs from separate models whose predictions are averaged in
    that all modalities are fitted together. W2 starts at zero: a fresh network is the sum over modalities.

    Args:
        dim: Width of a token.
        num_modalities: Number of modalities of the model.
        hidden: Width inside each modality's MLP.
        dropout: Inside the MLPs.
    """

    def __init__(self, *, dim: int, num_modalities: int, hidden: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.num_modalities = num_modalities
        self.inner = GroupLinear(num_groups=num_modalities, num_in=dim, num_out=hidden)
        self.outer = GroupLinear(num_groups=num_modalities, num_in=hidden, num_out=dim)
        self.dropout = Dropout(dropout)
        nn.init.zeros_(self.outer.weight)

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        mean_VAD = group_mean(tokens.values, tokens.mask, tokens.modality, self.num_modalities)
        present_VA = group_present(tokens.mask, tokens.modality, self.num_modalities)
        said_VAD = mean_VAD + self.outer(self.dropout(functional.selu(self.inner(mean_VAD))))
        return (said_VAD * present_VA[..., None]).sum(dim=1)
