"""No recurrence: a visit speaks for itself, from the last value of each assay known by then."""

from jaxtyping import Bool, Float
from torch import Tensor

from fusion.models.base import Temporal


class LastVisit(Temporal):
    """Hands the visits on unchanged.

    Args:
        dim: Width of a visit; taken for the contract's sake.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        return visits
