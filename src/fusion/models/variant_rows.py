"""What the encoders of variants share: genes of one family, which genes are hit, and the burden row.

Dimension key: S samples, R rows (variants and a burden row per sample), F columns of a row, G genes, P gene families,
D width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.layers import segment_sum
from fusion.types import Samples

#: Gene indices that are no gene of the vocabulary: any other gene, and the burden row.
RESERVED = 2

#: The gene index of the burden row.
BURDEN_GENE = 1

Membership = Sequence[Sequence[int]]


class GeneFamilies(nn.Module):
    """What the genes of a set have in common: an embedding per set, added to that of each of its genes.

    A gene that few or no patients carry so begins as its family and learns what its family learns.

    Args:
        gene_groups: 0 or 1 by gene index and set, "G P".
        dim: Width of an embedding.
    """

    membership: Float[Tensor, "G P"]

    def __init__(self, *, gene_groups: Membership, dim: int) -> None:
        super().__init__()
        self.register_buffer("membership", membership_of(gene_groups), persistent=False)
        self.embedding = nn.Parameter(0.1 * torch.randn(self.membership.shape[1], dim))

    @torch.no_grad()
    def take_over(self, gene_GD: Float[Tensor, "G D"]) -> None:
        """Empty the embeddings of genes that have a family, so that they start as their family."""
        gene_GD[self.membership.sum(dim=1) > 0] = 0.0

    def forward(self) -> Float[Tensor, "G D"]:
        return self.membership @ self.embedding


def membership_of(gene_groups: Membership) -> Float[Tensor, "G P"]:
    """The table of a modality's `gene_groups` as a tensor."""
    return torch.tensor([list(row) for row in gene_groups], dtype=torch.get_default_dtype())


def genes_hit(samples: Samples, columns: Sequence[int], num_genes: int) -> Float[Tensor, "S G"]:
    """1 where a gene of the vocabulary has a variant with one of these columns, else 0; gene index 2 comes first.

    >>> rows = torch.tensor([[1.0, 0.0], [3.0, 1.0], [3.0, 1.0]])
    >>> genes_hit(Samples(rows, torch.tensor([0, 3, 3]), torch.tensor([0, 1])), columns=(1,), num_genes=4)
    tensor([[0., 1.],
            [0., 0.]])
    """
    count = samples.slot.shape[0]
    carried_R = samples.rows[:, list(columns)].amax(dim=1)
    place_R = samples.sample_of_row * num_genes + samples.rows[:, 0].long()
    hit_SG = segment_sum(carried_R, place_R, count * num_genes).clamp(max=1.0).view(count, num_genes)
    return hit_SG[:, RESERVED:]


def burden_of(samples: Samples, columns: Sequence[int]) -> Float[Tensor, "S B"]:
    """These columns of the burden row of each sample; the mean of several (two biopsies), zero without one."""
    count = samples.slot.shape[0]
    is_burden_R1 = (samples.rows[:, :1] == BURDEN_GENE).to(samples.rows.dtype)
    number_S1 = segment_sum(is_burden_R1, samples.sample_of_row, count)
    total_SB = segment_sum(is_burden_R1 * samples.rows[:, list(columns)], samples.sample_of_row, count)
    return total_SB / number_S1.clamp(min=1.0)
