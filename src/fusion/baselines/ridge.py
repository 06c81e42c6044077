"""A ridge Cox model on a table with gaps, tuned by cross-validated partial likelihood.

N patients, D columns of the design, R columns after rotation, Q prediction times.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fusion.baselines.design import Design
from fusion.baselines.newton import Floats, PartialLikelihood, fit_ridge_cox, maximise
from fusion.baselines.penalty import inner_folds, rotate, tune_variances
from fusion.survival import breslow


class CrossValidatedCox:
    """Cross-validated partial likelihood of a ridge penalty (Verweij & van Houwelingen 1993)."""

    def __init__(self, duration: Floats, event: NDArray[np.bool_]) -> None:
        fold = inner_folds(event)
        self.everyone = PartialLikelihood(duration, event)
        self.parts = [(fold != k, PartialLikelihood(duration[fold != k], event[fold != k])) for k in np.unique(fold)]

    def __call__(self, columns: Floats, penalty: float) -> float:
        """Sum over the folds of what the left-out patients add to the likelihood."""
        score = 0.0
        for keep, part in self.parts:
            beta = maximise(columns[keep], part, penalty, tolerance=1e-4)
            score += self.everyone.value(columns @ beta) - part.value(columns[keep] @ beta)
        return score


class RidgeCox:
    """A tuned ridge Cox model on a table with gaps.

    Args:
        apart: Modality whose penalty is tuned apart from that of the others.
    """

    def __init__(self, *, apart: str | None = None) -> None:
        self.apart = apart

    def fit(self, features: Floats, modality: Sequence[str], duration: Floats, event: NDArray[np.bool_]) -> "RidgeCox":
        """Learn imputation, scaling, penalties, coefficients and baseline from one row per training patient."""
        self.design = Design().fit(features, modality)
        design = self.design.transform(features)
        score = CrossValidatedCox(duration, event)
        variance = tune_variances(design, self.design.blocks, score, apart=self.apart)
        columns, back = rotate(design, variance)
        self.coefficients: Floats = back @ fit_ridge_cox(columns, duration, event, 1.0)
        self.baseline = breslow(design @ self.coefficients, duration, event)
        return self

    def log_hazard(self, features: Floats) -> Floats:
        """Linear predictor, "N"; zero is the average patient of the training part."""
        return self.design.transform(features) @ self.coefficients

    def cumulative_hazard(self, log_hazard: Floats, since: Floats, times: Floats) -> Floats:
        """Hazard from `since` to `since + times`, "N Q", for those who have reached `since`."""
        later = self.baseline(since[:, None] + times)
        return (later - self.baseline(since)[:, None]) * np.exp(log_hazard)[:, None]
