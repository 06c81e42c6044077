"""Random survival forest on the first visit; needs scikit-survival (GPL-3), which the core does without."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fusion.baselines.base import Baseline, Floats, SurvivalEstimate, all_columns, elapsed_days, first_row
from fusion.baselines.cox import KaplanMeier
from fusion.baselines.design import Design
from fusion.baselines.extra import can_learn, has_sksurv, outcome_array
from fusion.baselines.newton import Bools
from fusion.types import VisitTable

#: Trees of the small forests among which the size of the leaves is chosen.
TUNING_TREES = 100


class Forest(Baseline):
    """Random survival forest on the summaries of all modalities (Ishwaran 2008).

    Args:
        num_trees: Trees.
        min_leaf: Fewest patients of a leaf; of several, the one with the best out-of-bag C-index is taken.
        seed: Of the bootstrap.
    """

    name = "forest"

    def __init__(self, num_trees: int = 200, min_leaf: Sequence[int] = (20, 10, 5), seed: int = 0) -> None:
        self.num_trees = num_trees
        self.min_leaf = tuple(min_leaf)
        self.seed = seed

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort with covariates, where scikit-survival is installed."""
        return task in train.outcomes and len(all_columns(train)) > 0 and has_sksurv()

    def fit(self, train: VisitTable, task: str) -> "Forest":
        """Grow the trees on the first visits at risk; where nothing can be learnt, keep to Kaplan-Meier."""
        outcome = train.outcomes[task]
        rows = (train.visit == 0) & outcome.at_risk
        self.plain = KaplanMeier().fit(train, task)
        self.design = Design().fit(train.features[rows], train.modality)
        design, duration, event = (
            self.design.transform(train.features[rows]),
            outcome.duration[rows],
            outcome.event[rows],
        )
        self.trees: Any = None
        if can_learn(design, event):
            target = outcome_array(duration, event)
            self.trees = self._forest(self.num_trees, self._tuned_leaf(design, duration, event)).fit(design, target)
        return self

    def _tuned_leaf(self, design: Floats, duration: Floats, event: Bools) -> int:
        if len(self.min_leaf) == 1 or duration[event].min() == duration.max():
            return self.min_leaf[0]  # nobody outlived an event: there is no pair to rank
        forests = [self._forest(TUNING_TREES, leaf, oob_score=True) for leaf in self.min_leaf]
        scores = [forest.fit(design, outcome_array(duration, event)).oob_score_ for forest in forests]
        return self.min_leaf[int(np.argmax(scores))]

    def _forest(self, num_trees: int, min_leaf: int, *, oob_score: bool = False) -> Any:
        from sksurv.ensemble import RandomSurvivalForest

        return RandomSurvivalForest(
            n_estimators=num_trees,
            min_samples_leaf=min_leaf,
            max_features="sqrt",
            oob_score=oob_score,
            random_state=self.seed,
        )

    def predict(self, table: VisitTable, times: Floats) -> SurvivalEstimate:
        """Expected number of events as the risk, and the curve given that the visit was reached."""
        if self.trees is None:
            return self.plain.predict(table, times)
        first, place = np.unique(first_row(table), return_inverse=True)
        design = self.design.transform(table.features[first])
        curves = self.trees.predict_survival_function(design, return_array=True)[place]
        curves = np.concatenate([np.ones((len(table), 1)), curves], axis=1)
        since = elapsed_days(table)[:, None]
        jumps = self.trees.unique_times_
        reached = np.take_along_axis(curves, np.searchsorted(jumps, since, side="right"), axis=1)
        later = np.take_along_axis(curves, np.searchsorted(jumps, since + times, side="right"), axis=1)
        survival = np.divide(later, reached, out=np.zeros_like(later), where=reached > 0)
        return SurvivalEstimate(risk=self.trees.predict(design)[place], survival=survival)
