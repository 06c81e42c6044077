"""The body of every command. Beside `build.py` and `cli.py` nothing else knows Hydra."""

import logging
import warnings

from fusion.run.cohorts import simulate, validate
from fusion.run.evaluate import evaluate
from fusion.run.folder import report
from fusion.run.predict import predict
from fusion.run.train import train
from fusion.run.tune import tune

# Lightning's advertisements and its notes on the devices that it found are no news of a run.
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="pytorch_lightning")

__all__ = ["evaluate", "predict", "report", "simulate", "train", "tune", "validate"]
