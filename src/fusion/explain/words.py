"""Reasons of one patient in plain words, from the tables that are written to the run folder."""

import pandas as pd

from fusion.data.dataset import RESPONSE
from fusion.explain.visit_values import TIME

#: A contribution below this is not worth a word.
SMALL = 0.02

#: Words at most of features, and of modalities.
FEATURES, MODALITIES = 5, 8


def reasons_in_words(modalities: pd.DataFrame, visits: pd.DataFrame, features: pd.DataFrame) -> list[str]:
    """Sentences about the last visit of one patient, task by task.

    Args:
        modalities: Rows of `modalities.parquet` of one patient, of one repeat.
        visits: Rows of `visits.parquet` likewise.
        features: Rows of `features.parquet` likewise.
    """
    lines = []
    for task, rows in modalities.groupby("task", sort=False):
        last = rows[rows["visit"] == rows["visit"].max()]
        first, visit = last.iloc[0], int(last["visit"].iloc[0])
        scale = "log odds of response" if task == RESPONSE else "log hazard"
        lines.append(
            f"{task}, visit {visit} (day {first['day']:g}): {scale} {first['output']:+.2f}; "
            f"{first['base']:+.2f} if nothing were known of the patient."
        )
        lines.append(f"  what is known: {_listed(last, 'modality', MODALITIES)}")
        step = visits[(visits["task"] == task) & (visits["visit"] == visit)]
        if visit and len(step):
            named = step.assign(modality=step["modality"].replace(TIME, "passing time"))
            change = step["after"].iloc[0] - step["before"].iloc[0]
            lines.append(f"  since the visit before {change:+.2f}: {_listed(named, 'modality', MODALITIES)}")
        top = features[(features["task"] == task) & (features["visit"] == visit)]
        if len(top):
            full = top.assign(feature=top["modality"] + ":" + top["feature"])
            lines.append(f"  features: {_listed(full, 'feature', FEATURES)}")
    return lines


def _listed(rows: pd.DataFrame, column: str, limit: int) -> str:
    """Names with what they add, the largest first.

    >>> _listed(pd.DataFrame({"name": ["a", "b"], "contribution": [0.1, -0.5]}), "name", 5)
    'b -0.50, a +0.10'
    """
    rows = rows[rows["contribution"].abs() >= SMALL]
    rows = rows.reindex(rows["contribution"].abs().sort_values(ascending=False).index).head(limit)
    pairs = zip(rows[column], rows["contribution"], strict=True)
    return ", ".join(f"{name} {value:+.2f}" for name, value in pairs) or "nothing moves it much"
