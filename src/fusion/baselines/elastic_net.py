"""Elastic-net Cox on all features of the first visit; needs scikit-survival (GPL-3), which the core does without.

N patients, D columns of the design, K penalties.
"""

from collections.abc import Sequence

import numpy as np

from fusion.baselines.design import Design
from fusion.baselines.extra import can_learn, has_sksurv, outcome_array
from fusion.baselines.hazard import FirstVisitHazard, HazardModel, held_out_likelihood
from fusion.baselines.newton import Bools, Floats
from fusion.survival import breslow
from fusion.types import VisitTable

#: Steps of the path, from the penalty that empties the model to this share of it.
NUM_PENALTIES, LEAST_SHARE = 30, 0.05


def elastic_net_path(design: Floats, duration: Floats, event: Bools, l1_ratio: float) -> Floats:
    """Coefficients "D K" along a path of falling penalties that starts at none (Simon 2011).

    Tied times are put in the order of the rows, events first: where many are tied, scikit-survival takes the likelihood
    for worse than that of the empty model and ends the path after six penalties. A Cox model knows the order of times
    alone, so their ranks serve.
    """
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    if not can_learn(design, event):
        return np.zeros((design.shape[1], NUM_PENALTIES))
    rank = np.empty(len(duration))
    rank[np.lexsort((~event, duration))] = np.arange(1, len(duration) + 1)
    net = CoxnetSurvivalAnalysis(l1_ratio=l1_ratio, n_alphas=NUM_PENALTIES, alpha_min_ratio=LEAST_SHARE)
    path = net.fit(design, outcome_array(rank, event)).coef_
    return path[:, np.minimum(np.arange(NUM_PENALTIES), path.shape[1] - 1)]  # a path that ended early stays as it is


class ElasticNetCox(HazardModel):
    """Elastic-net Cox, its penalty tuned by cross-validated partial likelihood.

    The folds take the same share of the penalty that empties their own model.

    Args:
        l1_ratio: Share of the absolute penalty; the rest is ridge.
    """

    def __init__(self, *, l1_ratio: float) -> None:
        self.l1_ratio = l1_ratio

    def fit(self, features: Floats, modality: Sequence[str], duration: Floats, event: Bools) -> "ElasticNetCox":
        """Learn imputation, scaling, penalty, coefficients and baseline."""
        self.design = Design().fit(features, modality)
        design = self.design.transform(features)

        def path(keep: Bools) -> Floats:
            return design @ elastic_net_path(design[keep], duration[keep], event[keep], self.l1_ratio)

        best = int(held_out_likelihood(duration, event, path).argmax())
        self.coefficients: Floats = elastic_net_path(design, duration, event, self.l1_ratio)[:, best]
        self.baseline = breslow(design @ self.coefficients, duration, event)
        return self

    def log_hazard(self, features: Floats) -> Floats:
        """Linear predictor, "N"; zero is the average patient of the training part."""
        return self.design.transform(features) @ self.coefficients


class ElasticNet(FirstVisitHazard):
    """Elastic-net Cox on the summaries of all modalities: few columns, chosen by the data.

    Args:
        l1_ratio: Share of the absolute penalty. (.1, .5, .9 and a choice among them did alike on simulated cohorts, as
            did a lesser penalty on clinical columns.)
    """

    name = "elastic_net"

    def __init__(self, l1_ratio: float = 0.5) -> None:
        self.l1_ratio = l1_ratio

    def _model(self) -> HazardModel:
        return ElasticNetCox(l1_ratio=self.l1_ratio)

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort with covariates, where scikit-survival is installed."""
        return super().applies(train, task) and has_sksurv()
