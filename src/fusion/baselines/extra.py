"""scikit-survival (GPL-3) is an extra, which the core does without: whether it is there, and what it can read."""

import logging
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.baselines.newton import Bools, Floats

logger = logging.getLogger(__name__)


@cache
def has_sksurv() -> bool:
    """Whether scikit-survival is installed; what is left out without it is said once."""
    found = find_spec("sksurv") is not None
    if not found:
        logger.warning(
            "boosting and forest are left out: pip install 'fusion-oncology[baselines]' brings scikit-survival"
        )
    return found


def can_learn(design: Floats, event: Bools) -> bool:
    """Whether there is a column, a second patient and an event, without which scikit-survival stops."""
    return design.shape[1] > 0 and len(design) > 1 and bool(event.any())


def outcome_array(duration: Floats, event: Bools) -> NDArray[Any]:
    """Outcome as the structured array that scikit-survival asks for."""
    outcome = np.empty(len(duration), dtype=[("event", np.bool_), ("time", np.float64)])
    outcome["event"], outcome["time"] = event, duration
    return outcome
