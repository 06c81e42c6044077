"""Elastic-net Cox on all features of the first visit.

N patients, D columns of the design.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from fusion.baselines.design import Design
from fusion.baselines.hazard import FirstVisitHazard, HazardModel, best_step
from fusion.baselines.lasso import elastic_net_path
from fusion.baselines.newton import Bools, Floats
from fusion.survival import breslow


class ElasticNetCox(HazardModel):
    """Elastic-net Cox, its penalty tuned by cross-validated partial likelihood.

    The folds take the same share of the penalty that empties their own model.

    Args:
        l1_ratio: Share of the absolute penalty; the rest is ridge.
        place: Step of the path that is taken, in place of tuning.
    """

    def __init__(self, *, l1_ratio: float, place: int | None = None) -> None:
        self.l1_ratio, self.place = l1_ratio, place

    def fit(self, features: Floats, modality: Sequence[str], duration: Floats, event: Bools) -> "ElasticNetCox":
        """Learn imputation, scaling, penalty, coefficients and baseline."""
        self.design = Design().fit(features, modality)
        design = self.design.transform(features)

        def path(keep: Bools) -> Iterator[Floats]:
            return (
                design @ beta for beta in elastic_net_path(design[keep], duration[keep], event[keep], self.l1_ratio)
            )

        if self.place is None:
            self.place = best_step(duration, event, path)
        path_to_it = elastic_net_path(design, duration, event, self.l1_ratio)
        self.coefficients: Floats = next(islice(path_to_it, self.place, None))
        self.baseline = breslow(design @ self.coefficients, duration, event)
        return self

    def settled(self) -> "ElasticNetCox":
        return ElasticNetCox(l1_ratio=self.l1_ratio, place=self.place)

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
