"""Would acting on the probability do good? Net benefit of a model and of treating everybody, under many weightings.

Dimension key: W weightings, N patients.

Net benefit is true positives minus false positives, the latter weighted by the odds of the threshold, per patient
(Vickers and Elkin 2006); with censoring, both by inverse weights. Treating nobody is zero at every threshold.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fusion.metrics.calibration import net_benefit

Floats = NDArray[np.float64]

#: Probability of the event from which a clinician would act; written down with intervals.
THRESHOLDS = (0.1, 0.25, 0.5, 0.75)
#: The same for the drawn curve.
CURVE_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 18))


def decision_statistics(
    probability: Floats,
    case: Floats,
    control: Floats,
    weights: Floats,
    *,
    at: str = "",
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, Floats]:
    """Net benefit `net_benefit<at>/<threshold>` of a model and `net_benefit_treat_all<at>/<threshold>`, "W" each."""
    grid = np.asarray(thresholds, dtype=np.float64)
    treated = {"net_benefit": probability, "net_benefit_treat_all": np.ones(len(probability))}
    values = {name: net_benefit(chance, case, control, grid, weights) for name, chance in treated.items()}
    return {
        f"{name}{at}/{threshold:g}": columns[:, place]
        for name, columns in values.items()
        for place, threshold in enumerate(thresholds)
    }
