"""Encoder of gene expression as one token per gene set and one for the genes outside all sets.

Dimension key: S samples, G genes (columns of a row), P sets, Q sets of one bucket, L genes of its longest set,
H hidden width of a set, R rank, K = P + 1 tokens, D width.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fusion.models.base import Encoder
from fusion.models.dropout import Dropout
from fusion.types import Samples


class PathwayTokensEncoder(Encoder):
    """A small network per gene set, all of them in a few grouped products (SurvPath; Jaume et al. 2024).

    The first layer of a set starts close to the mean of its genes, in units of its training sd (see `prepare`), so that
    a fresh token is a linear read-out of the set's signature. The non-linear part starts at zero. Genes outside all
    sets share one token through a low-rank linear map.

    Args:
        num_features: Width of a row: genes, and whatever columns stand behind them.
        groups: Columns of each gene set by name, as `Expression(components=None, gene_sets=...)` tells them. Sets may
            overlap; one without genes has a token that says nothing of the sample.
        dim: Width of a token.
        hidden: Width of the first layer of each set.
        rank: Rank of the map of the genes outside all sets.
        dropout: Of what the non-linear part reads.
        feature_dropout: Share of genes hidden at each training step.
    """

    def __init__(
        self,
        *,
        num_features: int,
        groups: Mapping[str, Sequence[int]],
        dim: int,
        hidden: int = 4,
        rank: int = 4,
        dropout: float = 0.2,
        feature_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        columns = [tuple(group) for group in groups.values()]
        if not columns:
            raise ValueError("pathway tokens need gene sets; name them with `gene_sets`, `sclc` for one")
        if any(not 0 <= column < num_features for group in columns for column in group):
            raise ValueError(f"a gene set names a column outside the {num_features} of a row; fit the modality anew")
        self.num_tokens = len(columns) + 1
        buckets = _by_size(columns)
        order = torch.tensor([place for bucket in buckets for place in bucket])
        self.register_buffer("place", order.argsort(), persistent=False)
        self.first = nn.ParameterList()
        for number, bucket in enumerate(buckets):
            longest = max(1, *(len(columns[place]) for place in bucket))
            # a set shorter than the longest of its bucket also reads a column of zeros behind the row
            filled = [(*columns[place], *[num_features] * (longest - len(columns[place]))) for place in bucket]
            self.register_buffer(f"genes_{number}", torch.tensor(filled), persistent=False)
            self.first.append(nn.Parameter(1.0 + 0.5 * torch.randn(len(bucket), longest, hidden)))
        self.register_buffer("scale", torch.tensor([float(max(len(group), 1)) for group in columns]))
        inside = {column for group in columns for column in group}
        outside = [column for column in range(num_features) if column not in inside]
        self.register_buffer("outside", torch.tensor(outside, dtype=torch.long), persistent=False)
        scale = (self.num_tokens * hidden) ** -0.5  # the sum of all tokens then has the size of a vector's token
        self.linear = nn.Parameter(scale * torch.randn(len(columns), hidden, dim))
        self.shift = nn.Parameter(torch.zeros(len(columns), hidden))
        self.curved = nn.Parameter(torch.zeros(len(columns), hidden, dim))
        self.bias = nn.Parameter(torch.zeros(self.num_tokens, dim))
        # entries of unit size, scaled down when read: a step of Adam then moves the sum of a thousand genes but little
        self.rest_in = nn.Parameter(torch.randn(len(outside), rank))
        self.rest_out = nn.Parameter(torch.randn(rank, dim) * (self.num_tokens * rank) ** -0.5)
        self.feature_dropout = Dropout(feature_dropout)
        self.dropout = Dropout(dropout)

    def prepare(self, samples: Samples) -> None:
        """Learn the sd of each set's sum: genes that go their own ways have a small one, and would hardly count."""
        if not len(samples.rows):
            return
        ones = [torch.ones_like(weight_QLH[..., :1]) for weight_QLH in self.first]
        sd_P = self._sums(samples.rows, ones).squeeze(2).std(dim=1, correction=0)
        scale_P = self.get_buffer("scale")
        scale_P.copy_(torch.where(sd_P > 1e-3, sd_P, scale_P))

    def _sums(self, row_SG: Float[Tensor, "S G"], weights: Iterable[Tensor]) -> Float[Tensor, "P S H"]:
        """Sums of the genes of every set, in the order of the sets, with the weights "Q L H" of each bucket."""
        # Genes lead, since whole rows are gathered fastest. One product per size of set, of which there are a handful.
        padded_GS = functional.pad(row_SG, (0, 1)).T.contiguous()
        sums = [
            torch.einsum("qls,qlh->qsh", self._gathered(padded_GS, number), weight_QLH)
            for number, weight_QLH in enumerate(weights)
        ]
        return torch.cat(sums).index_select(0, self.get_buffer("place"))

    def _gathered(self, padded_GS: Float[Tensor, "G1 S"], number: int) -> Float[Tensor, "Q L S"]:
        """Genes of every set of a bucket."""
        genes_QL = self.get_buffer(f"genes_{number}")
        return padded_GS.index_select(0, genes_QL.flatten()).unflatten(0, tuple(genes_QL.shape))

    def signatures(self, row_SG: Float[Tensor, "S G"]) -> Float[Tensor, "S P H"]:
        """First layer of every set: weighted sums of its genes, in units of the training sd of the plain sum."""
        return self._scaled(row_SG).transpose(0, 1)

    def _scaled(self, row_SG: Float[Tensor, "S G"]) -> Float[Tensor, "P S H"]:
        return self._sums(row_SG, self.first) / self.get_buffer("scale")[:, None, None]

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        if samples.rows.shape[0] != samples.slot.shape[0]:
            raise ValueError("a vector assay has one row per sample; use a set encoder for sets of rows")
        row_SG = self.feature_dropout(samples.rows)
        hidden_PSH = self._scaled(row_SG)
        # as a product does, the bent part starts apart from the line
        bent_PSH = self.dropout(hidden_PSH * torch.tanh(hidden_PSH + self.shift[:, None]))
        # tokens are the largest thing here: sets lead, and sums are made by the products
        token_PSD = torch.baddbmm(self.bias[:-1, None], hidden_PSH, self.linear)
        token_PSD.baddbmm_(bent_PSH.to(token_PSD), self.curved.to(token_PSD))  # autocast leaves what is in place alone
        rest_SR = row_SG[:, self.get_buffer("outside")] @ self.rest_in / max(len(self.rest_in), 1) ** 0.5
        rest_SD = torch.addmm(self.bias[-1], rest_SR, self.rest_out)
        return torch.cat([token_PSD, rest_SD[None]]).transpose(0, 1)


def _by_size(columns: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places of the sets, those of similar size together: no bucket's longest set is above twice its shortest.

    >>> _by_size([(1,), (1, 2, 3, 4), (5, 6, 7), ()])
    [[0, 3], [2], [1]]
    """
    buckets: dict[int, list[int]] = {}
    for place, group in enumerate(columns):
        buckets.setdefault(max(len(group), 1).bit_length(), []).append(place)
    return [buckets[size] for size in sorted(buckets)]
