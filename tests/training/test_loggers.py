"""The table of epochs is whole whenever it is read, and goes on where it was."""

from pathlib import Path

import pandas as pd

from fusion.training.loggers import EpochTable


def test_an_epoch_is_written_with_the_checkpoint_or_at_the_end(tmp_path: Path) -> None:
    table = EpochTable(folder=tmp_path)
    table.log_metrics({"epoch": 0, "train/loss": 2.0})
    table.log_metrics({"epoch": 0, "val/loss": 3.0})
    table.log_metrics({"lr": 1.0})  # of no epoch
    assert not table.path.exists()
    table.save()
    table.log_metrics({"epoch": 1, "train/loss": 1.0, "val/loss": float("nan")})
    assert pd.read_csv(table.path).to_dict("list") == {"epoch": [0], "train/loss": [2.0], "val/loss": [3.0]}
    table.finalize("failed")
    assert pd.read_csv(table.path)["train/loss"].tolist() == [2.0, 1.0]
    assert table.path.read_text(encoding="utf-8").splitlines()[-1].endswith(",")  # no number where there is none


def test_a_resumed_fold_goes_on_in_the_same_table(tmp_path: Path) -> None:
    first = EpochTable(folder=tmp_path)
    for epoch in range(3):
        first.log_metrics({"epoch": epoch, "loss": float(epoch)})
    first.save()
    second = EpochTable(folder=tmp_path)
    second.log_metrics({"epoch": 2, "loss": 20.0})  # again, from a checkpoint before it
    second.log_metrics({"epoch": 3, "loss": 30.0})
    second.finalize("success")
    assert pd.read_csv(second.path)["loss"].tolist() == [0.0, 1.0, 20.0, 30.0]


def test_a_fold_that_failed_before_its_first_epoch_can_be_taken_up(tmp_path: Path) -> None:
    EpochTable(folder=tmp_path).finalize("failed")
    assert EpochTable(folder=tmp_path).rows == {}
