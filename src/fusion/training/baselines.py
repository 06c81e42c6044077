"""The plain baselines of a fold: same patients, same preprocessing, predictions in the same columns."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fusion.baselines.base import Baseline, SurvivalEstimate
from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE, Assay
from fusion.data.splits import Split
from fusion.data.visit_table import build_visit_table
from fusion.training.predictions import response_rows, survival_rows, target_rows
from fusion.types import VisitTable

FitBaselines = Callable[[Cohort, Mapping[str, Assay], Split, Sequence[float]], pd.DataFrame]


def one_thread() -> threadpool_limits:
    """Matrices of a few hundred rows gain nothing from a second thread; on a busy machine two wait for each other."""
    return threadpool_limits(1)


def fit_baselines(
    models: Sequence[Baseline],
    tasks: Sequence[str],
    cohort: Cohort,
    assays: Mapping[str, Assay],
    split: Split,
    times: Sequence[float],
) -> pd.DataFrame:
    """Fit every baseline on the training and validation part of a split, and predict the test part.

    Args:
        models: Baselines; one that does not apply to a task or a cohort is passed over.
        tasks: Endpoints, and `response`.
        cohort: The cohort.
        assays: Modalities, fitted on the training part of this split.
        split: The split.
        times: Days after a visit at which survival is written down.

    Returns:
        Rows as in predictions.parquet, with a `model` column; no row if no baseline applies.
    """
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    endpoints = [task for task in tasks if task != RESPONSE]
    parts = [
        build_visit_table(cohort, pairs, patients, endpoints, response=RESPONSE in tasks)
        for patients in (sorted((*split.train, *split.val)), split.test)
    ]
    train, test = parts
    visits = pd.DataFrame({"patient_id": test.patient_ids, "visit": test.visit, "day": test.day})
    grid = np.asarray(times, dtype=np.float64)
    with one_thread():
        frames = [
            _fit_and_predict(model, train, test, task, target_rows(cohort, visits, task), grid)
            for task in tasks
            for model in models
            if model.applies(train, task)
        ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _fit_and_predict(
    model: Baseline, train: VisitTable, test: VisitTable, task: str, rows: pd.DataFrame, times: NDArray[np.float64]
) -> pd.DataFrame:
    fitted = model.fit(train, task)
    estimate = fitted.predict(test, times)
    if isinstance(estimate, SurvivalEstimate):
        cuts = _risk_cuts(fitted, train, task)
        frame = survival_rows(rows, estimate.risk, estimate.survival, times.tolist(), cuts)
    else:
        frame = response_rows(rows, estimate.probability)
    return frame.assign(model=model.name)


def _risk_cuts(model: Baseline, train: VisitTable, task: str) -> Sequence[float]:
    """Tertiles of the risk of the training patients at baseline."""
    seen = model.predict(train, np.zeros(1))
    at_baseline = (train.visit == 0) & train.outcomes[task].at_risk
    if not isinstance(seen, SurvivalEstimate) or not at_baseline.any():
        return (0.0, 0.0)
    return tuple(float(cut) for cut in np.quantile(seen.risk[at_baseline], [1 / 3, 2 / 3]))
