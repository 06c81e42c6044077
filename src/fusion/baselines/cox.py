"""Baselines that know the first visit only: Kaplan-Meier, and Cox on stage, on clinical covariates, on everything.

At later visits they predict with the same covariates, given that the patient has reached the visit.
"""

from typing import TypeVar

import numpy as np

from fusion.baselines.base import (
    Baseline,
    Floats,
    SurvivalEstimate,
    all_columns,
    clinical_columns,
    elapsed_days,
    first_row,
    stage_columns,
)
from fusion.baselines.ridge import RidgeCox
from fusion.survival import kaplan_meier
from fusion.types import VisitTable

Fitted = TypeVar("Fitted", bound="_FirstVisitCox")


class KaplanMeier(Baseline):
    """No covariates: the survival curve of the training part, given that the visit was reached."""

    name = "km"

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task."""
        return task in train.outcomes

    def fit(self, train: VisitTable, task: str) -> "KaplanMeier":
        """Curve from the first visits."""
        outcome = train.outcomes[task]
        rows = (train.visit == 0) & outcome.at_risk
        self.curve = kaplan_meier(outcome.duration[rows], outcome.event[rows])
        return self

    def predict(self, table: VisitTable, times: Floats) -> SurvivalEstimate:
        """S(v + t) / S(v) for a visit on day v; zero where nobody of the training part got that far."""
        since = elapsed_days(table)
        reached = self.curve(since)[:, None]
        later = self.curve(since[:, None] + times)
        survival = np.divide(later, reached, out=np.zeros_like(later), where=reached > 0)
        return SurvivalEstimate(risk=np.zeros(len(table)), survival=survival)


class _FirstVisitCox(Baseline):
    """Ridge Cox on some columns of the first visit."""

    apart: str | None = None

    def _columns(self, table: VisitTable) -> list[int]:
        raise NotImplementedError

    def applies(self, train: VisitTable, task: str) -> bool:
        """To every survival task of a cohort that has such columns."""
        return task in train.outcomes and len(self._columns(train)) > 0

    def fit(self: Fitted, train: VisitTable, task: str) -> Fitted:
        """Tune and fit on the first visits at risk."""
        outcome = train.outcomes[task]
        rows = (train.visit == 0) & outcome.at_risk
        columns = self._columns(train)
        self.model = RidgeCox(apart=self.apart).fit(
            train.features[rows][:, columns],
            [train.modality[column] for column in columns],
            outcome.duration[rows],
            outcome.event[rows],
        )
        return self

    def predict(self, table: VisitTable, times: Floats) -> SurvivalEstimate:
        """Log hazard of the first visit at every visit, and the curve given that the visit was reached."""
        log_hazard = self.model.log_hazard(table.features[first_row(table)][:, self._columns(table)])
        survival = np.exp(-self.model.cumulative_hazard(log_hazard, elapsed_days(table), times))
        return SurvivalEstimate(risk=log_hazard, survival=survival)


class CoxStage(_FirstVisitCox):
    """Cox on the stage columns alone."""

    name = "cox_stage"

    def _columns(self, table: VisitTable) -> list[int]:
        return stage_columns(table)


class CoxClinical(_FirstVisitCox):
    """Ridge Cox on the clinical covariates."""

    name = "cox_clinical"

    def _columns(self, table: VisitTable) -> list[int]:
        return clinical_columns(table)


class CoxAll(_FirstVisitCox):
    """Ridge Cox on the summaries of all modalities, clinical penalised apart from the assays."""

    name = "cox_all"
    apart = "clinical"

    def _columns(self, table: VisitTable) -> list[int]:
        return all_columns(table)
