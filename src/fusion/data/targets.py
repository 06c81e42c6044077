"""What every visit is to predict: residual time to an endpoint, and response where its assessment still lies ahead."""

from collections.abc import Collection
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import RESPONDERS, Cohort
from fusion.types import VisitOutcome, VisitResponse

#: RECIST classes of an assessed patient without objective response; NE is in neither list.
NON_RESPONDERS = ("SD", "PD")
#: Classes of response from worst to best, as in `Response.possible`.
CLASSES = ("PD", "SD", "PR", "CR")
#: What a label leaves open: of one that was assessed a single class, of one known in part several.
LEAVES_OPEN = {
    **{name: (name,) for name in CLASSES},
    "non-PD": ("SD", "PR", "CR"),
    "responder": RESPONDERS,
    "nonresponder": NON_RESPONDERS,
}

#: Task made of `pfs` and `os`: progression (cause 1), and death without it (cause 2).
PROGRESSION = "progression"
#: Endpoints that are found at a scan, unless they are the death itself.
FOUND_AT_SCANS = ("pfs", PROGRESSION)


def survival_tasks(cohort: Cohort) -> tuple[str, ...]:
    """The endpoints of a cohort, and those that follow from them."""
    made = {"pfs", "os"} <= set(cohort.endpoints) and PROGRESSION not in cohort.endpoints
    return (*cohort.endpoints, *([PROGRESSION] if made else []))


def endpoint_of(task: str, endpoints: Collection[str]) -> str:
    """The endpoint whose days a task has: progression, where it is made, ends as progression-free survival does.

    >>> endpoint_of("progression", ("os", "pfs")), endpoint_of("os", ("os", "pfs"))
    ('pfs', 'os')
    """
    return "pfs" if task == PROGRESSION and PROGRESSION not in endpoints else task


def visit_outcomes(cohort: Cohort, endpoint: str, visits: pd.DataFrame | None = None) -> VisitOutcome:
    """Time to `endpoint` from every visit.

    Args:
        cohort: The cohort.
        endpoint: One of `survival_tasks`.
        visits: Rows of `cohort.visits` to answer for, in this order; all by default.

    Returns:
        Duration in days from the visit (1 where not at risk), event, and whether the patient is known to be still
        free of the endpoint and under observation after the visit's day. With the causes of progression, the last
        scan before it, and the site as stratum, where there is such a thing.
    """
    tasks = survival_tasks(cohort)
    if endpoint not in tasks:
        raise ValueError(f"endpoint {endpoint!r} is not in outcomes.csv; there is {', '.join(tasks) or 'none'}")
    visits = cohort.visits if visits is None else visits
    outcome = cohort.outcomes.loc[visits["patient_id"]]
    source = endpoint_of(endpoint, cohort.endpoints)
    made = source != endpoint
    end, event = _end(outcome, source)
    day = visits["day"].to_numpy(dtype=np.float64)
    duration = end - day
    at_risk = np.isfinite(duration) & np.isfinite(event) & (duration > 0)
    happened = at_risk & (event == 1)
    died = np.zeros(len(visits), dtype=np.bool_)
    if "os" in cohort.endpoints:
        death, dead = _end(outcome, "os")
        died = happened & (dead == 1) & (death <= end)
    last_free = None
    if endpoint in FOUND_AT_SCANS and cohort.lesions is not None:
        found = happened & ~died
        last_free = np.where(at_risk, duration, 1.0)
        last_scan = _last_scan_before(cohort.lesions, visits["patient_id"], end)
        last_free[found] = np.nan_to_num(np.maximum(last_scan - day, 0.0))[found]
    return VisitOutcome(
        duration=np.where(at_risk, duration, 1.0),
        event=happened,
        at_risk=at_risk,
        cause=np.where(died, 2, 1) * happened if made else None,
        last_free=last_free,
        stratum=_stratum(cohort, visits["patient_id"]),
    )


def _end(outcome: pd.DataFrame, endpoint: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Day and event of an endpoint, NaN where not known."""
    days, event = outcome[f"{endpoint}_days"], outcome[f"{endpoint}_event"]
    return days.to_numpy(dtype=np.float64, na_value=np.nan), event.to_numpy(dtype=np.float64, na_value=np.nan)


def _last_scan_before(lesions: pd.DataFrame, patient_id: pd.Series, end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Day of each patient's last scan strictly before `end`, NaN where there was none."""
    scans = lesions[["patient_id", "scan_day"]].dropna()
    patients, days = pd.Index(scans["patient_id"].unique()), np.unique(scans["scan_day"].to_numpy(dtype=np.float64))

    def key(patient: pd.Series, day: NDArray[np.float64]) -> NDArray[np.int64]:
        """Place in the order by patient, then by day; -1 for a patient who was never scanned."""
        number = patients.get_indexer(patient)
        return np.where(number < 0, -1, number * (len(days) + 1) + np.searchsorted(days, day, side="left"))

    order = np.sort(key(scans["patient_id"], scans["scan_day"].to_numpy(dtype=np.float64)))
    asked = key(patient_id, end)
    before = np.searchsorted(order, asked, side="left") - 1
    found = order[before] if len(order) else np.full(len(asked), -1)
    same = (before >= 0) & (asked >= 0) & (found // (len(days) + 1) == asked // (len(days) + 1)) & ~np.isnan(end)
    last = np.full(len(end), np.nan)
    last[same] = days[found[same] % (len(days) + 1)]
    return last


def _stratum(cohort: Cohort, patient_id: pd.Series) -> NDArray[np.int64] | None:
    """Number of each patient's site in patients.csv, -1 where it is blank; None where there is no such column."""
    if "site" not in cohort.patients:
        return None
    site = cohort.patients["site"]
    number = pd.Series(pd.factorize(site, sort=True)[0].astype(np.int64), index=site.index)
    return number.loc[patient_id].to_numpy()


def visit_responses(
    cohort: Cohort, visits: pd.DataFrame | None = None, ne: Literal["unknown", "nonresponder"] | None = None
) -> VisitResponse:
    """Objective response (CR or PR = 1, SD or PD = 0), for visits that precede its assessment.

    Args:
        cohort: The cohort; without a `response` column nothing is known.
        visits: Rows of `cohort.visits` to answer for, in this order; all by default.
        ne: A patient who could not be evaluated (NE) is left out, or a non-responder as intention to treat has it.
            By default what cohort.yaml says below `response: {ne: ...}`; left out where it says nothing.

    Returns:
        Label, whether it is known and still lies ahead, and which classes it leaves open. Without a `response_day`
        only the baseline visit counts: any later one might follow the scan that it is to predict.
    """
    ne = ne or (cohort.settings.get("response") or {}).get("ne", "unknown")
    if ne not in ("unknown", "nonresponder"):
        raise ValueError(f"cohort.yaml says response: {{ne: {ne}}}; write unknown or nonresponder")
    visits = cohort.visits if visits is None else visits
    if "response" not in cohort.outcomes:
        return VisitResponse(label=np.zeros(len(visits), dtype=np.int64), known=np.zeros(len(visits), dtype=np.bool_))
    outcome = cohort.outcomes.loc[visits["patient_id"]]
    if "response_day" in outcome:
        response_day = outcome["response_day"].to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        response_day = np.full(len(visits), np.nan)
    baseline = (visits["visit"] == 0).to_numpy()
    ahead = np.where(np.isnan(response_day), baseline, visits["day"].to_numpy(dtype=np.float64) < response_day)
    leaves_open = {**LEAVES_OPEN, **({"NE": NON_RESPONDERS} if ne == "nonresponder" else {})}
    open_to = [set(leaves_open.get(name, CLASSES)) for name in outcome["response"].fillna("")]
    possible = np.array([[name in left for name in CLASSES] for left in open_to], dtype=np.bool_).reshape(-1, 4)
    possible |= ~ahead.astype(np.bool_)[:, None]
    responder = np.array([name in RESPONDERS for name in CLASSES])
    may_respond, may_not = possible[:, responder].any(axis=1), possible[:, ~responder].any(axis=1)
    label = np.asarray(may_respond & ~may_not, dtype=np.int64)
    return VisitResponse(label=label, known=may_respond != may_not, possible=possible)
