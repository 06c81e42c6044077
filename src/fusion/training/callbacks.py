"""The progress bar of a cross-validation: fold, epoch, loss and time left, in one line."""

import pytorch_lightning as pl
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class FoldProgress(pl.Callback):
    """One bar over all folds; a fold that stops early moves the bar to its end.

    Args:
        num_folds: Folds to be fitted.
        max_epochs: Epochs of a fold at most.
    """

    def __init__(self, *, num_folds: int, max_epochs: int) -> None:
        self.num_folds = num_folds
        self.max_epochs = max_epochs
        self.fold = 0
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.task = self.bar.add_task("fitting", total=num_folds * max_epochs)

    def __enter__(self) -> "FoldProgress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        losses = [f"{key} {float(trainer.callback_metrics[key]):.3f}" for key in self._keys(trainer)]
        text = f"fold {self.fold + 1}/{self.num_folds} epoch {trainer.current_epoch + 1} " + " ".join(losses)
        self.bar.update(self.task, description=text, completed=self.fold * self.max_epochs + trainer.current_epoch + 1)

    def fold_done(self) -> None:
        """Move on to the next fold, also when this one was found finished."""
        self.fold += 1
        self.bar.update(self.task, completed=self.fold * self.max_epochs)

    @staticmethod
    def _keys(trainer: pl.Trainer) -> list[str]:
        return [key for key in ("train/loss", "val/loss") if key in trainer.callback_metrics]
