"""The honesty checks of a finished run: for every rule against leakage one that would catch its breach."""

from fusion.audit.checks import Study, run_checks
from fusion.audit.finding import Finding

__all__ = ["Finding", "Study", "run_checks"]
