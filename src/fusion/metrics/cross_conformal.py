"""Conformal bounds and sets of the held-out predictions of a run, each fold's by a rule learned from the other folds.

A patient of fold k is bounded by a level learned from the held-out predictions of all folds but k (cross-conformal;
Vovk 2015, Ann. Math. Artif. Intell. 74). Nobody's own outcome, and no outcome of the fold, has part in it. The models
of two folds differ, and each has trained on the other's patients, so the coverage is nominal up to that difference: it
is measured (`fusion.metrics.coverage`), not proved. It holds on average over patients, not for every kind of patient.
"""

from collections.abc import Callable, Mapping

import pandas as pd

from fusion.metrics.conformal import RESPONSE, ConformalRule


def conformal_bounds(
    predictions: pd.DataFrame, task: str, alpha: float = 0.1, *, groups: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Lower bound on the time to the event, of every held-out prediction, from the other folds of its repeat.

    Args:
        predictions: Columns of `predictions.parquet`.
        task: Endpoint.
        alpha: Share of patients whose event may come before their bound.
        groups: Class of each patient, such as the stage: classes of enough patients are covered by themselves.

    Returns:
        One row per repeat, fold, patient and visit; see `ConformalRule.lower_bounds`. A row that is no longer at risk
        is answered as if it were.

    Raises:
        ValueError: The endpoint is absent, a repeat has one fold alone, or `alpha` is no share.
    """
    rows = predictions[predictions["task"] == task]

    def learn(others: pd.DataFrame) -> ConformalRule:
        return ConformalRule.learn(others, alpha=alpha, groups=groups)

    return _across_folds(rows, task, learn, lambda rule, own: rule.lower_bounds(own, task, groups))


def conformal_sets(
    predictions: pd.DataFrame,
    alpha: float = 0.1,
    *,
    label_conditional: bool = True,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Responses that stay possible, of every held-out prediction, from the other folds of its repeat.

    Args:
        predictions: Columns of `predictions.parquet`.
        alpha: Share of patients whose response may be missing from their set.
        label_conditional: Hold that share among responders and among non-responders, rather than on average.
        groups: Class of each patient, such as the stage: enough responders of a class, or others, are covered by
            themselves.

    Returns:
        One row per repeat, fold, patient and visit; see `ConformalRule.response_sets`.

    Raises:
        ValueError: There is no task `response`, a repeat has one fold alone, or `alpha` is no share.
    """
    rows = predictions[predictions["task"] == RESPONSE]

    def learn(others: pd.DataFrame) -> ConformalRule:
        return ConformalRule.learn(others, alpha=alpha, label_conditional=label_conditional, groups=groups)

    return _across_folds(rows, RESPONSE, learn, lambda rule, own: rule.response_sets(own, groups))


def _across_folds(
    rows: pd.DataFrame,
    task: str,
    learn: Callable[[pd.DataFrame], ConformalRule],
    apply: Callable[[ConformalRule, pd.DataFrame], pd.DataFrame],
) -> pd.DataFrame:
    if rows.empty:
        raise ValueError(f"there is no prediction of task {task}; name a task of the run")
    parts = []
    for repeat, inside in rows.groupby("repeat"):
        if inside["fold"].nunique() < 2:
            raise ValueError(
                f"repeat {repeat} of task {task} has one fold alone, so nobody else is held out to calibrate on; "
                "train with at least two folds"
            )
        for _, own in inside.groupby("fold"):
            # By patient as well as by fold: nobody may be judged by an outcome of their own.
            others = inside[(inside["fold"] != own["fold"].iloc[0]) & ~inside["patient_id"].isin(own["patient_id"])]
            parts.append(apply(learn(others), own))
    return pd.concat(parts).sort_index()
