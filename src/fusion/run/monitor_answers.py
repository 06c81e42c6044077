"""Bounds, sets of responses and alerts that the patient pages show, learned from held-out predictions of the run."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fusion.data.dataset import RESPONSE
from fusion.metrics.alerts import alarm_table, choose_threshold, cross_thresholds, monitoring_table
from fusion.metrics.conformal import ConformalRule
from fusion.metrics.cross_conformal import conformal_bounds, conformal_sets
from fusion.run.console import console

#: Alerts are set for so many false alarms per patient-year, on other patients.
FALSE_ALARMS = 0.5
ALERTS_NOTE = f"threshold set on other patients for at most {FALSE_ALARMS:g} false alarms per patient-year"
#: Endpoint and horizon of the alert, in days.
ALERT = ("pfs", 90.0)

Answers = dict[str, Any]


def stages_of(patients: pd.DataFrame) -> dict[str, str]:
    """Stage by patient, of a table indexed by `patient_id`; empty where there is none.

    >>> stages_of(pd.DataFrame({"stage": ["ES", None]}, index=["a", "b"]))
    {'a': 'ES'}
    """
    if "stage" not in patients:
        return {}
    return {str(patient): str(stage) for patient, stage in patients["stage"].dropna().items() if str(stage)}


def answers_of_held_out(predictions: pd.DataFrame, stages: Mapping[str, str]) -> Answers:
    """`bounds`, `sets` and `alerts` of the run's own patients, each fold's learned on the other folds.

    Args:
        predictions: `predictions.parquet`.
        stages: Stage by patient; bounds hold within a stage that has enough patients.
    """
    task, horizon = ALERT
    has_alert = task in set(predictions["task"]) and f"survival_{horizon:g}" in predictions
    endpoints = [str(each) for each in predictions.loc[predictions["task"] != RESPONSE, "task"].unique()]
    found: Answers = {}
    for each in endpoints:
        bound = _or_say(f"lower bound of {each}", conformal_bounds, predictions, each, groups=stages)
        found["bounds"] = _joined(found.get("bounds"), None if bound is None else bound.assign(task=each))
    if (predictions["task"] == RESPONSE).any():
        found["sets"] = _or_say("sets of responses", conformal_sets, predictions, groups=stages)
    if has_alert:
        found |= {"alerts": _or_say("alerts", _cross_alarms, predictions), "alerts_note": ALERTS_NOTE}
    return found


def answers_of_new(
    own: pd.DataFrame, own_stages: Mapping[str, str], new: pd.DataFrame, stages: Mapping[str, str]
) -> Answers:
    """The same of new patients, by rules learned from all held-out predictions of the run.

    Args:
        own: `predictions.parquet` of the run.
        own_stages: Stage of its patients.
        new: Predictions of the new patients, by the final model or the folds.
        stages: Their stage.
    """
    rule = ConformalRule.learn(own, groups=own_stages)
    found: Answers = {}
    for task in dict.fromkeys(each.task for each in rule.bounds):
        if (new["task"] == task).any():
            bound = rule.lower_bounds(new, task, stages).assign(task=task)
            found["bounds"] = _joined(found.get("bounds"), bound)
    if rule.sets and (new["task"] == RESPONSE).any():
        found["sets"] = rule.response_sets(new, stages)
    task, horizon = ALERT
    if {task} <= set(own["task"]) & set(new["task"]) and f"survival_{horizon:g}" in own:
        threshold = choose_threshold(monitoring_table(own, *ALERT), FALSE_ALARMS)
        # Their outcome is not known, or not asked for: an alarm needs none.
        traces = monitoring_table(new.assign(repeat=0, fold=0, at_risk=True, duration=np.nan, event=False), *ALERT)
        found |= {"alerts": alarm_table(traces, threshold), "alerts_note": ALERTS_NOTE}
    return found


def _cross_alarms(predictions: pd.DataFrame) -> pd.DataFrame:
    table = monitoring_table(predictions, *ALERT)
    return alarm_table(table, cross_thresholds(table, FALSE_ALARMS))


def _joined(before: pd.DataFrame | None, more: pd.DataFrame | None) -> pd.DataFrame | None:
    some = [table for table in (before, more) if table is not None]
    return pd.concat(some, ignore_index=True) if some else None


def _or_say(what: str, learn: Callable[..., pd.DataFrame], *words: Any, **options: Any) -> pd.DataFrame | None:
    """What can be learned, or a line that says why it cannot."""
    try:
        return learn(*words, **options)
    except ValueError as error:
        console.print(f"patient pages without {what}: {error}", markup=False)
        return None
