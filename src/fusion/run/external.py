"""`evaluate` on another cohort: recalibration and what differs from the training cohort."""

from omegaconf import DictConfig


def evaluate_external(config: DictConfig) -> int:
    """Score predictions on a cohort that the run has not seen."""
    raise NotImplementedError
