"""The path of an elastic-net Cox model by accelerated proximal gradient steps (Beck & Teboulle 2009).

N rows, D columns.
"""

from collections.abc import Iterator

import numpy as np

from fusion.baselines.newton import Bools, Floats, PartialLikelihood

#: Steps of the path, from the penalty that empties the model to this share of it.
NUM_PENALTIES, LEAST_SHARE = 30, 0.05

#: A penalty is done with once every coefficient is pulled as hard as it pulls, up to this, or after so many steps.
TOLERANCE, MAX_STEPS = 3e-3, 100


def elastic_net_path(
    design: Floats,
    duration: Floats,
    event: Bools,
    l1_ratio: float,
    *,
    num_penalties: int = NUM_PENALTIES,
    least_share: float = LEAST_SHARE,
    tolerance: float = TOLERANCE,
) -> Iterator[Floats]:
    """Coefficients along a path of falling penalties that starts at none (Simon et al. 2011).

    The objective is the mean log partial likelihood (Efron) less
    `penalty * (l1_ratio * |b|_1 + (1 - l1_ratio) / 2 * |b|^2)`.

    Args:
        design: Standardised columns, "N D".
        duration: Time to event or censoring, "N".
        event: True where the event was reached, "N".
        l1_ratio: Share of the absolute penalty, above 0 and at most 1; the rest is ridge.
        num_penalties: Steps of the path.
        least_share: Last penalty, as a share of the first.
        tolerance: Largest violation of the optimality conditions at which a step of the path is done with.

    Yields:
        Coefficients, "D", of each penalty in turn, made when they are asked for; zeros where there is no column or no
        event.
    """
    num_rows, num_columns = design.shape
    beta, step, largest = np.zeros(num_columns), 1.0, 0.0
    likelihood = PartialLikelihood(duration, event)
    if event.any():
        _, residuals = likelihood.value_and_residuals(np.zeros(num_rows))
        largest = np.abs(design.T @ residuals).max(initial=0.0) / num_rows / l1_ratio
    if largest <= 0:
        yield from [beta] * num_penalties
        return
    for penalty in largest * np.geomspace(1.0, least_share, num_penalties):
        ahead, momentum = beta, 1.0
        for _ in range(MAX_STEPS):
            value, residuals = likelihood.value_and_residuals(design @ ahead)
            slope = -(design.T @ residuals) / num_rows
            while True:  # the step is halved until the quadratic model lies above the objective
                proposed = _shrunk(ahead - step * slope, step * penalty, l1_ratio)
                move = proposed - ahead
                risen = (value - likelihood.value(design @ proposed)) / num_rows
                if risen <= slope @ move + move @ move / (2 * step) + 1e-12:
                    break
                step /= 2
            if (ahead - proposed) @ (proposed - beta) > 0:  # overshot: start the acceleration anew
                momentum = 1.0
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = proposed + (momentum - 1) / following * (proposed - beta)
            moved, beta, momentum = np.abs(proposed - beta).max(), proposed, following
            if moved <= tolerance * step:
                break
        yield beta
        step *= 1.5


def _shrunk(values: Floats, penalty: float, l1_ratio: float) -> Floats:
    """Values drawn towards zero by the elastic net, those within reach of it to zero itself."""
    return np.sign(values) * np.maximum(np.abs(values) - penalty * l1_ratio, 0.0) / (1 + penalty * (1 - l1_ratio))
