"""`evaluate audit=true`: the honesty checks of finished runs."""

from omegaconf import DictConfig


def audit_runs(config: DictConfig) -> int:
    """Check every run for leakage and write the findings into its folder and report."""
    raise NotImplementedError
