"""Encoder of a bag in which patches see each other, at a cost linear in their number (Transformer MIL).

After TransMIL (Shao et al. 2021), with the linear attention of Katharopoulos et al. (2020) in place of Nystrom's.

Dimension key: R patches, F features of a patch, S samples, H heads, W width of a head, D width, Q harmonics.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.bag_rows import RowDropout, segment_apply, segment_outer
from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP, segment_softmax, segment_sum
from fusion.types import Samples

#: Waves over half a slide by which a place is told.
HARMONICS = (0.5, 1.0, 2.0, 4.0)


class LinearAttention(nn.Module):
    """Self-attention within each sample with the kernel `elu(x) + 1`; starts by adding nothing.

    The sum over keys of key times value is made once per sample, and every patch reads from it.
    """

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}; change one of them")
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim, eps=1e-2)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, patch_RD: Float[Tensor, "R D"], segment_R: Int[Tensor, " R"], count: int) -> Float[Tensor, "R D"]:
        query, key, value = self.query_key_value(self.norm(patch_RD)).unflatten(1, (3, self.num_heads, -1)).unbind(1)
        query_RHW, key_RHW = functional.elu(query) + 1, functional.elu(key) + 1
        # the one beside the value sums to what the reading is divided by
        value_RHW = torch.cat([value, torch.ones_like(value[..., :1])], dim=-1)
        memory_SHWW = segment_outer(key_RHW, value_RHW, segment_R, count)
        read_RHW = segment_apply(query_RHW, memory_SHWW, segment_R)
        return self.out((read_RHW[..., :-1] / read_RHW[..., -1:].clamp(min=1e-6)).flatten(1))


class MILTransformerEncoder(Encoder):
    """Projected patches, layers of linear attention and MLP, and attention pooling; begins as the mean patch.

    Args:
        num_features: Width of a row: a patch embedding, then its coordinates if there are any.
        dim: Width of a token.
        coordinate_columns: Last columns of a row that are the place of the patch (`coordinates: true` of the modality
            Histology gives 2); they are told by sines and cosines and enter as a position.
        num_layers: Layers of attention.
        num_heads: Heads of each.
        hidden: Width inside the MLPs.
        dropout: Inside the MLPs.
        patch_dropout: Share of patches left out at each training step.
    """

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        coordinate_columns: int = 0,
        num_layers: int = 1,
        num_heads: int = 4,
        hidden: int = 16,
        dropout: float = 0.2,
        patch_dropout: float = 0.75,
    ) -> None:
        super().__init__()
        self.num_embedded = num_features - coordinate_columns
        self.drop = RowDropout(patch_dropout)
        self.project = nn.Linear(self.num_embedded, dim)
        self.position = (
            nn.Linear(2 * len(HARMONICS) * coordinate_columns, dim, bias=False) if coordinate_columns else None
        )
        self.attention = nn.ModuleList(LinearAttention(dim=dim, num_heads=num_heads) for _ in range(num_layers))
        self.mlps = nn.ModuleList(ResidualMLP(dim=dim, hidden=hidden, dropout=dropout) for _ in range(num_layers))
        self.score = nn.Linear(dim, 1, bias=False)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.score.weight)
        if self.position is not None:
            nn.init.zeros_(self.position.weight)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        rows_RF, segment_R = self.drop(samples)
        count = samples.slot.shape[0]
        patch_RD = self.project(rows_RF[:, : self.num_embedded])
        if self.position is not None:
            patch_RD = patch_RD + self.position(waves(rows_RF[:, self.num_embedded :]))
        for attention, mlp in zip(self.attention, self.mlps, strict=True):
            patch_RD = mlp(patch_RD + attention(patch_RD, segment_R, count))
        weight_R1 = segment_softmax(self.score(patch_RD), segment_R, count)
        return self.mlp(segment_sum(weight_R1 * patch_RD, segment_R, count))[:, None]


def waves(place: Float[Tensor, "R P"]) -> Float[Tensor, "R Q"]:
    """Sines and cosines of places between -1 and 1, in waves of twice a slide's breadth down to a quarter of it.

    >>> waves(torch.tensor([[0.0]]))
    tensor([[0., 0., 0., 0., 1., 1., 1., 1.]])
    """
    angle_RPQ = torch.pi * place[..., None] * place.new_tensor(HARMONICS)
    return torch.cat([angle_RPQ.sin(), angle_RPQ.cos()], dim=-1).flatten(1)
