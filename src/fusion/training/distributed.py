"""One fit by several processes: each holds a part of the patients, and the loss is that of all of them.

A partial likelihood compares patients, so a mean of the losses of parts is another loss. Here every rank computes the
outputs of its own patients, the outputs of all are summed into one table, and every rank takes the loss of the whole:
a step is that of one process, but for rounding and for the draws of dropout.

The ranks are started here, for the steps alone, and end with them. Preprocessing, plain models, pretraining,
calibration, prediction and every file are the business of the process that began, which is rank 0. Lightning sees one
device per process and starts none: its own strategies run the command again, which inside a sweep repeats the sweep.

Dimension key: B patients of the batch, P those of a rank, T visits, E members, O outputs of a head, W columns of the
table: outputs of all tasks side by side.
"""

import heapq
import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, distributed, nn

from fusion.data.dataset import select_patients
from fusion.models.modality_outputs import ModalityOutputs
from fusion.models.patient_model import PatientModel
from fusion.training.auxiliary import auxiliary_loss
from fusion.training.batched import Wanted
from fusion.training.callbacks import Patience, SeededSteps
from fusion.training.device import resident
from fusion.training.loop import train
from fusion.training.module import EnsembleModule
from fusion.types import PatientBatch, TensorContainer


@dataclass(frozen=True)
class Share(TensorContainer):
    """What one rank has of a batch.

    Attributes:
        mine: The patients of this rank, with their samples.
        everyone: All patients of the batch, with their targets and without samples.
        place: Where in `everyone` each patient of `mine` is, increasing.
    """

    mine: PatientBatch
    everyone: PatientBatch
    place: Int[Tensor, " P"]

    def pick(self, chosen: Int[Tensor, " C"]) -> "Share":
        """The same of some patients of the batch; a rank may have none of them."""
        order = self.place.new_full((self.everyone.num_patients,), -1)
        order[self.place] = torch.arange(len(self.place), device=order.device)
        held = order[chosen.to(order.device)]
        mine = select_patients(self.mine, held[held >= 0])
        everyone = select_patients(self.everyone, chosen)
        return Share(mine=mine, everyone=everyone, place=torch.nonzero(held >= 0).squeeze(1))


@dataclass(frozen=True)
class Part(TensorContainer):
    """Patients of a rank that one member is asked about, and where in the whole batch they are."""

    batch: PatientBatch
    place: Int[Tensor, " N"]


def _parts(share: Share, asked: Bool[Tensor, "E B"]) -> list[Part]:
    held = [torch.nonzero(asked_B[share.place]).squeeze(1) for asked_B in asked]
    return [Part(select_patients(share.mine, places), share.place[places]) for places in held]


def share_out(batch: PatientBatch, ranks: int) -> list[Share]:
    """A share of the batch for each of some ranks, alike in rows of samples."""
    rank_B = deal_patients(batch, ranks)
    everyone = replace(batch, samples={}, summary=None)
    places = [torch.nonzero(rank_B == rank).squeeze(1) for rank in range(ranks)]
    bare = replace(batch, targets={}, summary=None, offset={})
    return [Share(mine=select_patients(bare, place), everyone=everyone, place=place) for place in places]


def deal_patients(batch: PatientBatch, ranks: int) -> Int[Tensor, " B"]:
    """Rank of each patient: the largest first, each to the rank that has the fewest rows so far."""
    rows_B = batch.visit_mask.sum(dim=1)
    for samples in batch.samples.values():
        rows_B = rows_B.index_add(0, samples.slot // batch.num_visits, samples.offsets.diff())
    rank_B = torch.zeros_like(rows_B)
    loads = [(0, rank) for rank in range(ranks)]
    for patient in torch.argsort(rows_B, descending=True, stable=True).tolist():
        load, rank = heapq.heappop(loads)
        rank_B[patient] = rank
        heapq.heappush(loads, (load + int(rows_B[patient]), rank))
    return rank_B


class SumOverRanks(torch.autograd.Function):
    """Sum of a tensor over the ranks, for a loss that every rank then computes alike.

    Each rank has the whole gradient already. It goes back times the number of ranks, since gradients of parameters are
    averaged over them: so those of a part before the sum add up, and those after it stay what they are.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * distributed.get_world_size()


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace gradients by their mean over the ranks; a parameter has none if it has none on any rank."""
    flat = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
    there = torch.tensor([float(p.grad is not None) for p in parameters], device=flat[0].device)
    total = torch.cat([there.to(flat[0]), *flat])
    distributed.all_reduce(total)
    there, mean = total[: len(parameters)], total[len(parameters) :] / distributed.get_world_size()
    pieces = mean.split([p.numel() for p in parameters])
    for parameter, piece, known in zip(parameters, pieces, (there > 0).tolist(), strict=True):
        parameter.grad = piece.view_as(parameter).clone() if known else None


class RankModule(EnsembleModule):
    """Trains the learners of an ensemble on a share of the patients, beside the other ranks.

    Weights, averages, best epochs and what is logged are the same on all ranks.

    Raises:
        ValueError: The members mix patients, who may be of different ranks.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._shared: tuple[tuple[str, ...], list[Part]] | None = None
        if any(cast(PatientModel, learner).mixup for learner in self.learners):
            raise ValueError("several ranks cannot mix patients: model.mixup=0, or one process with trainer.ranks=1")

    def batch_learners(self, batch: PatientBatch, wanted: Wanted = "auto", batch_size: int | None = None) -> None:
        """Never as one model: of each learner only the outputs for this rank's patients are wanted."""
        self.one_by_one = "the patients are divided over ranks"

    def training_step(self, share: Share, batch_idx: int) -> Float[Tensor, ""]:  # type: ignore[override]
        everyone = share.everyone
        member_E1 = torch.arange(len(self.learners), device=everyone.day.device)[:, None]
        trained_EB = self.inner_folds(everyone) != member_E1
        if self._shared is None or self._shared[0] is not everyone.patient_ids:
            self._shared = (everyone.patient_ids, _parts(share, trained_EB))  # without batches the same each time
        table_EBTW = self.outputs_of_all(self.learners, share, self._shared[1], alone=self.ensemble.auxiliary > 0)
        combines = zip(self.ensemble.combine, table_EBTW, trained_EB, strict=True)
        losses = [self._loss(combine, table, everyone, on.float()) for combine, table, on in combines if on.any()]
        loss = torch.stack(losses).sum()
        self.note_loss(loss, everyone.num_patients)
        return loss

    def on_after_backward(self) -> None:
        average_gradients([p for group in self.trainer.optimizers[0].param_groups for p in group["params"]])

    def validate(self, share: Share) -> None:  # type: ignore[override]
        inner_B = self.inner_folds(share.everyone)
        member_E1 = torch.arange(len(self.averages), device=inner_B.device)[:, None]
        table_EBTW = self.outputs_of_all(self.averages, share, _parts(share, inner_B == member_E1))
        held_out = (inner_B < self.ensemble.num_members).to(share.everyone.day.dtype)
        losses = self.ensemble.loss(self._by_task(table_EBTW.sum(dim=0)), share.everyone, held_out)
        agreed = torch.stack(list(losses.values()))
        distributed.broadcast(agreed, 0)  # ranks that round differently would stop at different epochs
        self.take_losses(dict(zip(losses, agreed, strict=True)))

    def outputs_of_all(
        self, members: nn.ModuleList, share: Share, parts: Sequence[Part], *, alone: bool = False
    ) -> Float[Tensor, "E B T W"]:
        """What each member says of the patients that it is asked about, whichever rank holds them; zero of the others.

        Args:
            members: The members.
            share: What this rank has of the batch.
            parts: Whom of them each member is asked about.
            alone: Whether to add what each modality says alone, and whether it was seen, in further columns.
        """
        tasks, everyone = tuple(self._tasks), share.everyone
        empty = everyone.day.new_zeros(len(parts), everyone.num_patients, everyone.num_visits, sum(self._widths(alone)))
        table = empty.flatten(0, 1)
        for index, (member, part) in enumerate(zip(members, parts, strict=True)):
            if len(part.place):
                rows = _said(cast(PatientModel, member), part.batch, tasks, alone).to(table.dtype)
                table = table.index_copy(0, index * everyone.num_patients + part.place, rows)
        if torch.is_grad_enabled() and not table.requires_grad:
            table.requires_grad_()  # a rank that holds none of them takes part all the same
        total: Tensor = SumOverRanks.apply(table)
        return total.view_as(empty)

    @property
    def _tasks(self) -> dict[str, int]:
        """Width of the head of every task."""
        return {task: self.ensemble.loss_of(task).num_outputs for task in self.ensemble.losses}

    def _widths(self, alone: bool) -> list[int]:
        names = cast(PatientModel, self.learners[0]).modalities if alone else ()
        return [*self._tasks.values()] * (1 + len(names)) + [1] * len(names)

    def _by_task(self, table: Float[Tensor, "B T W"]) -> dict[str, Float[Tensor, "B T O"]]:
        return dict(zip(self._tasks, table.split(self._widths(False), dim=-1), strict=True))

    def _loss(
        self, combine: nn.Module, table: Float[Tensor, "B T W"], batch: PatientBatch, share: Float[Tensor, " B"]
    ) -> Float[Tensor, ""]:
        """Loss of one member, as `Ensemble.training_loss` has it."""

        def combined(outputs: Any, asked: PatientBatch, of: Tensor) -> Tensor:
            total: Tensor = combine(self.ensemble.loss(outputs, asked, of))
            return total

        auxiliary = self.ensemble.auxiliary
        if not auxiliary:
            return combined(self._by_task(table), batch, share)
        names = cast(PatientModel, self.learners[0]).modalities
        parts = table.split([*[sum(self._tasks.values())] * (1 + len(names)), *[1] * len(names)], dim=-1)
        outputs = {name: self._by_task(part) for name, part in zip(names, parts[1:], strict=False)}
        seen = {name: part[..., 0] > 0 for name, part in zip(names, parts[1 + len(names) :], strict=True)}
        also = auxiliary_loss(combined, ModalityOutputs(outputs=outputs, seen=seen), batch, share)
        return combined(self._by_task(parts[0]), batch, share) + auxiliary * also


def _said(member: PatientModel, batch: PatientBatch, tasks: Sequence[str], alone: bool) -> Float[Tensor, "P T W"]:
    """Outputs of all tasks side by side; then those of every modality alone, and where it was seen."""
    tokens = member.place(batch)
    outputs = member(batch, tokens=tokens)
    columns = [outputs[task] for task in tasks]
    if alone:
        by_modality = member.modality_outputs(batch, tokens=tokens)
        columns += [by_modality.outputs[name][task] for name in member.modalities for task in tasks]
        columns += [by_modality.seen[name][..., None].to(columns[0]) for name in member.modalities]
    return torch.cat(columns, dim=-1)


class StopTogether(pl.Callback):
    """Whether training is over is for rank 0 to say: it alone has the callbacks of the run."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        over = torch.tensor(float(trainer.should_stop), device=pl_module.device)
        distributed.broadcast(over, 0)
        trainer.should_stop = bool(over)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How the steps of a fit are taken, on every rank alike.

    Attributes:
        make_trainer: Builds a Trainer, given `default_root_dir`, `callbacks` and `logger`; defined in a module, so that
            another process can have it.
        folder: Folder of the fold.
        batch_size: Patients of a step, of all ranks together; None for all at once.
        patience: Validation rounds without progress before training stops.
        seed: Of the order of the patients. Dropout draws from `seed + rank`: the same draws on every rank would hide
            the same things from the patients that stand at the same place.
    """

    make_trainer: Callable[..., pl.Trainer]
    folder: Path
    batch_size: int | None
    patience: int
    seed: int


def train_in_ranks(trainer: pl.Trainer, module: RankModule, batch: PatientBatch, ranks: int, steps: Steps) -> None:
    """Train to the end with so many processes, of which this is the first; the module has the result.

    Args:
        trainer: That of rank 0, with the callbacks and the logger of the run.
        module: What is trained.
        batch: All patients, on the CPU.
        ranks: Processes.
        steps: How the steps are taken.

    Raises:
        ValueError: There are fewer GPUs than ranks.
        RuntimeError: Another rank failed.
    """
    on_gpu = trainer.strategy.root_device.type == "cuda"
    if on_gpu and torch.cuda.device_count() < ranks:
        raise ValueError(f"{ranks} ranks need as many GPUs, and {torch.cuda.device_count()} is here: set trainer.ranks")
    backend = "nccl" if on_gpu else "gloo"
    trainer.callbacks.append(StopTogether())  # type: ignore[attr-defined]
    first, *others = share_out(batch, ranks)
    store = distributed.TCPStore("127.0.0.1", 0, ranks, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    threads = torch.get_num_threads()
    each = max(1, threads // ranks)
    processes = []
    try:
        for rank, share in enumerate(others, start=1):
            # As bytes: tensors handed over by torch would lie in shared memory, and both ranks would write to them.
            work = pickle.dumps((module, share, steps))
            process = _context().Process(
                target=_follow, args=(work, rank, ranks, store.port, backend, each), daemon=True
            )
            process.start()
            processes.append(process)
        _wait_for(processes, store)
        torch.set_num_threads(each)
        with _group(store, 0, ranks, backend), _ending(processes):
            _train(trainer, module, first, steps)
        for process in processes:
            process.join()
    finally:
        torch.set_num_threads(threads)
        for process in processes:
            process.terminate()
            process.join()


def _follow(work: bytes, rank: int, ranks: int, port: int, backend: str, threads: int) -> None:
    """The body of another rank: it takes the same steps on its share and leaves nothing behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; rank 0 ends the others
    torch.set_num_threads(threads)
    module, share, steps = pickle.loads(work)  # of the process that started this one
    device = {"devices": [rank]} if backend == "nccl" else {}
    callbacks = [Patience(steps.patience), SeededSteps(steps.seed + rank), StopTogether()]
    trainer = steps.make_trainer(
        default_root_dir=str(steps.folder), callbacks=callbacks, logger=False, enable_checkpointing=False, **device
    )
    store = distributed.TCPStore("127.0.0.1", port, ranks, is_master=False)  # type: ignore[attr-defined]
    store.set(f"rank {rank}", "ready")
    with _group(store, rank, ranks, backend):
        _train(trainer, module, share, steps)


def _train(trainer: pl.Trainer, module: RankModule, share: Share, steps: Steps) -> None:
    near = resident(share, trainer.strategy.root_device)
    train(
        *(trainer, module, near, near.pick),
        num_patients=share.everyone.num_patients,
        batch_size=steps.batch_size,
        seed=steps.seed,
        last=steps.folder / "last.ckpt",
    )


def _context() -> Any:
    """Processes begin as copies of one that has imported all this and has touched no GPU, where the system can."""
    methods = multiprocessing.get_all_start_methods()
    if multiprocessing.get_start_method() not in methods:  # a worker of joblib has one that no other process knows
        multiprocessing.set_start_method("spawn", force=True)
    if "forkserver" not in methods:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "fusion.training.distributed"])
    return context


def _wait_for(processes: Sequence[BaseProcess], store: Any) -> None:
    """Wait until every other rank is there, or one has failed."""
    keys = [f"rank {rank}" for rank in range(1, len(processes) + 1)]
    while not store.check(keys):
        _blame(processes)
        time.sleep(0.02)


def _blame(processes: Sequence[BaseProcess], error: Exception | None = None) -> None:
    for rank, process in enumerate(processes, start=1):
        if process.exitcode:
            raise RuntimeError(f"rank {rank} of the training failed; its own words stand above") from error


@contextmanager
def _ending(processes: Sequence[BaseProcess]) -> Iterator[None]:
    """After an error end the other ranks, before they complain of a lost connection; if one of them made it, say so."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception):
            time.sleep(0.5)  # one that has just failed takes a moment to end
            _blame(processes, error)
        for process in processes:
            process.terminate()
        raise


@contextmanager
def _group(store: Any, rank: int, ranks: int, backend: str) -> Iterator[None]:
    distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks)
    try:
        yield
    finally:
        distributed.destroy_process_group()
