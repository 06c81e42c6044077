"""The end of a sweep: its jobs side by side, as `evaluate` shows them, in the folder `variants/` of the sweep."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fusion.run.evaluate import evaluate


class CompareJobs(Callback):
    """Compares the jobs of a multirun with the first of them, once all are finished.

    Args:
        resamples: Bootstrap resamples of the table, which may be more than a job takes for its own scores.
    """

    def __init__(self, resamples: int) -> None:
        self.resamples = resamples

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if not list(folder.glob("*/predictions.parquet")):
            return
        wanted = {"runs": [str(folder)], "out": str(folder / "variants"), "audit": False, "predictions": None}
        evaluate(OmegaConf.create({**wanted, "horizons": None, "landmarks": None, "resamples": self.resamples}))
