"""Predictions as a table: one row per patient, visit and task, in the columns that metrics and report read."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE
from fusion.data.targets import visit_outcomes, visit_responses
from fusion.training.ensemble import Prediction
from fusion.types import PatientBatch, ResponsePrediction, SurvivalPrediction


def survival_columns(times: Sequence[float]) -> list[str]:
    """Names of the columns of a survival curve: `survival_30`, `survival_60`, ..."""
    return [f"survival_{time:g}" for time in times]


def target_rows(cohort: Cohort, visits: pd.DataFrame, task: str) -> pd.DataFrame:
    """Keys and targets of a task for these visits; a cohort without the endpoint has nobody at risk."""
    rows = visits.reset_index(drop=True).assign(task=task)
    if task == RESPONSE:
        response = visit_responses(cohort, visits)
        return rows.assign(label=np.where(response.known, response.label, -1), at_risk=response.known)
    if task not in cohort.endpoints:
        return rows.assign(duration=np.nan, event=False, at_risk=False)
    outcome = visit_outcomes(cohort, task, visits)
    return rows.assign(duration=outcome.duration, event=outcome.event, at_risk=outcome.at_risk)


def risk_groups(risk: NDArray[np.floating], cuts: Sequence[float]) -> NDArray[np.int64]:
    """Low, middle or high (0, 1, 2) by cuts from the training part; a tie with a cut falls to the lower group."""
    return np.searchsorted(np.asarray(cuts, dtype=risk.dtype), risk, side="left")


def survival_rows(
    rows: pd.DataFrame,
    risk: NDArray[np.floating],
    survival: NDArray[np.floating],
    times: Sequence[float],
    cuts: Sequence[float],
) -> pd.DataFrame:
    """Add risk, risk group and curve to the target rows of a survival task."""
    curve = pd.DataFrame(survival, columns=survival_columns(times))
    return pd.concat([rows.assign(risk=risk, risk_group=risk_groups(risk, cuts)), curve], axis=1)


def response_rows(rows: pd.DataFrame, probability: NDArray[np.floating]) -> pd.DataFrame:
    """Add class probabilities to the target rows of the response task."""
    return rows.assign(prob_nonresponder=probability[:, 0], prob_responder=probability[:, 1])


def prediction_frame(
    cohort: Cohort,
    batch: PatientBatch,
    predictions: Mapping[str, Prediction],
    times: Sequence[float],
    cuts: Mapping[str, Sequence[float]],
) -> pd.DataFrame:
    """Rows of all tasks for the real visits of a batch, sorted by task, patient and visit."""
    real = batch.visit_mask.cpu().numpy()
    visits = cohort.visits[cohort.visits["patient_id"].isin(set(batch.patient_ids))]
    order = {patient: i for i, patient in enumerate(batch.patient_ids)}
    visits = visits.iloc[np.lexsort((visits["visit"].to_numpy(), visits["patient_id"].map(order).to_numpy()))]
    frames = []
    for task, prediction in predictions.items():
        rows = target_rows(cohort, visits, task)
        if isinstance(prediction, SurvivalPrediction):
            risk, curve = prediction.risk.cpu().numpy()[real], prediction.survival.cpu().numpy()[real]
            frames.append(survival_rows(rows, risk, curve, times, cuts[task]))
        elif isinstance(prediction, ResponsePrediction):
            frames.append(response_rows(rows, prediction.probability.cpu().numpy()[real]))
    return pd.concat(frames, ignore_index=True)
