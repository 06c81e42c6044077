"""Ridge Cox regression by Newton steps on the partial likelihood with Efron or Breslow ties.

N rows, P columns, E rows with an event. Rows are sorted by descending duration, so a risk set is a leading block.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class PartialLikelihood:
    """Log partial likelihood of some rows and its derivatives; sorting is done once.

    Args:
        duration: Time to event or censoring.
        event: True where the event was reached.
        weight: Weight of each row, positive.
        ties: Efron (1977), or Breslow (1974).
    """

    def __init__(
        self,
        duration: Floats,
        event: Bools,
        weight: Floats | None = None,
        ties: Literal["efron", "breslow"] = "efron",
    ) -> None:
        self.order = np.argsort(-duration, kind="stable")
        event = event[self.order]
        self.weight = np.ones(len(duration)) if weight is None else weight[self.order]
        _, first, size = np.unique(-duration[self.order], return_index=True, return_counts=True)
        group = np.repeat(np.arange(len(size)), size)
        self.rows = np.flatnonzero(event)
        _, self.start, self.group, deaths = np.unique(
            group[self.rows], return_index=True, return_inverse=True, return_counts=True
        )
        self.last = (first + size - 1)[group[self.rows]]
        rank = np.arange(len(self.rows)) - self.start[self.group]
        self.share = rank / deaths[self.group] if ties == "efron" else np.zeros(len(self.rows))
        self.shared = bool(self.share.any())
        self.mean_weight = self._tied(self.weight[self.rows]) / deaths[self.group]

    def _tied(self, values: Floats) -> Floats:
        """Sum over the events tied with each event; tied events stand beside each other."""
        if not len(values):
            return values
        sums: Floats = np.add.reduceat(values, self.start)[self.group]
        return sums

    def value(self, log_hazard: Floats) -> float:
        """Log partial likelihood."""
        if not len(self.rows):
            return 0.0
        eta = log_hazard[self.order]
        shift = eta.max()
        log_at_risk = np.log(self._at_risk(self.weight * np.exp(eta - shift))) + shift
        return float(self.weight[self.rows] @ eta[self.rows] - self.mean_weight @ log_at_risk)

    def derivatives(self, features: Floats, log_hazard: Floats) -> tuple[Floats, Floats]:
        """Gradient "P" and negative Hessian "P P" for `log_hazard = features @ coefficients`."""
        columns, eta = features[self.order], log_hazard[self.order]
        hazard = self.weight * np.exp(eta - eta.max())
        at_risk = self._at_risk(hazard)
        mean_EP = self._at_risk(hazard[:, None] * columns) / at_risk[:, None]
        gradient = self.weight[self.rows] @ columns[self.rows] - self.mean_weight @ mean_EP
        scaled = columns * np.sqrt(np.maximum(hazard * self._steps(at_risk), 0.0))[:, None]
        centre = mean_EP * np.sqrt(self.mean_weight)[:, None]
        return gradient, scaled.T @ scaled - centre.T @ centre

    def value_and_residuals(self, log_hazard: Floats) -> tuple[float, Floats]:
        """Log partial likelihood, and its derivative in the log hazard of each row, "N": the martingale residual."""
        eta = log_hazard[self.order]
        shift = eta.max()
        hazard = self.weight * np.exp(eta - shift)
        at_risk = self._at_risk(hazard)
        value = self.weight[self.rows] @ eta[self.rows] - self.mean_weight @ (np.log(at_risk) + shift)
        sorted_residuals = -hazard * self._steps(at_risk)
        sorted_residuals[self.rows] += self.weight[self.rows]
        residuals = np.empty_like(sorted_residuals)
        residuals[self.order] = sorted_residuals
        return float(value), residuals

    def _steps(self, at_risk: Floats) -> Floats:
        """What each row's hazard is multiplied with, summed over the risk sets that it is in."""
        last = np.bincount(self.last, self.mean_weight / at_risk, minlength=len(self.order))
        steps: Floats = last[::-1].cumsum()[::-1]
        if self.shared:
            steps[self.rows] -= self._tied(self.share * self.mean_weight / at_risk)
        return steps

    def _at_risk(self, values: Floats) -> Floats:
        """Sum over the risk set of each event, the share of the tied events that went before taken off."""
        sums: Floats = values.cumsum(axis=0)[self.last]
        if not self.shared:
            return sums
        share = self.share if values.ndim == 1 else self.share[:, None]
        return sums - share * self._tied(values[self.rows])


def solve(hessian: Floats, gradient: Floats) -> Floats:
    """Newton step by Cholesky, in two thirds of the time of what also solves a matrix that rounding left indefinite."""
    from scipy.linalg.lapack import dposv  # who predicts does not fit, and need not wait for the import

    _, step, failed = dposv(hessian, gradient)
    return np.asarray(np.linalg.solve(hessian, gradient) if failed else step)


def fit_ridge_cox(
    features: Floats,
    duration: Floats,
    event: Bools,
    penalty: Floats | float,
    *,
    weight: Floats | None = None,
    ties: Literal["efron", "breslow"] = "efron",
    tolerance: float = 1e-10,
) -> Floats:
    """Coefficients that maximise the log partial likelihood minus `sum(penalty * coefficients**2) / 2`.

    Args:
        features: Covariates, "N P"; they need no centring.
        duration: Time to event or censoring.
        event: True where the event was reached.
        penalty: One for all columns, or one per column; zero gives the plain Cox model.
        weight: Weight of each row, positive.
        ties: Efron (1977), or Breslow (1974).
        tolerance: Stop once a step raises the objective by less than this share of it.

    Returns:
        Coefficients, "P"; zeros where there is no event.
    """
    return maximise(features, PartialLikelihood(duration, event, weight, ties), penalty, tolerance)


def maximise(
    features: Floats,
    likelihood: PartialLikelihood,
    penalty: Floats | float,
    tolerance: float = 1e-10,
    *,
    start: Floats | None = None,
) -> Floats:
    """Newton steps with halving on the penalised likelihood; as `fit_ridge_cox`, for rows that are sorted once.

    Args:
        features: Covariates, "N P".
        likelihood: Of these rows.
        penalty: One for all columns, or one per column.
        tolerance: As in `fit_ridge_cox`.
        start: Coefficients to go on from, such as those of a similar penalty; zeros by default.
    """
    size = features.shape[1]
    ridge = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (size,))
    beta = np.zeros(size) if start is None else start
    if not len(likelihood.rows) or not size:
        return beta
    log_hazard = features @ beta
    current = likelihood.value(log_hazard) - 0.5 * float(ridge @ beta**2)
    for _ in range(50):
        gradient, hessian = likelihood.derivatives(features, log_hazard)
        hessian[np.diag_indices(size)] += ridge + 1e-9  # a column that says nothing stays at zero
        step = solve(hessian, gradient - ridge * beta)
        while True:
            proposed = beta + step
            log_hazard = features @ proposed
            value = likelihood.value(log_hazard) - 0.5 * float(ridge @ proposed**2)
            if not (value < current - 1e-12 * abs(current) and np.abs(step).max() > 1e-10):
                break
            step = step / 2
        gain, beta, current = value - current, proposed, value
        if gain <= tolerance * (abs(current) + 1.0):
            break
    return beta
