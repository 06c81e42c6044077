"""Encoder of variants by which genes are hit: the table that a clinician reads, and what two genes do together.

Dimension key: S samples, G genes of the vocabulary, P gene sets, B burden columns, F = 2 G + P + B, K = 1 token,
D width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.models.layers import ResidualMLP
from fusion.models.products import GatedProduct
from fusion.models.variant_rows import RESERVED, Membership, burden_of, genes_hit, membership_of
from fusion.types import Samples


class GeneBurdenEncoder(Encoder):
    """Hit or not, and lost or not, for every gene; hit or not for every gene set; and the burden of the sample.

    A linear map, a residual MLP, and a low-rank product that starts at zero: one gene may turn what another means.
    Two hits of a gene count as one, so that a long gene does not outweigh the rest; allele fractions are not read.

    Args:
        num_genes: Size of the gene vocabulary, the reserved indices included.
        hit_columns: Columns of a row, any of which says that the protein is changed.
        loss_columns: Columns of a row, any of which says that it is lost (truncating, splice, deletion).
        burden_columns: Columns of a row that the burden row fills.
        dim: Width of a token.
        rank: Products of two read-outs.
        hidden: Width inside the MLP.
        dropout: Inside the MLP.
        feature_dropout: Share of genes hidden at each training step.
        gene_groups: Gene sets of each gene index, 0 or 1, where the modality was given `gene_sets`.
    """

    def __init__(
        self,
        *,
        num_genes: int,
        hit_columns: Sequence[int],
        loss_columns: Sequence[int],
        burden_columns: Sequence[int],
        dim: int,
        rank: int = 8,
        hidden: int = 32,
        dropout: float = 0.2,
        feature_dropout: float = 0.1,
        gene_groups: Membership | None = None,
    ) -> None:
        super().__init__()
        self.num_genes = num_genes
        self.hit_columns, self.loss_columns = tuple(hit_columns), tuple(loss_columns)
        self.burden_columns = tuple(burden_columns)
        groups = membership_of(gene_groups)[RESERVED:] if gene_groups else torch.zeros(num_genes - RESERVED, 0)
        self.register_buffer("membership", groups, persistent=False)
        num_features = 2 * (num_genes - RESERVED) + groups.shape[1] + len(self.burden_columns)
        self.feature_dropout = Dropout(feature_dropout)
        self.project = nn.Linear(num_features, dim)
        self.product = GatedProduct(num_features=num_features, dim=dim, rank=rank)
        self.mlp = ResidualMLP(dim=dim, hidden=hidden, dropout=dropout)
        nn.init.zeros_(self.project.bias)

    def table(self, samples: Samples) -> Float[Tensor, "S F"]:
        """Genes hit, genes lost, gene sets hit, and burden."""
        hit_SG = genes_hit(samples, self.hit_columns, self.num_genes)
        loss_SG = genes_hit(samples, self.loss_columns, self.num_genes)
        family_SP = (hit_SG @ self.get_buffer("membership")).clamp(max=1.0)
        return torch.cat([hit_SG, loss_SG, family_SP, burden_of(samples, self.burden_columns)], dim=1)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        row_SF = self.feature_dropout(self.table(samples))
        return (self.mlp(self.project(row_SF)) + self.product(row_SF))[:, None]
