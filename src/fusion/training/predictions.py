"""Predictions as a table: one row per patient, visit and task, in the columns that metrics and report read."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE
from fusion.data.targets import CLASSES, survival_tasks, visit_outcomes, visit_responses
from fusion.training.ensemble import Prediction
from fusion.types import PatientBatch, ResponsePrediction, SurvivalPrediction


def survival_columns(times: Sequence[float]) -> list[str]:
    """Names of the columns of a survival curve: `survival_30`, `survival_60`, ..."""
    return [f"survival_{time:g}" for time in times]


def range_columns(times: Sequence[float]) -> tuple[list[str], list[str]]:
    """Names of the columns of what members say at the least and at the most: `lowest_survival_30`, ...

    They do not begin with `survival_`, so that whoever reads the curve by that word meets the curve alone.
    """
    names = survival_columns(times)
    return [f"lowest_{name}" for name in names], [f"highest_{name}" for name in names]


def incidence_columns(times: Sequence[float], num_causes: int) -> list[str]:
    """Names of the columns of cumulative incidence: `incidence_1_30`, `incidence_1_60`, ..., `incidence_2_30`, ..."""
    return [f"incidence_{cause + 1}_{time:g}" for cause in range(num_causes) for time in times]


def target_rows(cohort: Cohort, visits: pd.DataFrame, task: str) -> pd.DataFrame:
    """Keys and targets of a task for these visits; a cohort without the endpoint has nobody at risk.

    A task with competing causes has a column `cause`, 0 where no event was seen.
    """
    rows = visits.reset_index(drop=True).assign(task=task)
    if task == RESPONSE:
        response = visit_responses(cohort, visits)
        return rows.assign(label=np.where(response.known, response.label, -1), at_risk=response.known)
    if task not in survival_tasks(cohort):
        return rows.assign(duration=np.nan, event=False, at_risk=False)
    outcome = visit_outcomes(cohort, task, visits)
    rows = rows.assign(duration=outcome.duration, event=outcome.event, at_risk=outcome.at_risk)
    return rows if outcome.cause is None else rows.assign(cause=outcome.cause)


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
    """Add class probabilities to the target rows of the response task.

    Of two classes, or of the four of RECIST: these are written down as well, and add up to the two.
    """
    if probability.shape[1] == len(CLASSES):
        rows = rows.assign(**{f"prob_{name.lower()}": probability[:, place] for place, name in enumerate(CLASSES)})
        probability = np.stack([probability[:, :2].sum(axis=1), probability[:, 2:].sum(axis=1)], axis=1)
    return rows.assign(prob_nonresponder=probability[:, 0], prob_responder=probability[:, 1])


def _ranges(prediction: SurvivalPrediction, real: NDArray[np.bool_], times: Sequence[float]) -> Iterator[pd.DataFrame]:
    """Lowest and highest curve among the members; none where one alone answers.

    They are drawn, not scored, so three decimals will do, rounded outwards: the file stays small.
    """
    curves = ((prediction.lowest, np.floor), (prediction.highest, np.ceil))
    for (curve, outwards), names in zip(curves, range_columns(times), strict=True):
        if curve is not None:
            yield pd.DataFrame(outwards(curve.cpu().numpy()[real] * 1000) / 1000, columns=names)


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
            frame = survival_rows(rows, risk, curve, times, cuts[task])
            if prediction.incidence is not None:
                incidence = prediction.incidence.cpu().numpy()[real]
                names = incidence_columns(times, incidence.shape[1])
                frame = pd.concat([frame, pd.DataFrame(incidence.reshape(len(frame), -1), columns=names)], axis=1)
            frames.append(pd.concat([frame, *_ranges(prediction, real, times)], axis=1))
        elif isinstance(prediction, ResponsePrediction):
            frames.append(response_rows(rows, prediction.probability.cpu().numpy()[real]))
    return pd.concat(frames, ignore_index=True)
