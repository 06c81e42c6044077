"""Where the numbers of an epoch go by default: a plain table in the folder of the fold."""

import csv
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning.loggers import Logger


class EpochTable(Logger):
    """`metrics.csv`, one row per epoch; a resumed fold goes on in the same table.

    It is written at the end and before each checkpoint (`Checkpoints`), so that the table of a killed fold goes as far
    as its checkpoint: at every epoch it would cost more than all else around a small step.

    Args:
        folder: Folder of the fold.
    """

    def __init__(self, *, folder: Path) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        table = pd.read_csv(self.path) if self.path.exists() else pd.DataFrame(columns=["epoch"])
        self.rows: dict[int, dict[str, float]] = {int(row["epoch"]): row for row in table.to_dict("records")}

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to the row of the epoch; what is not of an epoch is not kept."""
        if "epoch" not in metrics:
            return
        epoch = int(metrics["epoch"])
        self.rows[epoch] = {**self.rows.get(epoch, {}), **metrics, "epoch": epoch}

    def save(self) -> None:
        """Write the table; one without an epoch could not be read again."""
        if not self.rows:
            return
        columns = list(dict.fromkeys(column for row in self.rows.values() for column in row))
        temporary = self.path.with_name(self.path.name + ".part")
        with temporary.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(columns)
            table.writerows([_cell(row.get(column)) for column in columns] for _, row in sorted(self.rows.items()))
        os.replace(temporary, self.path)

    def finalize(self, status: str) -> None:
        """Training has ended, or failed."""
        self.save()

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The config lies in the run folder; nothing to write."""


def _cell(value: float | None) -> float | str:
    """A number; nothing where there is none."""
    return "" if value is None or math.isnan(value) else value
