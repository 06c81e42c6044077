"""Fusion by the plain mean of the tokens that exist: the yardstick for anything cleverer."""

from jaxtyping import Float
from torch import Tensor

from fusion.models.base import Fusion
from fusion.types import Tokens


class MaskedMean(Fusion):
    """Mean of a visit's tokens; zero where there is none.

    Args:
        dim: Width of a token; taken for the contract's sake.
        num_modalities: Number of modalities; likewise.
    """

    def __init__(self, *, dim: int, num_modalities: int) -> None:
        super().__init__()

    def forward(self, tokens: Tokens) -> Float[Tensor, "V D"]:
        mask_VM1 = tokens.mask[..., None]
        return (tokens.values * mask_VM1).sum(dim=1) / mask_VM1.sum(dim=1).clamp(min=1)
