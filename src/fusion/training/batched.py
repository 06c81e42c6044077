"""The learners of an ensemble as one model: their weights are stacked, and every operation is done for all at once.

A small model keeps no core busy: a step is hundreds of operations that each cost more to start than to do. Stacked
(`torch.func.vmap`), E members cost E times the arithmetic but are started once, and whatever rests on the batch alone
is done once for all. All members see the whole batch; a patient whom a member leaves out has no weight in its loss, so
it stands in none of its risk sets. Draws of dropout differ from member to member, as they do one by one, but come in
another order: without dropout both ways give the same weights, but for rounding.

Dimension key: E members, B patients, T visits, O outputs of a head, S samples, K tokens of a sample, D width.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from fusion.models.base import Encoder
from fusion.models.patient_model import PatientModel
from fusion.types import PatientBatch, Samples

#: Yes, no, or where it is likely to be faster.
Wanted = bool | Literal["auto"]


#: Below this many models, above this many visits of a step, or above this many numbers of its input for each modality,
#: `auto` leaves models one by one: there it was no faster on a CPU (docs/decisions/011-members-as-one-model.md).
FEWEST, VISITS, NUMBERS = 5, 3_000, 1_000_000


class GivenTokens(Encoder):
    """Stands where an encoder was whose tokens are made beforehand."""

    tokens: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(0, 1, 1))

    def forward(self, samples: Samples) -> Float[Tensor, "S K D"]:
        return self.tokens


def stacked_names(model: nn.Module, alone: Sequence[str]) -> list[str]:
    """Names of the parameters that are stacked: all but those of encoders that run one by one."""
    encoders = tuple(f"encoders.{name}." for name in alone)
    return [name for name, _ in model.named_parameters() if not name.startswith(encoders)]


def sources(models: Sequence[nn.Module], alone: Sequence[str]) -> list[tuple[nn.Parameter, ...]]:
    """For each tensor that the optimizer is given, the parameters that it stands for: E of a stack, else one."""
    names = stacked_names(models[0], alone)
    stacks = [tuple(model.get_parameter(name) for model in models) for name in names]
    singles = [p for model in models for name, p in model.named_parameters() if name not in set(names)]
    return [*stacks, *((parameter,) for parameter in singles)]


def tied(models: Sequence[nn.Module], alone: Sequence[str]) -> list[nn.Parameter]:
    """The tensors of `sources`. Parameters become views of their stack: whoever changes one changes both."""
    tensors: list[nn.Parameter] = []
    for own in sources(models, alone):
        if len(own) == 1 < len(models):
            tensors.extend(own)
            continue
        stack = torch.stack([each.detach() for each in own])
        for each, row in zip(own, stack, strict=True):
            each.data = row
        tensors.append(nn.Parameter(stack, requires_grad=own[0].requires_grad))
    return tensors


class Batched:
    """Outputs of all learners at once.

    Args:
        learners: The learners, alike but for their weights; on the device on which they are to be trained.
        alone: Modalities whose encoders run one by one.

    Attributes:
        parameters: What the optimizer is to be given; the learners' parameters are views of it.
    """

    def __init__(self, learners: Sequence[PatientModel], alone: Sequence[str] = ()) -> None:
        self.learners, self.alone = tuple(learners), tuple(alone)
        self.parameters = tied(learners, alone)
        names = stacked_names(learners[0], alone)
        self.stacks: dict[str, Tensor] = dict(zip(names, self.parameters, strict=False))
        self.template = copy.deepcopy(learners[0])
        for name in alone:
            self.template.encoders[name] = GivenTokens()
        named = [dict(learner.named_buffers()) for learner in learners]
        for name in (name for name, _ in self.template.named_buffers() if name in named[0]):
            if any(not torch.equal(other[name], named[0][name]) for other in named):
                self.stacks[name] = torch.stack([other[name] for other in named])
            # a buffer that all have in common is that of the template: what rests on it is done once

    def __call__(self, batch: PatientBatch) -> dict[str, Float[Tensor, "E B T O"]]:
        """What `PatientModel.forward` gives, of every learner."""
        self.template.train(self.learners[0].training)
        tokens = {
            f"encoders.{name}.tokens": torch.stack([each.encoders[name](batch.samples[name]) for each in self.learners])
            for name in self.alone
        }

        def one(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
            outputs: dict[str, Tensor] = functional_call(self.template, dict(own), (batch,))
            return outputs

        outputs: dict[str, Tensor] = vmap(one, randomness="different")({**self.stacks, **tokens})
        return outputs


def too_large(
    models: int, batch: PatientBatch, batch_size: int | None = None, summed: Sequence[str] = ()
) -> str | None:
    """Why models are likely to be no faster as one; None where they are likely to be.

    What is saved is the start of every operation, for each model but one. What is paid is arithmetic on patients whom
    a model leaves out, and memory that no longer fits a cache; both grow with what a step reads.

    Args:
        models: Number of models.
        batch: All patients that are trained on.
        batch_size: Patients of a step; None for all.
        summed: Modalities whose rows are not read at every step if all patients are in it (`Encoder.sums_rows`).

    >>> rows = Samples(torch.zeros(600, 2000), torch.arange(601), torch.arange(600))
    >>> patients = tuple(map(str, range(600)))
    >>> batch = PatientBatch(patients, torch.zeros(600, 1), torch.ones(600, 1, dtype=torch.bool), {"genes": rows}, {})
    >>> too_large(5, batch)
    '1,200,000 numbers for each modality in a step (as one up to 1,000,000)'
    >>> too_large(5, batch, batch_size=300)
    >>> too_large(5, batch, summed=["genes"])
    """
    part = 1.0 if batch_size is None else min(1.0, batch_size / max(batch.num_patients, 1))
    visits = part * int(batch.visit_mask.sum())
    read = [each.rows.numel() for name, each in batch.samples.items() if part < 1.0 or name not in summed]
    numbers = part * sum(read) / max(len(batch.samples), 1)
    if models < FEWEST:
        return f"{models} in number (as one from {FEWEST} on)"
    if visits > VISITS:
        return f"{visits:,.0f} visits in a step (as one up to {VISITS:,})"
    if numbers > NUMBERS:
        return f"{numbers:,.0f} numbers for each modality in a step (as one up to {NUMBERS:,})"
    return None


def cannot_stack(learners: Sequence[PatientModel], batch: PatientBatch) -> tuple[str, ...]:
    """Modalities whose encoders have to run one by one, found by trying: rows that they draw differ in number.

    Raises:
        ValueError: There is one learner, or the rest of the model cannot be stacked; says what torch says.
    """
    if len(learners) == 1:
        raise ValueError("there is one")
    models = copy.deepcopy(list(learners))
    alone = []
    for name in models[0].modalities:
        encoders = [model.encoders[name] for model in models]
        stack = {n: torch.stack([e.get_parameter(n) for e in encoders]) for n, _ in encoders[0].named_parameters()}
        try:
            with _trial():
                samples, encoder = batch.samples[name], encoders[0]
                vmap(lambda own, e=encoder, s=samples: functional_call(e, own, (s,)), randomness="different")(stack)
        except Exception:  # whatever is wrong with it: one by one it says so in its own words
            alone.append(name)
    try:
        with _trial():
            Batched(models, alone)(batch)
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"torch cannot stack them: {said}") from error
    return tuple(alone)


@contextmanager
def _trial() -> Iterator[None]:
    """Nothing is learned, drawn from the generator or warned of; a warning of torch that it has to loop is an error."""
    with torch.no_grad(), torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*performance drop.*")
        yield
