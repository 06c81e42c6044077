"""Random survival forest on the first visit; needs scikit-survival (GPL-3), which the core does without."""

import logging
from importlib.util import find_spec

import numpy as np

from fusion.baselines.base import Baseline, Floats, SurvivalEstimate, all_columns, elapsed_days, first_row
from fusion.baselines.design import Design
from fusion.types import VisitTable

logger = logging.getLogger(__name__)


class Forest(Baseline):
    """Random survival forest on the summaries of all modalities (Ishwaran 2008).

    Args:
        num_trees: Trees.
        min_leaf: Fewest patients of a leaf.
        seed: Of the bootstrap.
    """

    name = "forest"

    def __init__(self, num_trees: int = 200, min_leaf: int = 10, seed: int = 0) -> None:
        self.num_trees = num_trees
        self.min_leaf = min_leaf
        self.seed = seed

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task with an event, where scikit-survival is installed."""
        if task not in train.outcomes or not all_columns(train):
            return False
        if find_spec("sksurv") is None:
            logger.warning("the forest is left out: pip install 'fusion-oncology[baselines]' brings scikit-survival")
            return False
        outcome = train.outcomes[task]
        return bool((outcome.event & outcome.at_risk & (train.visit == 0)).any())

    def fit(self, train: VisitTable, task: str) -> "Forest":
        """Grow the trees on the first visits at risk."""
        from sksurv.ensemble import RandomSurvivalForest
        from sksurv.util import Surv

        outcome = train.outcomes[task]
        rows = (train.visit == 0) & outcome.at_risk
        self.design = Design().fit(train.features[rows], train.modality)
        self.trees = RandomSurvivalForest(
            n_estimators=self.num_trees, min_samples_leaf=self.min_leaf, max_features="sqrt", random_state=self.seed
        ).fit(
            self.design.transform(train.features[rows]),
            Surv.from_arrays(outcome.event[rows], outcome.duration[rows]),
        )
        return self

    def predict(self, table: VisitTable, times: Floats) -> SurvivalEstimate:
        """Expected number of events as the risk, and the curve given that the visit was reached."""
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
