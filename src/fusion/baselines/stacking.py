"""Late fusion: a ridge Cox for every modality by itself, and a Cox of their predictions for patients they did not see.

N patients, P columns of the table, M modalities.
"""

from collections.abc import Sequence

import numpy as np

from fusion.baselines.hazard import FirstVisitHazard, HazardModel
from fusion.baselines.newton import Bools, Floats, fit_ridge_cox
from fusion.baselines.penalty import inner_folds
from fusion.baselines.ridge import RidgeCox
from fusion.survival import breslow

#: Ridge on the weights of the stack; a modality whose own model says hardly anything is shrunk by it, others are not.
PENALTY = 1.0


def fit_nonnegative_cox(features: Floats, duration: Floats, event: Bools, penalty: float) -> Floats:
    """Coefficients of a ridge Cox, none below zero: the most negative column is left out until none is negative."""
    coefficients = np.zeros(features.shape[1])
    used = np.arange(features.shape[1])
    while len(used):
        fitted = fit_ridge_cox(features[:, used], duration, event, penalty)
        if fitted.min() >= 0:
            coefficients[used] = fitted
            break
        used = np.delete(used, fitted.argmin())
    return coefficients


class StackedCox(HazardModel):
    """A weighted sum of one ridge Cox per modality; a modality that a patient lacks adds nothing, which is its mean.

    The weights are learnt from predictions for left-out patients, so a modality that fits noise is not believed. Folds
    differ from those that tuned the penalties: what was chosen on those folds looks better there than it is.
    """

    def fit(self, features: Floats, modality: Sequence[str], duration: Floats, event: Bools) -> "StackedCox":
        """Learn the model of every modality, their weights and the baseline."""
        owner = np.array(modality, dtype=np.str_)
        self.columns = [np.flatnonzero(owner == name) for name in dict.fromkeys(modality)]
        self.models: list[RidgeCox] = []
        fold = inner_folds(event, seed=1)
        held_out = np.zeros((len(features), len(self.columns)))
        for place, columns in enumerate(self.columns):
            has = np.isfinite(features[:, columns]).any(axis=1)
            rows = features[has][:, columns], duration[has], event[has]
            model = RidgeCox().fit(rows[0], owner[columns].tolist(), *rows[1:])
            held_out[has, place] = model.held_out(*rows, fold[has])
            self.models.append(model)
        self.weights = fit_nonnegative_cox(held_out, duration, event, PENALTY)
        self.baseline = breslow(self.log_hazard(features), duration, event)
        return self

    def log_hazard(self, features: Floats) -> Floats:
        """Weighted sum over the modalities that a patient has, "N"."""
        total = np.zeros(len(features))
        for columns, model, weight in zip(self.columns, self.models, self.weights, strict=True):
            block = features[:, columns]
            total += np.where(np.isfinite(block).any(axis=1), weight * model.log_hazard(block), 0.0)
        return total


class Stacking(FirstVisitHazard):
    """Late fusion of one ridge Cox per modality, each weighted by what it adds for patients it did not see."""

    name = "stacking"

    def _model(self) -> HazardModel:
        return StackedCox()
