"""A fold that is stopped anywhere and taken up again ends as one that ran straight through."""

import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from folds import fit, predicted, recipe_for
from safetensors.torch import load_file

from fusion.data.cohort import Cohort
from fusion.training.fold import load_fold


class Stop(pl.Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch: int, error: BaseException) -> None:
        self.epoch, self.error = epoch, error

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.current_epoch == self.epoch:
            raise self.error


class FirstEpoch(pl.Callback):
    """Notes where training began."""

    epoch: int | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epoch = trainer.current_epoch if self.epoch is None else self.epoch


def assert_same_fold(one: Path, other: Path) -> None:
    weights, others = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    for name in ("preprocessing.json", "preprocessing.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    epochs, others = pd.read_csv(one / "metrics.csv"), pd.read_csv(other / "metrics.csv")
    pd.testing.assert_frame_equal(epochs, others, check_like=True)


@pytest.mark.parametrize(
    ("epoch", "batch_size", "seconds"), [(1, 5, 0), (4, "null", 0), (6, "null", 1000), (6, 5, 0), (9, 5, 1000)]
)
def test_resumed_fold_equals_straight_fold(
    epoch: int, batch_size: int | str, seconds: int, tiny_cohort: Cohort, tmp_path: Path
):
    words = ["trainer.lightning.max_epochs=12", "trainer.lightning.check_val_every_n_epoch=2"]
    words += [f"trainer.checkpoint_seconds={seconds}"]
    recipe = recipe_for(tiny_cohort, *words, f"trainer.batch_size={batch_size}")
    fit(tiny_cohort, tmp_path / "straight", recipe)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(tiny_cohort, tmp_path / "resumed", recipe, callbacks=[Stop(epoch, RuntimeError("power cut"))])
    began = FirstEpoch()
    fit(tiny_cohort, tmp_path / "resumed", recipe, callbacks=[began])
    saved = 2 if seconds else epoch // 2 * 2  # after the first validation, or after each
    assert began.epoch == saved, "from the last checkpoint, not from the start"
    assert_same_fold(tmp_path / "straight", tmp_path / "resumed")


def test_a_fold_that_had_stopped_early_is_not_trained_on(tiny_cohort: Cohort, tmp_path: Path):
    words = ["trainer.lightning.max_epochs=60", "trainer.lightning.check_val_every_n_epoch=1", "trainer.patience=2"]
    recipe = recipe_for(tiny_cohort, *words, "optimizer.lr=0.3")
    straight = tmp_path / "straight"
    fit(tiny_cohort, straight, recipe)
    epochs = len(pd.read_csv(straight / "metrics.csv"))
    assert epochs < 60, "this rate must overshoot for the test to mean anything"
    shutil.copytree(straight, tmp_path / "moved")
    (tmp_path / "moved" / "model.safetensors").unlink()
    fit(tiny_cohort, tmp_path / "moved", recipe)
    assert_same_fold(straight, tmp_path / "moved")


def test_the_best_epoch_is_remembered_in_a_folder_that_was_moved(tiny_cohort: Cohort, tmp_path: Path):
    words = ["trainer.lightning.max_epochs=12", "trainer.lightning.check_val_every_n_epoch=1", "optimizer.lr=0.3"]
    words += ["trainer.checkpoint_seconds=0"]
    recipe = recipe_for(tiny_cohort, *words, "trainer.patience=20")
    fit(tiny_cohort, tmp_path / "straight", recipe)
    with pytest.raises(RuntimeError):
        fit(tiny_cohort, tmp_path / "here", recipe, callbacks=[Stop(8, RuntimeError())])
    shutil.move(tmp_path / "here", tmp_path / "there")
    fit(tiny_cohort, tmp_path / "there", recipe)
    assert_same_fold(tmp_path / "straight", tmp_path / "there")
    assert not (tmp_path / "here").exists()


def test_ctrl_c_is_a_keyboard_interrupt_with_a_checkpoint_behind_it(tiny_cohort: Cohort, tmp_path: Path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores the signal
    recipe = recipe_for(tiny_cohort, "trainer.lightning.max_epochs=12", "trainer.lightning.check_val_every_n_epoch=2")
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_cohort, tmp_path, recipe, callbacks=[Stop(5, KeyboardInterrupt())])
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert (tmp_path / "last.ckpt").exists()
    assert not (tmp_path / "model.safetensors").exists()


def test_a_fold_taken_up_from_disk_predicts_the_same(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_for(tiny_cohort)
    fitted = fit(tiny_cohort, tmp_path, recipe)
    again = load_fold(tmp_path, recipe)
    pd.testing.assert_frame_equal(
        predicted(fitted, tiny_cohort, recipe), predicted(again, tiny_cohort, recipe), check_exact=True
    )


def test_checkpoints_hold_no_pickled_object(tiny_cohort: Cohort, tmp_path: Path):
    fit(tiny_cohort, tmp_path, recipe_for(tiny_cohort))
    for name in ("best.ckpt", "last.ckpt"):
        assert "state_dict" in torch.load(tmp_path / name, weights_only=True)
