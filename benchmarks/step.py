"""What a training step costs: forward, backward and optimizer, against the matrix products alone and the peers' way.

    python benchmarks/step.py [large=true] [only=REGEX] [threads=1] [out=FILE]

The floor of a bag is its projection, forward and weight gradient: N x 1024 patches to 256. The peers' way is written
in `_peers.py` with the same mathematics and widths, and checked against ours in double precision before anything is
timed. CPU seconds, median of seven repetitions taken in turn, by one thread: several that wait for each other count
their waiting, and a product so small that they do would be charged for it. `large=true` adds a bag of 60,000 patches.
"""

import copy
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from _peers import (
    BehindReading,
    CellLoop,
    CoAttentionOfOne,
    GatedAttentionOfOne,
    LatentAttentionOfOne,
    MCATOfOne,
    MultiHot,
    PackedGRU,
    PathwayLoop,
    PathwayNetworks,
)
from _timing import CPU, REPETITIONS, Work, interleaved, markdown, medians, peak_memory, save
from torch import Tensor, nn

from fusion.models.encoders.gated_attention import GatedAttentionEncoder
from fusion.models.encoders.latent_attention import LatentAttentionEncoder
from fusion.models.encoders.pathway_tokens import PathwayTokensEncoder
from fusion.models.encoders.region_tokens import RegionTokensEncoder
from fusion.models.encoders.variant_set import VariantSetEncoder
from fusion.models.patch_co_attention import PatchCoAttention
from fusion.models.temporal.decay_gru import DecayGRU
from fusion.types import Samples

Forward = Callable[[], Tensor]

#: Learning rate so low that a step of the timing changes nothing that matters.
RATE = 1e-6


@dataclass(frozen=True)
class Sizes:
    """What is measured; the defaults are those of the table in `docs/benchmarks.md`."""

    bags: tuple[tuple[int, int], ...] = ((32, 1000), (8, 4096), (1, 16384))
    width: int = 1024
    dim: int = 256
    latents: int = 16
    questions: int = 6
    batch: int = 32
    genes: int = 20_000
    pathways: int = 331
    sites: int = 450_000
    regions: int = 24
    variants: int = 200
    patients: int = 300
    visits: int = 12
    state: int = 64


TINY = Sizes(
    bags=((3, 20),), width=12, dim=24, latents=3, questions=2, batch=3, genes=40, pathways=5, sites=50, regions=3,
    variants=4, patients=4, visits=3, state=4,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: What is done.
        works: Steps by name: "ours", and any of "bf16", "floor", "peer", "as shipped".
        difference: Of ours in single precision from the plain reference in double, relative to its largest number.
        goals: The most that ours / X may be, or the least that X / ours is to be, by the name of the ratio.
        bag_bytes: Size of the bag of which peak memory is told.
    """

    name: str
    works: Mapping[str, Work]
    difference: float
    goals: Mapping[str, float] = field(default_factory=dict)
    bag_bytes: int | None = None


#: Slopes by shape and kind, so that making them is not measured.
_slopes: dict[tuple[Any, ...], Tensor] = {}


def backward(output: Tensor) -> None:
    """Backward pass from the same slope everywhere: what comes behind the encoder is not measured."""
    key = (output.shape, output.dtype, output.device)
    if key not in _slopes:
        _slopes[key] = torch.full(output.shape, RATE, dtype=output.dtype, device=output.device)
    output.backward(_slopes[key])


def step(module: nn.Module, forward: Forward, *, bf16: bool = False) -> Work:
    """A training step of all patients at once."""
    device = next(module.parameters()).device.type
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE, fused=True)

    def work() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            output = forward()
        backward(output)
        optimizer.step()

    return work


def step_by_patient(module: nn.Module, forwards: Sequence[Forward]) -> Work:
    """A training step in which gradients of one patient after another are added up."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE, fused=True)

    def work() -> None:
        optimizer.zero_grad()
        for forward in forwards:
            backward(forward())
        optimizer.step()

    return work


def floor_of(rows: Tensor, dim: int) -> Work:
    """Projection of the rows, forward and weight gradient."""
    weight = (torch.randn(rows.shape[1], dim) / rows.shape[1] ** 0.5).to(rows)
    return lambda: rows.T @ (rows @ weight)


def stirred(module: nn.Module) -> nn.Module:
    """The module as after some training: what starts at zero would hide most of it from the check."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return module


def bags(counts: Sequence[int], width: int) -> Samples:
    """Bags of random patches."""
    offsets = torch.tensor([0, *counts]).cumsum(0)
    generator = torch.Generator().manual_seed(0)
    return Samples(torch.randn(int(offsets[-1]), width, generator=generator), offsets, torch.arange(len(counts)))


def apart(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest number expected; infinite where something is no number."""
    found, expected = found.detach().double(), expected.detach()
    relative = (found - expected).abs().max() / expected.abs().max().clamp(min=1e-30)
    return float(relative.nan_to_num(nan=torch.inf))


def gradient(output: Tensor, weight: Tensor) -> Tensor:
    """Gradient of the mean square of an output."""
    return torch.autograd.grad(output.square().mean(), weight)[0]


# --- bags of patches -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """A way to read bags, packed as ours and one by one as the peer.

    Attributes:
        ours: Takes samples, and whatever `questions` of each sample there are.
        peer: The same for one sample.
        questions: What each sample is asked; None where the reader asks by itself.
        shared: Weight of the projection of patches in both, for the check of gradients.
    """

    name: str
    ours: nn.Module
    peer: nn.Module
    shared: Callable[[nn.Module], nn.Parameter]
    shared_peer: Callable[[nn.Module], nn.Parameter]
    questions: Tensor | None = None

    def packed(self, samples: Samples, questions: Tensor | None, module: nn.Module | None = None) -> Tensor:
        """Answers for all samples at once."""
        module = module or self.ours
        return module(samples) if questions is None else module(samples, questions)

    def single(
        self, samples: Samples, questions: Tensor | None, module: nn.Module | None = None
    ) -> Iterator[Callable[[], Tensor]]:
        """What gives the answer of one sample after another."""
        module = module or self.peer
        for index, rows in enumerate(samples.rows.split(samples.offsets.diff().tolist())):
            yield partial(module, rows) if questions is None else partial(module, rows, questions[index])


def co_attention(sizes: Sizes, count: int) -> Reader:
    """Omics tokens ask every patch."""
    ours = PatchCoAttention(num_features=sizes.width, dim=sizes.dim)
    peer = CoAttentionOfOne(num_features=sizes.width, dim=sizes.dim)
    with torch.no_grad():
        for one, other in zip(peer.project[0].parameters(), ours.project.parameters(), strict=True):
            one.copy_(other)
        peer.attend.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        peer.attend.in_proj_bias.copy_(torch.cat([ours.query.bias, 0 * ours.query.bias, ours.value.bias]))
        peer.attend.out_proj.load_state_dict(ours.out.state_dict())
    questions = torch.randn(count, sizes.questions, sizes.dim)
    return Reader("co-attention", ours, peer, lambda m: m.project.weight, lambda m: m.project[0].weight, questions)


class PackedMCAT(nn.Module):
    """MCAT for many patients at once, from the omics tokens on; behind our reading the same layers as behind theirs."""

    def __init__(self, reader: nn.Module, behind: nn.Module) -> None:
        super().__init__()
        self.reader, self.behind = reader, behind

    def forward(self, samples: Samples, question: Tensor) -> Tensor:
        return self.behind(self.reader(samples, question), question)


def whole_mcat(sizes: Sizes, count: int) -> Reader:
    """Co-attention and all that comes behind it in MCAT."""
    reading, behind = co_attention(sizes, count), BehindReading(sizes.dim)
    return Reader(
        name="MCAT",
        ours=PackedMCAT(reading.ours, behind),
        peer=MCATOfOne(reading.peer, copy.deepcopy(behind)),
        shared=lambda m: m.reader.project.weight,
        shared_peer=lambda m: m.reader.project[0].weight,
        questions=reading.questions,
    )


def latent_attention(sizes: Sizes, count: int) -> Reader:
    """A few learned queries ask every patch."""
    peer = LatentAttentionOfOne(
        num_features=sizes.width, dim=sizes.dim, num_latents=sizes.latents, mlp=nn.Identity()
    )  # fmt: skip
    ours = LatentAttentionEncoder(
        num_features=sizes.width, dim=sizes.dim, num_latents=sizes.latents, dropout=0.0, patch_dropout=0.0
    )  # fmt: skip
    stirred(ours)
    with torch.no_grad():
        ours.query.copy_((peer.latent @ peer.key.weight).T)
        ours.project.load_state_dict(peer.value[0].state_dict())
        peer.read.copy_(ours.read)
        peer.mlp = copy.deepcopy(ours.mlp)
    name = f"latent attention, {sizes.latents} latents"
    return Reader(name, ours, peer, lambda m: m.project.weight, lambda m: m.value[0].weight)


def gated_attention(sizes: Sizes, count: int, hidden: int | None = None) -> Reader:
    """Gated attention pooling."""
    hidden = hidden or sizes.dim
    ours = GatedAttentionEncoder(
        num_features=sizes.width, dim=sizes.dim, hidden=hidden, dropout=0.0, patch_dropout=0.0
    )  # fmt: skip
    stirred(ours)
    peer = GatedAttentionOfOne(
        num_features=sizes.width, dim=sizes.dim, hidden=hidden, mlp=copy.deepcopy(ours.mlp)
    )  # fmt: skip
    peer.project[0].load_state_dict(ours.project.state_dict())
    peer.attend[0].load_state_dict(ours.attend.state_dict())
    peer.gate[0].load_state_dict(ours.gate.state_dict())
    peer.score.load_state_dict(ours.score.state_dict())
    name = f"gated attention, {hidden} wide"
    return Reader(name, ours, peer, lambda m: m.project.weight, lambda m: m.project[0].weight)


def check_reader(reader: Reader, width: int) -> float:
    """How far answers and gradients are from the plain reference in double precision, over bags of unequal size."""
    samples = bags((70, 1, 300), width)
    questions = None if reader.questions is None else torch.randn(3, *reader.questions.shape[1:])
    double = replace(samples, rows=samples.rows.double())
    asked = None if questions is None else questions.double()
    peer, ours = copy.deepcopy(reader.peer).double().eval(), copy.deepcopy(reader.ours).double().eval()
    expected = torch.stack([one().squeeze() for one in reader.single(double, asked, peer)])
    slope = gradient(expected, reader.shared_peer(peer))
    worst = 0.0
    for module, bag, question in ((ours, double, asked), (reader.ours.eval(), samples, questions)):
        found = reader.packed(bag, question, module)
        worst = max(apart(found.view_as(expected), expected), apart(gradient(found, reader.shared(module)), slope))
    return worst


def bag_cases(sizes: Sizes) -> Iterator[Callable[[], Case]]:
    """Bags of many patients and of one, three ways to read them."""
    for count, num in sizes.bags:
        many = count > 1
        goals = {"ours / floor": 1.7, "bf16 / floor": 1.0} if many else {"ours / floor": 1.6, "memory / bag": 1.9}
        yield partial(bag_case, co_attention, sizes, count, num, goals)
        yield partial(bag_case, latent_attention, sizes, count, num, goals)
        yield partial(bag_case, gated_attention, sizes, count, num, {})
        yield partial(bag_case, partial(gated_attention, hidden=16), sizes, count, num, {})
        if many:
            least = {"peer / ours": 3.0, "peer / bf16": 5.0} if num < 2000 else {"peer / ours": 1.8, "peer / bf16": 3.5}
            yield partial(bag_case, whole_mcat, sizes, count, num, least)


def bag_case(
    make: Callable[[Sizes, int], Reader], sizes: Sizes, count: int, num: int, goals: Mapping[str, float]
) -> Case:
    """One way to read bags."""
    torch.manual_seed(0)
    reader = make(sizes, count)
    difference = check_reader(reader, sizes.width)
    samples = bags([num] * count, sizes.width)
    half = replace(samples, rows=samples.rows.bfloat16())
    ours, asked = reader.ours.train(), reader.questions
    quiet = copy.deepcopy(reader.peer).eval()
    works = {
        "ours": step(ours, partial(reader.packed, samples, asked)),
        "bf16": step(ours, partial(reader.packed, half, asked), bf16=True),
        "floor": floor_of(samples.rows, sizes.dim),
        "peer": step_by_patient(reader.peer.train(), list(reader.single(samples, asked))),
        "peer, no dropout": step_by_patient(quiet, list(reader.single(samples, asked, quiet))),
    }
    size = samples.rows.nbytes if count == 1 else None
    return Case(f"{reader.name}, {count} x {num:,} patches", works, difference, goals, size)


# --- omics -----------------------------------------------------------------------------------------------------------


def vectors(rows: Tensor) -> Samples:
    """One row per sample."""
    return Samples(rows, torch.arange(len(rows) + 1), torch.arange(len(rows)))


def pathway_case(sizes: Sizes) -> Case:
    """Tokens of overlapping pathways."""
    torch.manual_seed(0)
    most = max(sizes.genes // 20, 2)
    counts = torch.linspace(2, most**0.5, sizes.pathways).square().long().clamp(min=1)
    columns = [tuple(torch.randperm(sizes.genes)[:number].tolist()) for number in counts.tolist()]
    groups = {str(place): genes for place, genes in enumerate(columns)}
    ours = PathwayTokensEncoder(
        num_features=sizes.genes, groups=groups, dim=sizes.dim, hidden=16, dropout=0.0, feature_dropout=0.0
    )  # fmt: skip
    stirred(ours)
    loop, shipped = PathwayLoop(ours, columns), PathwayNetworks(columns, sizes.dim)
    rows = torch.randn(sizes.batch, sizes.genes)
    reference = PathwayLoop(copy.deepcopy(ours).double(), columns)
    difference = apart(ours(vectors(rows))[:, :-1], reference(rows.double()))
    works = {
        "ours": step(ours, lambda: ours(vectors(rows))),
        "peer": step(loop, lambda: loop(rows)),
        "SurvPath's networks": step(shipped, lambda: shipped(rows)),
    }
    return Case(
        f"tokens of {sizes.pathways} pathways over {sizes.genes:,} genes, {sizes.batch} patients",
        works,
        difference,
        {"SurvPath's networks / ours": 10.0},
    )


def region_case(sizes: Sizes) -> Case:
    """CpGs to tokens of chromosomes; the peer's way is a dense layer over all of them."""
    torch.manual_seed(0)
    group = torch.arange(sizes.sites) * sizes.regions // sizes.sites
    groups = {str(k): tuple((group == k).nonzero().squeeze(1).tolist()) for k in range(sizes.regions)}
    ours = RegionTokensEncoder(num_features=sizes.sites, groups=groups, dim=sizes.dim, feature_dropout=0.0)
    rows = torch.randn(sizes.batch, sizes.sites)
    ours.prepare(vectors(rows))
    stirred(ours)
    double = copy.deepcopy(ours).double()
    weight_PI = 1.0 + double.deviation * double.step[:, None]
    each_SPI = rows.double()[:, double.region, None] * weight_PI * double.share[:, None]
    expected = torch.stack([each_SPI[:, double.group == k].sum(dim=1) / double.sd[k] for k in range(sizes.regions)], 1)
    difference = apart(ours.sums(rows)[..., 1:], expected)
    layer = nn.Linear(sizes.sites, sizes.dim)
    works = {"ours": step(ours, lambda: ours(vectors(rows))), "peer": step(layer, lambda: layer(rows))}
    name = f"{sizes.sites:,} CpGs into {sizes.regions} regions, {sizes.batch} patients"
    return Case(name, works, difference)


def variant_case(sizes: Sizes) -> Case:
    """Variants by embedding; the peer's way is a dense layer over a table of all genes."""
    torch.manual_seed(0)
    ours = VariantSetEncoder(num_features=9, num_genes=sizes.genes, dim=sizes.dim, dropout=0.0)
    count = sizes.batch * sizes.variants
    rows = torch.cat([torch.randint(2, sizes.genes, (count, 1)).float(), torch.randn(count, 8)], dim=1)
    samples = Samples(rows, sizes.variants * torch.arange(sizes.batch + 1), torch.arange(sizes.batch))
    hit = torch.zeros(sizes.batch, sizes.genes)
    hit.index_put_((samples.sample_of_row, rows[:, 0].long()), torch.ones(count), accumulate=True)
    peer = MultiHot(ours.gene.weight)
    total = torch.stack([bag.sum(dim=0) for bag in rows[:, 1:].double().split(sizes.variants)])
    expected = hit.double() @ peer.gene.double() + total @ ours.dense.weight.double().T
    difference = apart(ours(samples)[:, 0], expected)  # a fresh encoder is linear
    table = nn.EmbeddingBag(sizes.genes, sizes.dim, mode="sum")
    genes, edges = rows[:, 0].long(), samples.offsets[:-1]
    works = {
        "ours": step(ours, lambda: ours(samples)),
        "peer": step(peer, lambda: peer(hit)),
        "EmbeddingBag alone": step(table, lambda: table(genes, edges)),
    }
    return Case(f"{sizes.variants} variants in {sizes.genes:,} genes, {sizes.batch} patients", works, difference)


# --- visits ----------------------------------------------------------------------------------------------------------


def visit_case(sizes: Sizes) -> Case:
    """A GRU that fades over gaps; the peer's way is a cell per patient and visit."""
    torch.manual_seed(0)
    ours = DecayGRU(dim=sizes.state, hidden=sizes.state, dropout=0.0)
    stirred(ours)
    shape = (sizes.patients, sizes.visits)
    mask = torch.arange(sizes.visits) < torch.randint(1, sizes.visits + 1, (sizes.patients, 1))
    day = (60 * torch.rand(shape)).cumsum(dim=1) * mask
    visits = torch.randn(*shape, sizes.state)
    double = CellLoop(copy.deepcopy(ours)).double()
    difference = apart(ours(visits, day, mask)[mask], double(visits.double(), day.double(), mask))
    loop, packed = CellLoop(copy.deepcopy(ours)), PackedGRU(ours)
    works = {
        "ours": step(ours, lambda: ours(visits, day, mask)[mask]),
        "nn.GRU": step(packed, lambda: packed(visits, day, mask)[mask]),
        "peer": step(loop, lambda: loop(visits, day, mask)),
    }
    name = f"decay GRU, {sizes.state} wide, {sizes.patients} patients of up to {sizes.visits} visits"
    return Case(name, works, difference, {"ours / nn.GRU": 1.0})


# --- the table -------------------------------------------------------------------------------------------------------


def measure(case: Case, repetitions: int) -> dict[str, Any]:
    """Seconds of every repetition, medians and ratios."""
    seconds = interleaved(case.works, repetitions=repetitions, clock=CPU, warm_up=1)
    median = medians(seconds)
    ratios = {f"{name} / floor": median[name] / median["floor"] for name in ("ours", "bf16") if "floor" in median}
    ratios |= {f"peer / {name}": median["peer"] / median[name] for name in ("ours", "bf16") if name in median}
    rest = [name for name in median if name not in ("ours", "bf16", "floor", "peer", "nn.GRU")]
    ratios |= {f"{name} / ours": median[name] / median["ours"] for name in rest}
    if "nn.GRU" in median:
        ratios["ours / nn.GRU"] = median["ours"] / median["nn.GRU"]
    peak = peak_memory(case.works["ours"]) if case.bag_bytes else None
    if case.bag_bytes and peak is not None:
        ratios["memory / bag"] = peak / case.bag_bytes
    return {"cpu_seconds": seconds, "median": median, "ratios": ratios, "goals": case.goals, "differs": case.difference}


#: Ratios that have a column of their own.
RATIOS = ("ours / floor", "bf16 / floor", "peer / ours", "peer / bf16", "memory / bag")


def row(name: str, found: Mapping[str, Any]) -> dict[str, str]:
    """One line of the table; a ratio that misses its goal says which."""

    def ratio(key: str) -> str:
        if key not in found["ratios"]:
            return "-"
        value, goal = found["ratios"][key], found["goals"].get(key)
        least = not key.startswith(("ours", "bf16", "memory"))
        missed = goal is not None and (value < goal if least else value > goal)
        return f"{value:.2f}" + (f" (goal {'>=' if least else '<='} {goal:g})" if missed else "")

    milliseconds = {key: f"{1e3 * value:.1f}" for key, value in found["median"].items()}
    others = [f"{key} {ratio(key)}" for key in found["ratios"] if key not in RATIOS]
    return {
        "work": name,
        **{f"{key}, ms": milliseconds.get(key, "-") for key in ("ours", "bf16", "floor", "peer")},
        **{key: ratio(key) for key in RATIOS},
        "besides": ", ".join(others) or "-",
        "differs by": f"{found['differs']:.0e}",
    }


def cases(sizes: Sizes) -> Iterator[Callable[[], Case]]:
    """All of them; each is made when its turn comes, so that one bag at a time is in memory."""
    yield from bag_cases(sizes)
    yield from (partial(make, sizes) for make in (pathway_case, region_case, variant_case, visit_case))
    yield partial(visit_case, replace(sizes, state=4 * sizes.state))


def table(sizes: Sizes, *, repetitions: int = REPETITIONS, only: str = "") -> tuple[dict[str, Any], str]:
    """Everything measured, and its table.

    Raises:
        ArithmeticError: Ours and the plain reference do not agree.
    """
    results, rows = {}, []
    for make in cases(sizes):
        case = make()
        if not re.search(only, case.name):
            continue
        if not case.difference < 1e-5:
            raise ArithmeticError(f"{case.name}: ours differs from the plain reference by {case.difference:.1e}")
        results[case.name] = measure(case, repetitions)
        rows.append(row(case.name, results[case.name]))
    return results, markdown(rows)


def main(words: Sequence[str]) -> int:
    """Measure, print the table, and write JSON where `out=FILE` is given."""
    sizes = replace(Sizes(), bags=(*Sizes().bags, (1, 60_000))) if "large=true" in words else Sizes()
    said = dict(word.split("=", 1) for word in words)
    torch.set_num_threads(int(said.get("threads", 1)))
    results, printed = table(sizes, only=said.get("only", ""))
    print(printed)
    save(results, words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
