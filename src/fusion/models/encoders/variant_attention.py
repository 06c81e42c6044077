"""Encoder of a set of variants by attention: beside their sum, what a few learned questions find among them.

Dimension key: S samples, R rows, H questions (heads), W width of a head, K = 1 token, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP, segment_softmax, segment_sum
from fusion.models.variant_rows import GeneFamilies, Membership
from fusion.types import Samples


class VariantAttentionEncoder(Encoder):
    """The sum over variants, plus pooling by multi-head attention (Lee et al. 2019, Set Transformer: PMA).

    The sum counts; the attention can ask for the one variant that matters among hundreds (a driver, the highest
    allele fraction) whatever else is there. What it finds starts at zero, as does the MLP that combines both.

    Args:
        num_features: Width of a row: the gene's index in column 0, then dense features.
        num_genes: Size of the gene vocabulary, the reserved indices included.
        dim: Width of a token.
        num_heads: Learned questions, each with a share of the width.
        hidden: Width inside the MLP.
        dropout: Inside the MLP, and the share of variants hidden at each training step.
        gene_groups: Gene sets of each gene index, 0 or 1, where the modality was given `gene_sets`.
    """

    def __init__(
        self,
        *,
        num_features: int,
        num_genes: int,
        dim: int,
        num_heads: int = 4,
        hidden: int = 32,
        dropout: float = 0.2,
        gene_groups: Membership | None = None,
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}; change one of them")
        self.num_heads = num_heads
        self.gene = nn.Embedding(num_genes, dim)
        self.dense = nn.Linear(num_features - 1, dim)
        self.score = nn.Linear(dim, num_heads)  # a question times the keys is one vector per head
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.sample = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        self.dropout = dropout
        nn.init.normal_(self.gene.weight, std=0.1)
        nn.init.zeros_(self.dense.bias)
        nn.init.zeros_(self.out.weight)
        self.families = GeneFamilies(gene_groups=gene_groups, dim=dim) if gene_groups else None
        if self.families:
            self.families.take_over(self.gene.weight)

    def attend(self, row_RD: Float[Tensor, "R D"], samples: Samples) -> Float[Tensor, "S D"]:
        """What each question reads from the variants of each sample; zero where there is none."""
        segment_R, count = samples.sample_of_row, samples.slot.shape[0]
        weight_RH = segment_softmax(self.score(row_RD), segment_R, count)
        value_RHW = self.value(row_RD).unflatten(1, (self.num_heads, -1))
        return segment_sum((weight_RH[..., None] * value_RHW).flatten(1), segment_R, count)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        gene_R = samples.rows[:, 0].long()
        gene_RD = self.gene(gene_R)
        if self.families:
            gene_RD = gene_RD + self.families()[gene_R]
        row_RD = gene_RD + self.dense(samples.rows[:, 1:])
        if self.training and self.dropout:
            keep_R1 = torch.rand(row_RD.shape[0], 1, device=row_RD.device) >= self.dropout
            row_RD = row_RD * keep_R1 / (1.0 - self.dropout)
        sum_SD = segment_sum(row_RD, samples.sample_of_row, samples.slot.shape[0])
        return self.sample(sum_SD + self.out(self.attend(row_RD, samples)))[:, None]
