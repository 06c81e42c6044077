"""What goes on around the training of a fold: the progress bar, and what makes a resumed fold equal a straight one."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from fusion.training.checkpoint import whole


class SeededSteps(pl.Callback):
    """Draws of dropout depend on the seed and the number of the step alone, not on where the process began.

    Args:
        seed: Seed of the fold.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = _derived(self.seed, trainer.global_step)
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` notes the whole stack each time: milliseconds
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)


class EpochOrder(torch.utils.data.Sampler[int]):
    """Order of the patients, shuffled anew for every epoch by the seed and the number of the epoch alone.

    Args:
        size: Number of patients.
        seed: Seed of the fold.
        trainer: Knows the epoch, also of a resumed fold.
    """

    def __init__(self, size: int, seed: int, trainer: pl.Trainer) -> None:
        self.size, self.seed, self.trainer = size, seed, trainer

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(_derived(self.seed, self.trainer.current_epoch))
        return iter(torch.randperm(self.size, generator=generator).tolist())


def _derived(seed: int, number: int) -> int:
    """A seed for a numbered draw; seeds that lie side by side share no stream."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


class Patience(pl.Callback):
    """Stops after rounds of validation in which no task made progress, or once a loss is no number.

    A resumed fold that had stopped stops at once.

    Args:
        rounds: Rounds without progress.
    """

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.waited, self.best, self.stopped = 0, np.inf, False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not validated(trainer):
            return
        now = float(scores_of(pl_module)["val/best"])
        self.waited = 0 if now < self.best else self.waited + 1
        self.best = min(self.best, now)
        self.stopped = self.waited >= self.rounds or not np.isfinite(now)
        trainer.should_stop = trainer.should_stop or self.stopped

    def state_dict(self) -> dict[str, Any]:
        return {"waited": self.waited, "best": self.best, "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.waited, self.best, self.stopped = (state_dict[name] for name in ("waited", "best", "stopped"))


def validated(trainer: pl.Trainer) -> bool:
    """Whether the epoch that ends is one with validation."""
    return (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0


def scores_of(module: pl.LightningModule) -> dict[str, torch.Tensor]:
    """What the module measured last (`EnsembleModule.scores`)."""
    return cast(dict[str, torch.Tensor], module.scores)


class Checkpoints(Checkpoint):
    """Writes `last.ckpt` now and then and at the end, and `best.ckpt`, the members at their best epochs, at the end.

    Writing thousands of small tensors takes as long as some steps do, so it is not done at every validation.

    Args:
        folder: Folder of the fold.
        seconds: Least time between two of them, so about what a killed run loses.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.written = -np.inf

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if validated(trainer) and time.monotonic() - self.written >= self.seconds:
            self._write_last(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write_last(trainer)
        if trainer.is_global_zero:
            state = cast(nn.Module, pl_module.ensemble).state_dict()
            with whole(self.folder / "best.ckpt") as part:
                torch.save({"state_dict": state}, part)

    def _write_last(self, trainer: pl.Trainer) -> None:
        for logger in trainer.loggers:
            logger.save()
        with whole(self.folder / "last.ckpt") as part:
            trainer.save_checkpoint(part)
        self.written = time.monotonic()


class FitProgress(pl.Callback):
    """One bar over all fits of a run; one that stops early moves the bar to its end.

    Args:
        num_fits: Ensembles to be fitted: folds, times the trials of a search.
        max_epochs: Epochs of a fit at most.
    """

    def __init__(self, *, num_fits: int, max_epochs: int) -> None:
        self.num_fits = num_fits
        self.max_epochs = max_epochs
        self.fits = 0
        self.said = False
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.task = self.bar.add_task("fitting", total=num_fits * max_epochs)

    def __enter__(self) -> "FitProgress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say once why members are trained one by one, where that was not asked for."""
        reason = getattr(pl_module, "one_by_one", None)
        if reason and not self.said:
            self.bar.console.print(f"members are trained one by one: {reason}", markup=False)
            self.said = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        scores = scores_of(pl_module)
        losses = [f"{key} {float(scores[key]):.3f}" for key in ("train/loss", "val/loss") if key in scores]
        text = f"fit {self.fits + 1}/{self.num_fits} epoch {trainer.current_epoch + 1} " + " ".join(losses)
        self.bar.update(self.task, description=text, completed=self.fits * self.max_epochs + trainer.current_epoch + 1)

    def fit_done(self, fits: int = 1) -> None:
        """Move on to the next fit, also when this one was found finished."""
        self.fits += fits
        self.bar.update(self.task, completed=self.fits * self.max_epochs)
