"""Gradient-boosted trees on the first visit; needs scikit-survival (GPL-3), which the core does without.

N patients, D columns of the design, K numbers of trees.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fusion.baselines.design import Design
from fusion.baselines.extra import can_learn, has_sksurv, outcome_array
from fusion.baselines.hazard import FirstVisitHazard, HazardModel, HeldOutLikelihood
from fusion.baselines.newton import Bools, Floats
from fusion.baselines.penalty import walked
from fusion.survival import breslow
from fusion.types import VisitTable


class BoostedCox(HazardModel):
    """Trees fitted in turn to the gradient of the partial likelihood, as many as left-out patients support.

    Args:
        max_trees: Most trees.
        seed: Of the patients and columns that each tree is shown.
    """

    def __init__(self, *, max_trees: int, seed: int) -> None:
        self.max_trees = max_trees
        self.seed = seed

    def fit(self, features: Floats, modality: Sequence[str], duration: Floats, event: Bools) -> "BoostedCox":
        """Learn imputation, number of trees, trees and baseline."""
        self.design = Design().fit(features, modality)
        design = self.design.transform(features)

        def path(keep: Bools) -> Iterator[Floats]:
            yield np.zeros(len(design))
            if can_learn(design[keep], event[keep]):
                yield from self._grow(design[keep], duration[keep], event[keep], self.max_trees).staged_predict(design)
            else:
                yield from [np.zeros(len(design))] * self.max_trees

        held_out = HeldOutLikelihood(duration, event)
        steps = zip(*(path(keep) for keep, _ in held_out.parts), strict=True)
        scores = [score for _, score in walked((step, held_out.score(step)) for step in steps)]
        num_trees = int(np.argmax(scores)) if scores else 0
        self.trees = self._grow(design, duration, event, num_trees) if num_trees else None
        self.baseline = breslow(self.log_hazard(features), duration, event)
        return self

    def _grow(self, design: Floats, duration: Floats, event: Bools, num_trees: int) -> Any:
        from sksurv.ensemble import GradientBoostingSurvivalAnalysis

        return GradientBoostingSurvivalAnalysis(
            learning_rate=0.05,
            n_estimators=num_trees,
            subsample=0.5,
            min_samples_leaf=10,
            max_depth=3,
            max_features="sqrt",
            random_state=self.seed,
        ).fit(design, outcome_array(duration, event))

    def log_hazard(self, features: Floats) -> Floats:
        """Sum of the trees, "N"."""
        if self.trees is None:
            return np.zeros(len(features))
        return np.asarray(self.trees.predict(self.design.transform(features)))


class Boosting(FirstVisitHazard):
    """Gradient-boosted survival trees on the summaries of all modalities (Friedman 2001, Ridgeway 1999).

    Args:
        max_trees: Most trees; how many of them are taken is tuned.
        seed: Of the patients and columns that each tree is shown.
    """

    name = "boosting"

    def __init__(self, max_trees: int = 150, seed: int = 0) -> None:
        self.max_trees = max_trees
        self.seed = seed

    def _model(self) -> HazardModel:
        return BoostedCox(max_trees=self.max_trees, seed=self.seed)

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort with covariates, where scikit-survival is installed."""
        return super().applies(train, task) and has_sksurv()
