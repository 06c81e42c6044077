"""What every visit is to predict: residual time to an endpoint, and response where its assessment still lies ahead."""

from typing import Literal

import numpy as np
import pandas as pd

from fusion.data.cohort import RESPONDERS, Cohort
from fusion.types import VisitOutcome, VisitResponse

#: RECIST classes of an assessed patient without objective response; NE is in neither list.
NON_RESPONDERS = ("SD", "PD")


def visit_outcomes(cohort: Cohort, endpoint: str, visits: pd.DataFrame | None = None) -> VisitOutcome:
    """Time to `endpoint` from every visit.

    Args:
        cohort: The cohort.
        endpoint: One of `cohort.endpoints`.
        visits: Rows of `cohort.visits` to answer for, in this order; all by default.

    Returns:
        Duration in days from the visit (1 where not at risk), event, and whether the patient is known to be still
        free of the endpoint and under observation after the visit's day.
    """
    if endpoint not in cohort.endpoints:
        raise ValueError(
            f"endpoint {endpoint!r} is not in outcomes.csv; there is {', '.join(cohort.endpoints) or 'none'}"
        )
    visits = cohort.visits if visits is None else visits
    outcome = cohort.outcomes.loc[visits["patient_id"]]
    end = outcome[f"{endpoint}_days"].to_numpy(dtype=np.float64, na_value=np.nan)
    event = outcome[f"{endpoint}_event"].to_numpy(dtype=np.float64, na_value=np.nan)
    duration = end - visits["day"].to_numpy(dtype=np.float64)
    at_risk = np.isfinite(duration) & np.isfinite(event) & (duration > 0)
    return VisitOutcome(
        duration=np.where(at_risk, duration, 1.0),
        event=at_risk & (event == 1),
        at_risk=at_risk,
    )


def visit_responses(
    cohort: Cohort, visits: pd.DataFrame | None = None, ne: Literal["unknown", "nonresponder"] = "unknown"
) -> VisitResponse:
    """Objective response (CR or PR = 1, SD or PD = 0), for visits that precede its assessment.

    Args:
        cohort: The cohort; without a `response` column nothing is known.
        visits: Rows of `cohort.visits` to answer for, in this order; all by default.
        ne: A patient who could not be evaluated (NE) is left out, or a non-responder as intention to treat has it.

    Returns:
        Label and whether it is known and still lies ahead. Without a `response_day` only the baseline visit counts:
        any later one might follow the scan that it is to predict.
    """
    visits = cohort.visits if visits is None else visits
    if "response" not in cohort.outcomes:
        return VisitResponse(label=np.zeros(len(visits), dtype=np.int64), known=np.zeros(len(visits), dtype=np.bool_))
    outcome = cohort.outcomes.loc[visits["patient_id"]]
    response = outcome["response"]
    assessed = [*RESPONDERS, *NON_RESPONDERS, *(["NE"] if ne == "nonresponder" else [])]
    if "response_day" in outcome:
        response_day = outcome["response_day"].to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        response_day = np.full(len(visits), np.nan)
    baseline = (visits["visit"] == 0).to_numpy()
    ahead = np.where(np.isnan(response_day), baseline, visits["day"].to_numpy(dtype=np.float64) < response_day)
    known = response.isin(assessed).to_numpy(dtype=np.bool_) & ahead.astype(np.bool_)
    label = response.isin(RESPONDERS).to_numpy(dtype=np.bool_) & known
    return VisitResponse(label=label.astype(np.int64), known=known)
