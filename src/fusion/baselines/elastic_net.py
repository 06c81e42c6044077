"""Elastic-net Cox on all features of the first visit.

N patients, D columns of the design.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fusion.baselines.design import Design
from fusion.baselines.hazard import FirstVisitHazard, HazardModel, HeldOutLikelihood
from fusion.baselines.lasso import elastic_net_path
from fusion.baselines.newton import Bools, Floats
from fusion.baselines.penalty import belief, walked
from fusion.survival import breslow


class ElasticNetCox(HazardModel):
    """Elastic-net Cox, averaged over inner folds and over penalties, these by their cross-validated likelihood.

    The folds take the same share of the penalty that empties their own model.

    Args:
        l1_ratio: Share of the absolute penalty; the rest is ridge.
        weights: Of the steps of the path, in place of tuning: then one path is fitted to all rows.
    """

    def __init__(self, *, l1_ratio: float, weights: Floats | None = None) -> None:
        self.l1_ratio, self.weights = l1_ratio, weights

    def fit(self, features: Floats, modality: Sequence[str], duration: Floats, event: Bools) -> "ElasticNetCox":
        """Learn imputation, scaling, weights of the penalties, coefficients and baseline."""
        self.design = Design().fit(features, modality)
        design = self.design.transform(features)

        if self.weights is None:
            steps = walked(self._steps(design, duration, event))
            self.weights = belief([score for _, score in steps])
            path: Iterable[Floats] = [beta for beta, _ in steps]
        else:
            path = elastic_net_path(design, duration, event, self.l1_ratio)
        self.coefficients: Floats = np.zeros(design.shape[1])
        for weight, beta in zip(self.weights, path, strict=False):  # no step beyond the last weight is asked for
            self.coefficients += weight * beta
        self.baseline = breslow(design @ self.coefficients, duration, event)
        return self

    def _steps(self, design: Floats, duration: Floats, event: Bools) -> Iterator[tuple[Floats, float]]:
        """Mean coefficients of the inner folds at each step of the path, and their held-out likelihood."""
        held_out = HeldOutLikelihood(duration, event)
        if not held_out.parts:
            yield np.zeros(design.shape[1]), 0.0
            return
        paths = [
            elastic_net_path(design[keep], duration[keep], event[keep], self.l1_ratio) for keep, _ in held_out.parts
        ]
        for betas in zip(*paths, strict=True):
            yield np.mean(betas, axis=0), held_out.score(design @ beta for beta in betas)

    def settled(self) -> "ElasticNetCox":
        return ElasticNetCox(l1_ratio=self.l1_ratio, weights=self.weights)

    def log_hazard(self, features: Floats) -> Floats:
        """Linear predictor, "N"; zero is the average patient of the training part."""
        return self.design.transform(features) @ self.coefficients


class ElasticNet(FirstVisitHazard):
    """Elastic-net Cox on the summaries of all modalities: few columns count, as the data say.

    Args:
        l1_ratio: Share of the absolute penalty. (.1, .5, .9 and a choice among them did alike on simulated cohorts, as
            did a lesser penalty on clinical columns.)
    """

    name = "elastic_net"

    def __init__(self, l1_ratio: float = 0.5) -> None:
        self.l1_ratio = l1_ratio

    def _model(self) -> HazardModel:
        return ElasticNetCox(l1_ratio=self.l1_ratio)
