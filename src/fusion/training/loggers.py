"""Where the numbers of an epoch go by default: a plain table in the folder of the fold."""

from pathlib import Path

from pytorch_lightning.loggers import CSVLogger


def csv_logger(*, folder: Path) -> CSVLogger:
    """`metrics.csv` in the folder itself."""
    return CSVLogger(save_dir=str(folder), name="", version="")
