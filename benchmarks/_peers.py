"""How others do the same work, as plain references: one patient, one pathway, one visit at a time.

Each has the same parameters as ours, or ones that ours can be made of, so that equality is checked before timing.
Dropout over the elements of a bag is as the authors ship it; `.eval()` is what equality is checked in.
"""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.models.encoders.pathway_tokens import PathwayTokensEncoder
from fusion.models.temporal.days import time_features
from fusion.models.temporal.decay_gru import DecayGRU

#: Of the elements of projected patches, in MCAT, CLAM and their kin.
DROPOUT = 0.25


class CoAttentionOfOne(nn.Module):
    """MCAT's reading of one slide: project, rectify, drop, and `nn.MultiheadAttention` from the omics tokens."""

    def __init__(self, *, num_features: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(num_features, dim), nn.ReLU(), nn.Dropout(DROPOUT))
        self.attend = nn.MultiheadAttention(dim, 1)

    def forward(self, rows: Float[Tensor, "N F"], question: Float[Tensor, "L D"]) -> Float[Tensor, "L D"]:
        patch_ND = self.project(rows)
        return self.attend(question, patch_ND, patch_ND)[0]


class BehindReading(nn.Module):
    """What MCAT does with the answers of a slide and the questions: Transformers, gated pooling, and a classifier."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layer = partial(nn.TransformerEncoderLayer, dim, 8, 2 * dim, DROPOUT, batch_first=True)
        self.mix = nn.ModuleList(nn.TransformerEncoder(layer(), 2, enable_nested_tensor=False) for _ in range(2))
        self.attend = nn.ModuleList(nn.Linear(dim, dim) for _ in range(2))
        self.gate = nn.ModuleList(nn.Linear(dim, dim) for _ in range(2))
        self.score = nn.ModuleList(nn.Linear(dim, 1) for _ in range(2))
        self.after = nn.ModuleList(nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(DROPOUT)) for _ in range(2))
        self.fuse = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 4))

    def forward(self, answer: Float[Tensor, "B L D"], question: Float[Tensor, "B L D"]) -> Float[Tensor, "B 4"]:
        pooled = []
        for index, token_BLD in enumerate((answer, question)):
            mixed_BLD = self.mix[index](token_BLD)
            gated_BLD = self.attend[index](mixed_BLD).tanh() * self.gate[index](mixed_BLD).sigmoid()
            share_BL1 = self.score[index](gated_BLD).softmax(dim=1)
            pooled.append(self.after[index]((share_BL1 * mixed_BLD).sum(dim=1)))
        return self.fuse(torch.cat(pooled, dim=1))


class MCATOfOne(nn.Module):
    """MCAT for one patient, from the omics tokens on."""

    def __init__(self, reader: CoAttentionOfOne, behind: BehindReading) -> None:
        super().__init__()
        self.reader, self.behind = reader, behind

    def forward(self, rows: Float[Tensor, "N F"], question: Float[Tensor, "L D"]) -> Float[Tensor, "1 4"]:
        return self.behind(self.reader(rows, question)[None], question[None])


class GatedAttentionOfOne(nn.Module):
    """Gated attention pooling of one slide (ABMIL), with dropout as in CLAM, and an MLP behind."""

    def __init__(self, *, num_features: int, dim: int, hidden: int, mlp: nn.Module) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(num_features, dim), nn.Dropout(DROPOUT))
        self.attend = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Dropout(DROPOUT))
        self.gate = nn.Sequential(nn.Linear(dim, hidden), nn.Sigmoid(), nn.Dropout(DROPOUT))
        self.score = nn.Linear(hidden, 1, bias=False)
        self.mlp = mlp

    def forward(self, rows: Float[Tensor, "N F"]) -> Float[Tensor, "1 D"]:
        patch_ND = self.project(rows)
        weight_N1 = self.score(self.attend(patch_ND) * self.gate(patch_ND)).softmax(dim=0)
        return self.mlp(weight_N1.T @ patch_ND)


class LatentAttentionOfOne(nn.Module):
    """Perceiver-like reading of one slide: keys and values of every patch, a few learned queries, an MLP behind."""

    def __init__(self, *, num_features: int, dim: int, num_latents: int, mlp: nn.Module) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.randn(num_latents, dim) / dim**0.5)
        self.key = nn.Linear(num_features, dim, bias=False)
        self.value = nn.Sequential(nn.Linear(num_features, dim), nn.Dropout(DROPOUT))
        self.read = nn.Parameter(torch.ones(num_latents, dim))
        self.mlp = mlp

    def forward(self, rows: Float[Tensor, "N F"]) -> Float[Tensor, "L D"]:
        read_LD = (self.latent @ self.key(rows).T).softmax(dim=1) @ self.value(rows)
        return self.mlp(read_LD * self.read)


class PathwayLoop(nn.Module):
    """A small network per pathway, one after another, with the weights of ours."""

    def __init__(self, encoder: PathwayTokensEncoder, columns: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.columns = [torch.tensor(tuple(genes)) for genes in columns]
        self.scale = encoder.get_buffer("scale")
        first = first_layers(encoder, columns)
        self.first = nn.ParameterList(weight.detach().clone() for weight in first)
        self.linear = nn.ParameterList(weight.detach().clone() for weight in encoder.linear)
        self.curved = nn.ParameterList(weight.detach().clone() for weight in encoder.curved)
        self.shift = nn.ParameterList(weight.detach().clone() for weight in encoder.shift)
        self.bias = nn.ParameterList(weight.detach().clone() for weight in encoder.bias[:-1])

    def forward(self, rows: Float[Tensor, "S G"]) -> Float[Tensor, "S P D"]:
        tokens = []
        for place, genes in enumerate(self.columns):
            hidden_SH = rows[:, genes] @ self.first[place] / self.scale[place]
            bent_SH = hidden_SH * torch.tanh(hidden_SH + self.shift[place])
            tokens.append(hidden_SH @ self.linear[place] + bent_SH @ self.curved[place] + self.bias[place])
        return torch.stack(tokens, dim=1)


def first_layers(encoder: PathwayTokensEncoder, columns: Sequence[Sequence[int]]) -> list[Tensor]:
    """First layer of each pathway, out of the buckets of ours."""
    order = encoder.get_buffer("place").argsort().tolist()
    flat = [weight_LH for bucket in encoder.first for weight_LH in bucket]
    return [
        weight[: len(columns[place])] for place, weight in sorted(zip(order, flat, strict=True), key=lambda p: p[0])
    ]


class PathwayNetworks(nn.Module):
    """The networks of SurvPath as shipped: two self-normalising layers of full width per pathway."""

    def __init__(self, columns: Sequence[Sequence[int]], dim: int) -> None:
        super().__init__()
        self.columns = [torch.tensor(tuple(genes)) for genes in columns]
        self.networks = nn.ModuleList(
            nn.Sequential(
                *(nn.Linear(len(genes), dim), nn.ELU(), nn.AlphaDropout(DROPOUT)),
                *(nn.Linear(dim, dim), nn.ELU(), nn.AlphaDropout(DROPOUT)),
            )
            for genes in columns
        )

    def forward(self, rows: Float[Tensor, "S G"]) -> Float[Tensor, "S P D"]:
        pairs = zip(self.networks, self.columns, strict=True)
        return torch.stack([network(rows[:, genes]) for network, genes in pairs], dim=1)


class CellLoop(nn.Module):
    """A `nn.GRUCell` that fades over gaps, per patient and visit, with the weights of ours."""

    def __init__(self, ours: DecayGRU) -> None:
        super().__init__()
        width, hidden = ours.inputs.in_features, ours.hidden
        self.ours, self.cell = ours, nn.GRUCell(width, hidden)
        with torch.no_grad():
            self.cell.weight_ih.copy_(ours.inputs.weight)
            self.cell.bias_ih.copy_(ours.inputs.bias)
            self.cell.weight_hh.copy_(torch.cat([ours.gates.weight, ours.recall.weight]))
            self.cell.bias_hh.copy_(torch.cat([ours.recall.bias.new_zeros(2 * hidden), ours.recall.bias]))

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "V D"]:
        """What is said at the real visits, one below the other."""
        said_BTE, rate_H = torch.cat([visits, time_features(day)], dim=-1), self.ours.decay.rate()
        states = []
        for patient, real in enumerate(mask.sum(dim=1).tolist()):
            state_1H = visits.new_zeros(1, self.ours.hidden)
            for visit in range(real):
                gap = day[patient, visit] - day[patient, max(visit - 1, 0)]
                state_1H = self.cell(said_BTE[patient, visit][None], state_1H * torch.exp(-rate_H * gap))
                states.append(state_1H)
        return visits[mask] + self.ours.out(torch.cat(states))


class PackedGRU(nn.Module):
    """torch's GRU over packed visits, with the same inputs and read-out as ours; it knows no fading."""

    def __init__(self, ours: DecayGRU) -> None:
        super().__init__()
        self.gru = nn.GRU(ours.inputs.in_features, ours.hidden, batch_first=True)
        self.out = nn.Linear(ours.hidden, ours.out.out_features)

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        said_BTE, length_B = torch.cat([visits, time_features(day)], dim=-1), mask.sum(dim=1)
        packed = nn.utils.rnn.pack_padded_sequence(said_BTE, length_B, batch_first=True, enforce_sorted=False)
        state_BTH, _ = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=visits.shape[1]
        )
        return visits + self.out(state_BTH)


class MultiHot(nn.Module):
    """A dense layer over the table of how often each gene is hit."""

    def __init__(self, gene: Float[Tensor, "G D"]) -> None:
        super().__init__()
        self.gene = nn.Parameter(gene.detach().clone())

    def forward(self, hit: Float[Tensor, "S G"]) -> Float[Tensor, "S D"]:
        return hit @ self.gene
