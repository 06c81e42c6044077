"""From predictions to what is said of a visit: mean curve over repeats, risk by a horizon, what has happened by then.

Dimension key: V rows (a patient's visit and task), T days of the grid.
"""

import re

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

#: The task whose answer is a probability of response, not a time.
RESPONSE = "response"
#: The endpoint that risk is quoted of, the first that was predicted.
PRIMARY = ("pfs", "progression")
KEYS = ["patient_id", "visit", "task"]


def grid(predictions: pd.DataFrame, kind: str = "survival") -> dict[float, str]:
    """Days of the predicted curves and the column of each, in order.

    >>> grid(pd.DataFrame(columns=["survival_180", "survival_30", "lowest_survival_30"]))
    {30.0: 'survival_30', 180.0: 'survival_180'}
    """
    named = (re.fullmatch(rf"{kind}_(\d+(?:\.\d+)?)", str(column)) for column in predictions.columns)
    return dict(sorted((float(found[1]), found[0]) for found in named if found))


def mean_over_repeats(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per patient, visit and task: the mean of the numbers over repeats, and `models` that answered.

    Of what members say at the least and at the most, the least and the most over repeats.

    Args:
        predictions: Rows as in `predictions.parquet`; `repeat` and `fold` may lack.

    >>> rows = pd.DataFrame({"repeat": [0, 1], "fold": [2, 0], "patient_id": "a", "visit": 0, "day": 0.0,
    ...                      "task": "os", "survival_90": [0.8, 0.6]})
    >>> mean_over_repeats(rows)[["survival_90", "models"]].round(2).to_dict("records")
    [{'survival_90': 0.7, 'models': 2}]
    """
    numbers, lowest, highest = (
        [c for c in predictions if str(c).startswith(kind)] for kind in (("survival_", "prob_"), "lowest_", "highest_")
    )
    kept = predictions[["day", *KEYS, *numbers, *lowest, *highest]]
    grouped = kept.assign(patient_id=predictions["patient_id"].astype(str)).groupby(KEYS, sort=False)
    about = grouped["day"].agg(day="first", models="size")
    found = [grouped[numbers].mean(), grouped[lowest].min(), grouped[highest].max()]
    return about.join([table for table in found if len(table.columns)]).reset_index()


def answered_by(predictions: pd.DataFrame) -> "pd.Series[str]":
    """Which fold's model answered for each patient, in words, by `patient_id`; empty where folds are not told."""
    if not {"repeat", "fold"} <= set(predictions):
        return pd.Series(dtype=object)
    asked = predictions[["patient_id", "repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    several = asked["repeat"].nunique() > 1
    models = asked[["repeat", "fold"]].itertuples(index=False)
    words = [f"fold {fold} of repeat {repeat}" if several else f"fold {fold}" for repeat, fold in models]
    return pd.Series(words, index=asked["patient_id"].astype(str), dtype=object).groupby(level=0).agg(" and ".join)


def risk_by(
    survival: Float[np.ndarray, "V T"], times: Float[np.ndarray, " T"], horizon: float
) -> Float[np.ndarray, " V"]:
    """Probability of the event within `horizon` days of the visit; NaN beyond the grid.

    Between days of the grid the curve is taken as straight, and it starts at 1.

    >>> risk_by(np.array([[0.9, 0.5]]), np.array([100.0, 200.0]), 150.0).round(3)
    array([0.3])
    """
    if not len(times) or horizon > times[-1]:
        return np.full(len(survival), np.nan)
    days = np.concatenate([[0.0], times])
    curve = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    right = max(1, int(np.searchsorted(days, horizon)))
    share = (horizon - days[right - 1]) / (days[right] - days[right - 1])
    # A day of the grid is read alone: a blank beside it says nothing of it.
    known = curve[:, right] if share == 1 else (1 - share) * curve[:, right - 1] + share * curve[:, right]
    risk: NDArray[np.float64] = 1.0 - known
    return risk


def primary_task(tasks: list[str]) -> str | None:
    """The endpoint that the cohort page sorts by: progression where predicted, else the first.

    >>> primary_task(["os", "pfs", "response"]), primary_task(["os"]), primary_task(["response"])
    ('pfs', 'os', None)
    """
    times = [task for task in tasks if task != RESPONSE]
    return next((task for task in PRIMARY if task in times), times[0] if times else None)


def end_of(outcome: "pd.Series[object] | None", task: str) -> tuple[float, bool] | None:
    """Day of the event, or of the end of follow-up, and whether it is the event; None where not known.

    >>> end_of(pd.Series({"os_days": 90.0, "os_event": 1}), "os"), end_of(None, "os")
    ((90.0, True), None)
    """
    if outcome is None:
        return None
    day = pd.to_numeric(pd.Series([outcome.get(f"{task}_days")]), errors="coerce").iloc[0]
    event = outcome.get(f"{task}_event")
    if pd.isna(day) or pd.isna(event):
        return None
    return float(day), bool(event)
