"""Rule 7: how much of the outcome the visits tell by themselves, by how many there are and how far apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fusion.audit.finding import Finding, judged
from fusion.audit.ranks import rank_of
from fusion.data.dataset import RESPONSE
from fusion.metrics.dynamic import rows_at
from fusion.metrics.visits import visit_process

#: The plain model that knows the visits and nothing of what was measured at them.
VISITS_ALONE = "landmark_visits"


def visits_tell_nothing(predictions: pd.DataFrame, metrics: Mapping[str, Any], landmarks: Sequence[float]) -> Finding:
    """Where the calendar of visits alone ranks patients, a model may have learned the calendar.

    Args:
        predictions: `predictions.parquet` of the run.
        metrics: `metrics.json` of the run; figures of `landmark_visits` are taken where it was fitted.
        landmarks: Days.
    """
    rule = "Rule 7: the number and timing of visits do not tell the outcome"
    if not (predictions["visit"] > 0).any():
        return Finding(rule, "not applicable", "every patient has one visit")
    tasks = [str(task) for task in predictions["task"].unique() if task != RESPONSE]
    faults, good = [], []
    for task in tasks:
        for landmark in landmarks:
            scored = metrics.get("task", {}).get(task, {}).get("landmark", {}).get(f"{landmark:g}", {})
            known = scored.get(VISITS_ALONE, {}).get("c_index")
            if known and known.get("low") is not None and not known.get("note"):
                text = (
                    f"{task} at day {landmark:g}: the visits alone have C {known['value']:.3f}, from {known['low']:.3f}"
                )
                good.append(text)
                faults += [text] if known["low"] > 0.5 else []
                continue
            rank = rank_of(_number_of_visits(predictions, task, landmark))
            if rank.judgeable:
                text = f"{task} at day {landmark:g}: the number of visits alone has C {rank}"
                good.append(text)
                faults += [text] if not rank.low <= 0.5 <= rank.high else []
    process = visit_process(predictions, tasks, landmarks)
    for each in process.associations if process is not None else ():
        if each.alarming:
            more, fewer = (
                ("more visits", "fewer visits") if each.trait == "visits" else ("a longer gap", "a shorter gap")
            )
            way = more if each.z > 0 else fewer
            faults.append(f"{each.task} at day {each.landmark:g}: {way}, earlier events (p = {each.p:.2g})")
    return judged(
        rule,
        faults,
        "; ".join(good) or "too few events at the landmarks to tell",
        "report an ablation without it: the plain model landmark_visits, and temporal=last_visit for the network",
        bad="warn",
    )


def _number_of_visits(predictions: pd.DataFrame, task: str, landmark: float) -> pd.DataFrame:
    """Rows at a landmark, with the number of visits by then as risk."""
    mine = predictions[predictions["task"] == task]
    rows = rows_at(mine, landmark)
    number = mine[mine["day"] <= landmark].groupby(["repeat", "patient_id"]).size().rename("risk").reset_index()
    return rows.drop(columns="risk").merge(number, on=["repeat", "patient_id"], how="left")
