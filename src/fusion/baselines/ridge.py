"""A ridge Cox model on a table with gaps, tuned by cross-validated partial likelihood.

N patients, D columns of the design, R columns after rotation.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fusion.baselines.design import Design
from fusion.baselines.hazard import HazardModel, HeldOutLikelihood
from fusion.baselines.newton import Bools, Floats, fit_ridge_cox, maximise
from fusion.baselines.penalty import rotate, tune_shares, variances
from fusion.survival import breslow


class CrossValidatedCox(HeldOutLikelihood):
    """Cross-validated partial likelihood of a ridge penalty."""

    def __call__(self, columns: Floats, penalties: Sequence[float]) -> Iterator[float]:
        """For each penalty the score; each starts from the coefficients of the one before."""
        kept = [(columns[keep], part) for keep, part in self.parts]
        betas = [np.zeros(columns.shape[1]) for _ in kept]
        for penalty in penalties:
            betas = [
                maximise(rows, part, penalty, tolerance=1e-4, start=beta)
                for (rows, part), beta in zip(kept, betas, strict=True)
            ]
            yield self.score(columns @ beta for beta in betas)


class RidgeCox(HazardModel):
    """A tuned ridge Cox model on a table with gaps.

    Args:
        apart: Modality whose penalty is tuned apart from that of the others.
        shares: Variance of the predictor by block of columns, in place of tuning.
    """

    def __init__(self, *, apart: str | None = None, shares: Mapping[str, float] | None = None) -> None:
        self.apart, self.shares = apart, shares

    def fit(self, features: Floats, modality: Sequence[str], duration: Floats, event: Bools) -> "RidgeCox":
        """Learn imputation, scaling, penalties, coefficients and baseline from one row per training patient."""
        self.design = Design().fit(features, modality)
        design = self.design.transform(features)
        if self.shares is None:
            scores = CrossValidatedCox(duration, event)
            self.shares = tune_shares(design, self.design.blocks, scores, apart=self.apart)
        self.variance = variances(self.design.blocks, self.shares)
        columns, back = rotate(design, self.variance)
        self.coefficients: Floats = back @ fit_ridge_cox(columns, duration, event, 1.0)
        self.baseline = breslow(design @ self.coefficients, duration, event)
        return self

    def settled(self) -> "RidgeCox":
        """A fresh model with the penalties that this one found."""
        return RidgeCox(shares=self.shares)

    def log_hazard(self, features: Floats) -> Floats:
        """Linear predictor, "N"; zero is the average patient of the training part."""
        return self.design.transform(features) @ self.coefficients

    def held_out(self, features: Floats, duration: Floats, event: Bools, fold: NDArray[np.int64]) -> Floats:
        """Log hazard "N" of each training patient from coefficients that were learnt without the patient's fold."""
        columns, _ = rotate(self.design.transform(features), self.variance)
        log_hazard = np.zeros(len(features))
        for k in np.unique(fold):
            out = fold == k
            log_hazard[out] = columns[out] @ fit_ridge_cox(columns[~out], duration[~out], event[~out], 1.0)
        return log_hazard
