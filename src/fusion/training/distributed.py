"""One fit by several processes: each holds a part of the patients, and the loss is that of all of them.

A partial likelihood compares patients, so a mean of the losses of parts is another loss. Here every rank computes the
outputs of its own patients, the outputs of all are summed into one table, and every rank takes the loss of the whole:
a step is that of one process, but for rounding and for the draws of dropout.

The ranks are started here, for the steps alone, and end with them. Preprocessing, plain models, pretraining,
calibration, prediction and every file are the business of the process that began, which is rank 0. Lightning sees one
device per process and starts none: its own strategies run the command again, which inside a sweep repeats the sweep.
"""

import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import distributed

from fusion.training.callbacks import Patience, SeededSteps
from fusion.training.device import resident
from fusion.training.loop import train
from fusion.training.rank_module import RankModule
from fusion.training.shares import Share, share_out
from fusion.types import PatientBatch


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
