"""Encoder of many regions or genes as a token per group: a chromosome, a class of region, a gene set.

Dimension key: S samples, G regions, P pairs of a group and a region in it, K groups, I inner width, J bins, D width.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.bag_rows import segment_outer
from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.encoders.piecewise_linear import PiecewiseLinear, require_one_row_each
from fusion.types import Samples


class RegionTokensEncoder(Encoder):
    """A token per group: a linear read-out of its regions, and a piecewise linear curve of their mean.

    Many small shifts in one direction add up in the mean of a group, in which the noise of single regions averages out,
    and a curve of that mean knows what no line does: that both ends may be bad. The curves start at zero, and the
    read-outs at the mean, so that a fresh encoder is a linear map. A region may be in several groups, and weighs
    differently in each. The sums of a group are one matrix product.

    Args:
        num_features: Width of a row: one column per region.
        groups: Columns of each group by name, as `Methylation(components=None)` tells them; a group may be empty.
        dim: Width of a token.
        inner: Weighted sums of a group's regions that its read-out goes through.
        num_bins: Bins of the curve of a group's mean.
        feature_dropout: Share of regions hidden at each training step.
    """

    sd: Tensor
    region: Tensor
    group: Tensor
    share: Tensor
    step: Tensor

    def __init__(
        self,
        *,
        num_features: int,
        groups: Mapping[str, Sequence[int]],
        dim: int,
        inner: int = 2,
        num_bins: int = 4,
        feature_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not groups:
            raise ValueError("region tokens need groups of regions; name them with the modality's `groups`")
        self.num_tokens = len(groups)
        members = list(groups.values())
        pairs = [(group, region) for group, regions in enumerate(members) for region in regions]
        if any(not 0 <= region < num_features for _, region in pairs):
            raise ValueError(f"a group names a column outside the {num_features} of a row; fit the modality anew")
        group_P, region_P = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
        size_K = torch.tensor([max(len(regions), 1) for regions in members], dtype=torch.get_default_dtype())
        self.register_buffer("group", group_P, persistent=False)
        self.register_buffer("region", region_P, persistent=False)
        self.register_buffer("share", 1.0 / size_K[group_P], persistent=False)
        self.register_buffer("step", size_K[group_P].rsqrt(), persistent=False)
        self.register_buffer("sd", torch.ones(self.num_tokens))
        self.hide = Dropout(feature_dropout)
        # away from the mean in steps that shrink with the group: an optimizer moves all of a thousand weights alike
        self.deviation = nn.Parameter(torch.zeros(len(pairs), inner))
        self.project = nn.Parameter(torch.randn(self.num_tokens, inner, dim) * (self.num_tokens * inner) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(self.num_tokens, dim))
        self.bins = PiecewiseLinear(num_features=self.num_tokens, num_bins=num_bins)
        self.bend = nn.Parameter(torch.zeros(self.num_tokens, num_bins, dim))

    def sums(self, row_SG: Float[Tensor, "S G"]) -> Float[Tensor, "S K I1"]:
        """Mean of each group and its weighted means, in units of the training sd of the mean."""
        weight_PI = functional.pad(1.0 + self.deviation * self.step[:, None], (1, 0), value=1.0)
        sum_KSI = segment_outer(row_SG.T[self.region], weight_PI * self.share[:, None], self.group, self.num_tokens)
        return sum_KSI.transpose(0, 1) / self.sd[:, None]

    @torch.no_grad()
    def prepare(self, samples: Samples) -> None:
        """Learn the sd of each group's mean, and the bins of its curve."""
        self.sd.fill_(1.0)
        mean_SK = self.sums(samples.rows)[..., 0]
        if len(mean_SK):
            sd_K = mean_SK.std(dim=0, correction=0)
            self.sd.copy_(torch.where(sd_K > 1e-6, sd_K, torch.ones_like(sd_K)))
        scaled_SK = mean_SK / self.sd
        self.bins.prepare(scaled_SK, torch.ones_like(scaled_SK, dtype=torch.bool))

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        require_one_row_each(samples)
        sum_SKI = self.sums(self.hide(samples.rows))
        line_SKD = torch.einsum("ski,kid->skd", sum_SKI[..., 1:], self.project)
        bent_SKD = torch.einsum("skj,kjd->skd", self.bins(sum_SKI[..., 0]), self.bend)
        return line_SKD + bent_SKD + self.bias
