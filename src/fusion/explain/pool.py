"""Patients whose samples are encoded once, to be put together anew: assays hidden, or taken from somebody else.

A model reads its samples through encoders, and what comes after is cheap. So each sample is encoded once, and any
number of patients is made of the tokens: a coalition of assays, a permutation, a donor. What comes after the encoders
is the model itself, with its own handling of what is missing; plain models read the columns of `summary`.

Dimension key: B patients of the pool, N patients put together, T visits, S samples, P columns of the summary,
K tokens of a sample, D width.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fusion.data.modalities.base import Modality
from fusion.data.visit_table import column_names
from fusion.explain.score import Answer, answers
from fusion.models.base import Encoder
from fusion.models.patient_model import PatientModel
from fusion.training.ensemble import Ensemble
from fusion.types import PatientBatch, Samples

#: Source of an assay that is hidden.
HIDDEN = -1

#: Patients put together at a time, and rows encoded at a time.
CHUNK, ROWS = 1024, 200_000


class Encoded(Encoder):
    """Stands in for an encoder whose samples are encoded already: a row is the number of a sample.

    Args:
        tokens: Tokens of every sample.
    """

    tokens: Tensor

    def __init__(self, tokens: Float[Tensor, "S K D"]) -> None:
        super().__init__()
        self.register_buffer("tokens", tokens)

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        return self.tokens[samples.rows[:, 0].long()]


@torch.no_grad()
def encode_once(
    ensemble: Ensemble, samples: Mapping[str, Samples], names: Iterable[str]
) -> tuple[Ensemble, dict[str, Samples]]:
    """A twin that takes numbers of samples in place of their rows, and samples with these.

    Args:
        ensemble: The fitted ensemble; it stays as it is.
        samples: What is to be encoded.
        names: Modalities to do this for; the others keep their encoders and rows.
    """
    twin, names = copy.deepcopy(ensemble).eval(), list(names)
    for task in twin.losses:
        for module in twin.members_of(task):
            member = cast(PatientModel, module)
            for name in names:
                member.encoders[name] = Encoded(member.encoders[name](samples[name]))
    return twin, {**samples, **{name: _numbered(samples[name].slot) for name in names}}


def _numbered(slot: Int[Tensor, " S"], number: Int[Tensor, " S"] | None = None) -> Samples:
    """Samples of one row each, which holds their number."""
    count = torch.arange(slot.shape[0])
    return Samples(rows=(count if number is None else number)[:, None].float(), offsets=_edges(slot), slot=slot)


def _edges(slot: Int[Tensor, " S"]) -> Int[Tensor, " edges"]:
    return torch.arange(slot.shape[0] + 1)


def summary_slices(modalities: Mapping[str, Modality], detail: bool) -> dict[str, slice]:
    """Columns of `PatientBatch.summary` that each modality fills, with its `detail` or without."""
    slices, start = {}, 0
    for name, modality in modalities.items():
        slices[name] = slice(start, start + len(column_names(modality, detail)))
        start = slices[name].stop
    return slices


@dataclass(frozen=True)
class Part:
    """Which patients to put together.

    Attributes:
        recipient: Whose visits they have, "N".
        source: By modality whose samples; `HIDDEN` for nobody's; the recipient's own where a modality is not named.
        dropped: By modality the visit whose sample is taken away, -1 for none. What is said of later visits then
            has no meaning.
        replaced: A modality, and per patient the number of the sample that takes the place of the one at `at`.
        columns: Of that modality what the plain models read from `at` on, "N P"; as before where it is not given.
        at: Visit of the replaced sample.
        visits: How many visits are asked of each; all by default. What comes later is not computed.
    """

    recipient: Int[Tensor, " N"]
    source: Mapping[str, Int[Tensor, " N"]] = field(default_factory=dict)
    dropped: Mapping[str, Int[Tensor, " N"]] = field(default_factory=dict)
    replaced: tuple[str, Int[Tensor, " N"]] | None = None
    columns: Float[Tensor, "N P"] | None = None
    at: Int[Tensor, " N"] | None = None
    visits: Int[Tensor, " N"] | None = None

    def __len__(self) -> int:
        return self.recipient.shape[0]

    def rows(self, chosen: Int[Tensor, " n"]) -> "Part":
        """Some of them."""

        def some(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[chosen]

        return Part(
            recipient=self.recipient[chosen],
            source={name: value[chosen] for name, value in self.source.items()},
            dropped={name: value[chosen] for name, value in self.dropped.items()},
            replaced=None if self.replaced is None else (self.replaced[0], self.replaced[1][chosen]),
            columns=some(self.columns),
            at=some(self.at),
            visits=some(self.visits),
        )


class Pool:
    """Patients of one batch, and the ensemble that answers for whatever is made of them.

    Args:
        ensemble: The fitted ensemble.
        batch: The patients, packed with `summary` where plain models answer too.
        columns: Columns of the summary by modality.
    """

    def __init__(self, *, ensemble: Ensemble, batch: PatientBatch, columns: Mapping[str, slice]) -> None:
        self.modalities = tuple(batch.samples)
        self.original = ensemble
        self.ensemble, _ = encode_once(ensemble, batch.samples, self.modalities)
        self.batch = batch
        self.columns = dict(columns)
        b, t = batch.visit_mask.shape
        self.sample_of: dict[str, Int[Tensor, "B T"]] = {}
        for name, samples in batch.samples.items():
            number_BT = torch.full((b * t,), HIDDEN)
            number_BT[samples.slot] = torch.arange(samples.slot.shape[0])
            self.sample_of[name] = number_BT.view(b, t)
        self.summary: Float[Tensor, "B T P"] | None = None
        if batch.summary is not None:  # what was known last is still known after the last visit
            last_B = batch.visit_mask.sum(dim=1).clamp(min=1) - 1
            place_BT = torch.minimum(torch.arange(t)[None], last_B[:, None])
            self.summary = batch.summary.gather(1, place_BT[..., None].expand_as(batch.summary))

    @torch.no_grad()
    def with_bags(self, name: str, bags: Sequence[Float[Tensor, "_ F"]]) -> "Pool":
        """A pool in which numbers of samples of one modality mean these bags of rows, for `Part.replaced`."""
        twin = copy.copy(self)
        twin.ensemble = copy.deepcopy(self.ensemble)
        for task in twin.ensemble.losses:
            pairs = zip(twin.ensemble.members_of(task), self.original.members_of(task), strict=True)
            for light, member in pairs:
                encoder = cast(Encoder, cast(PatientModel, member).encoders[name])
                tokens = torch.cat([encoder(lay(piece)) for piece in _pieces(bags)])
                cast(PatientModel, light).encoders[name] = Encoded(tokens)
        return twin

    def seen(self, name: str) -> Tensor:
        """True where a visit has seen a sample of a modality, "B T"."""
        return (self.sample_of[name] >= 0).cummax(dim=1).values & self.batch.visit_mask

    def assemble(self, part: Part, visits: int | None = None) -> PatientBatch:
        """The patients put together, as a batch for the ensemble of this pool; the first visits only if so many."""
        recipient_N, first = part.recipient, slice(visits)
        mask_NT, day_NT = self.batch.visit_mask[recipient_N, first], self.batch.day[recipient_N, first]
        known = None if self.summary is None else self.summary[:, first]
        summary = None if known is None else known[recipient_N]
        samples = {}
        for name in self.modalities:
            source_N = part.source.get(name, recipient_N)
            number_NT = self.sample_of[name][source_N.clamp(min=0), first].clone()
            number_NT[(source_N < 0)[:, None] | ~mask_NT] = HIDDEN
            dropped_N = part.dropped.get(name)
            if part.replaced is not None and part.replaced[0] == name and part.at is not None:
                number_NT[torch.arange(len(part)), part.at] = part.replaced[1]
            if dropped_N is not None:
                number_NT[torch.arange(mask_NT.shape[1])[None] == dropped_N[:, None]] = HIDDEN
            slot_S = (number_NT.flatten() >= 0).nonzero().squeeze(1)
            samples[name] = _numbered(slot_S, number_NT.flatten()[slot_S])
            if summary is not None and known is not None:
                columns_NTP = self._columns(known, name, source_N, dropped_N)
                if part.replaced is not None and part.replaced[0] == name and part.columns is not None:
                    later_NT = torch.arange(known.shape[1])[None] >= cast(Tensor, part.at)[:, None]
                    given_N1P = part.columns.to(columns_NTP)[:, None]
                    columns_NTP = torch.where(later_NT[..., None], given_N1P, columns_NTP)
                summary[..., self.columns[name]] = columns_NTP
        if summary is not None:
            summary = torch.where(mask_NT[..., None], summary, torch.nan)
        ids = tuple(f"{self.batch.patient_ids[i]}" for i in recipient_N.tolist())
        return PatientBatch(
            patient_ids=ids, day=day_NT, visit_mask=mask_NT, samples=samples, targets={}, summary=summary
        )

    def _columns(
        self, summary_BTP: Tensor, name: str, source_N: Tensor, dropped_N: Tensor | None
    ) -> Float[Tensor, "N T P"]:
        values_NTP = summary_BTP[source_N.clamp(min=0)][..., self.columns[name]].clone()
        values_NTP[source_N < 0] = torch.nan
        if dropped_N is not None:  # as it was known at the visit before
            number_T = torch.arange(values_NTP.shape[1])
            before_NT = torch.where(number_T == dropped_N[:, None], number_T - 1, number_T)
            unknown_NT = before_NT < 0
            values_NTP = values_NTP.gather(1, before_NT.clamp(min=0)[..., None].expand_as(values_NTP))
            values_NTP = torch.where(unknown_NT[..., None], torch.nan, values_NTP)
        return values_NTP

    def answers(self, part: Part, horizon: float = 0.0) -> dict[str, Answer]:
        """What the ensemble says of the patients put together, "N T" with all visits of the pool.

        Those with as many visits are answered together, so that few visits are padded; zero where nothing was asked.
        """
        count_N = self.batch.visit_mask.sum(dim=1)[part.recipient]
        asked_N = count_N if part.visits is None else torch.minimum(count_N, part.visits)
        shape = (len(part), self.batch.num_visits)
        found: dict[str, Answer] = {}
        for chosen in asked_N.argsort(stable=True).split(CHUNK):
            visits = int(asked_N[chosen].max()) if len(chosen) else 0
            if not visits:
                continue
            for task, answer in answers(self.ensemble, self.assemble(part.rows(chosen), visits), horizon).items():
                whole = found.setdefault(task, Answer(score=torch.zeros(shape), chance=torch.zeros(shape)))
                whole.score[chosen, :visits] = answer.score
                whole.chance[chosen, :visits] = answer.chance
        return found


def lay(bags: Sequence[Float[Tensor, "_ F"]]) -> Samples:
    """Bags of rows laid end to end as samples, whose slots only number them.

    >>> lay([torch.ones(2, 1), torch.zeros(0, 1)]).offsets
    tensor([0, 2, 2])
    """
    counts = torch.tensor([0, *(len(bag) for bag in bags)])
    return Samples(rows=torch.cat(list(bags)), offsets=counts.cumsum(0), slot=torch.arange(len(bags)))


def _pieces(bags: Sequence[Tensor]) -> Iterable[Sequence[Tensor]]:
    """Bags in pieces of at most `ROWS` rows, or of one bag."""
    piece: list[Tensor] = []
    rows = 0
    for bag in bags:
        if piece and rows + len(bag) > ROWS:
            yield piece
            piece, rows = [], 0
        piece.append(bag)
        rows += len(bag)
    if piece:
        yield piece
