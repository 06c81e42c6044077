"""Encoder of a set of variants: what a gene means, how it was hit, and in what share of the reads (deep set).

Dimension key: S samples, R rows, K = 1 token, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.layers import ResidualMLP, segment_sum
from fusion.models.variant_rows import GeneFamilies, Membership
from fusion.types import Samples


class VariantSetEncoder(Encoder):
    """Sum over variants of a gene embedding, modulated by consequence and VAF (Zaheer et al. 2017, deep sets).

    A variant is `embedding[gene] + W x` with x its consequence, VAF and burden columns. The sum over a sample is kept
    linear at the start, so that the set begins as a gene burden model; the residual MLP adds what genes do together.

    Args:
        num_features: Width of a row: the gene's index in column 0, then dense features.
        num_genes: Size of the gene vocabulary, the reserved indices included.
        dim: Width of a token.
        hidden: Width inside the MLPs.
        dropout: Inside the MLPs, and the share of variants hidden at each training step.
        gene_groups: Gene sets of each gene index, 0 or 1, where the modality was given `gene_sets`.
    """

    def __init__(
        self,
        *,
        num_features: int,
        num_genes: int,
        dim: int,
        hidden: int = 32,
        dropout: float = 0.2,
        gene_groups: Membership | None = None,
    ) -> None:
        super().__init__()
        self.gene = nn.Embedding(num_genes, dim)
        self.dense = nn.Linear(num_features - 1, dim)
        self.variant = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        self.sample = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        self.dropout = dropout
        nn.init.normal_(self.gene.weight, std=0.1)
        nn.init.zeros_(self.dense.bias)
        self.families = GeneFamilies(gene_groups=gene_groups, dim=dim) if gene_groups else None
        if self.families:
            self.families.take_over(self.gene.weight)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        gene_R = samples.rows[:, 0].long()
        gene_RD = self.gene(gene_R)
        if self.families:
            gene_RD = gene_RD + self.families()[gene_R]
        row_RD = self.variant(gene_RD + self.dense(samples.rows[:, 1:]))
        if self.training and self.dropout:
            keep_R1 = torch.rand(row_RD.shape[0], 1, device=row_RD.device) >= self.dropout
            row_RD = row_RD * keep_R1 / (1.0 - self.dropout)
        return self.sample(segment_sum(row_RD, samples.sample_of_row, samples.slot.shape[0]))[:, None]
