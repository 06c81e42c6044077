"""Baselines that know the first visit only: Kaplan-Meier, and Cox on stage, on clinical covariates, on everything.

At later visits they predict with the same covariates, given that the patient has reached the visit.
"""

import numpy as np

from fusion.baselines.base import (
    Baseline,
    Floats,
    SurvivalEstimate,
    clinical_columns,
    elapsed_days,
    stage_columns,
)
from fusion.baselines.hazard import FirstVisitHazard, HazardModel
from fusion.baselines.ridge import RidgeCox
from fusion.survival import kaplan_meier
from fusion.types import VisitTable


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


class _FirstVisitCox(FirstVisitHazard):
    """Ridge Cox on some columns of the first visit."""

    apart: str | None = None

    def _model(self) -> HazardModel:
        return RidgeCox(apart=self.apart)


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
