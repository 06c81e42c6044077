"""No recurrence: a visit beside its change from the first visit, from the one before, and from its extremes so far.

Dimension key: B patients, T visits, D width, C kinds of change times D.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.models.base import Temporal
from fusion.models.dropout import Dropout


def changes(visits: Float[Tensor, "B T D"]) -> Float[Tensor, "B T 4*D"]:
    """Difference of each visit to the first, to the one before, to the least and to the greatest so far.

    >>> changes(torch.tensor([[[5.0], [2.0], [4.0]]]))
    tensor([[[ 0.,  0.,  0.,  0.],
             [-3., -3.,  0., -3.],
             [-1.,  2.,  2., -1.]]])
    """
    first_B1D = visits[:, :1]
    before_BTD = torch.cat([first_B1D, visits[:, :-1]], dim=1)
    least_BTD, greatest_BTD = visits.cummin(dim=1).values, visits.cummax(dim=1).values
    return torch.cat([visits - past for past in (first_B1D, before_BTD, least_BTD, greatest_BTD)], dim=-1)


class ChangeFromBaseline(Temporal):
    """`visit + W changes(visit)`; W starts at zero, and a first visit is handed on unchanged.

    The changes by which clinicians read a course (from baseline, from nadir, as in RECIST; Eisenhauer et al. 2009),
    here of the fused visit. Linear in them, blind to days: the plainest module that knows the past.

    Args:
        dim: Width of a visit.
        dropout: On the changes.
    """

    def __init__(self, *, dim: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(4 * dim, dim, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        return visits + self.out(self.dropout(changes(visits)))
