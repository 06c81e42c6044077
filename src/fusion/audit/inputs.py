"""Whether a covariate says what it may not know yet: the outcome itself, or what was learned later."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.audit.finding import Finding, judged
from fusion.audit.ranks import FEWEST_EVENTS
from fusion.data.cohort import Cohort
from fusion.data.modalities.base import Modality
from fusion.data.read import check_cohort
from fusion.metrics.functional import concordance_index
from fusion.types import VisitTable

#: One covariate alone that ranks times, or responses, better than this is a suspect.
TOO_GOOD, TOO_GOOD_RESPONSE = 0.85, 0.95
FEWEST_PATIENTS = 20
#: And fewer responders, or non-responders, than this and a response is not judged.
FEWEST_OF_A_CLASS = 10
#: A level of a text covariate is tried by itself where so many patients have it.
FEWEST_OF_A_LEVEL = 5

_OUTCOME_WORDS = re.compile(
    r"(^|_)(os|pfs|dfs|efs|ttp|dead|death|died|deceased|vital|surviv\w*|relaps\w*|recurr\w*|progress\w*|event|"
    r"outcome|follow\w*|censor\w*|respon\w*|recist|last_seen)(_|$)"
)


def baseline_covariates(patients: pd.DataFrame) -> pd.DataFrame:
    """Every covariate of patients.csv as numbers: measurements as they are, of text each frequent level as 0 and 1."""
    columns = {}
    for name in patients:
        values = patients[name]
        if pd.api.types.is_numeric_dtype(values):
            columns[f"patients.csv:{name}"] = values.astype(np.float64)
            continue
        for level, count in values.value_counts().items():
            if count >= FEWEST_OF_A_LEVEL:
                columns[f"patients.csv:{name}={level}"] = (values == level).astype(np.float64)
    return pd.DataFrame(columns, index=patients.index)


def _strongest(
    features: NDArray[np.float64], names: tuple[str, ...], duration: NDArray[np.float64], event: NDArray[np.bool_]
) -> list[tuple[float, str]]:
    """Concordance of each feature with the time, whichever way it points, the strongest first."""
    found = []
    for column, name in enumerate(names):
        value = features[:, column]
        known = np.isfinite(value) & np.isfinite(duration)
        varies = known.any() and np.ptp(value[known]) > 0
        if varies and known.sum() >= FEWEST_PATIENTS and event[known].sum() >= FEWEST_EVENTS:
            concordance = concordance_index(value[known], duration[known], event[known])
            found.append((max(concordance, 1 - concordance), name))
    return sorted(found, reverse=True)


def no_covariate_is_too_good(table: VisitTable, patients: pd.DataFrame) -> Finding:
    """No feature known at baseline ranks an endpoint by itself as only its consequence could.

    Args:
        table: Features of every assay and outcomes, of all patients.
        patients: Covariates by patient, those that the model leaves out included.
    """
    rule = f"No covariate alone has a C-index above {TOO_GOOD:g}"
    first = table.visit == 0
    raw = baseline_covariates(patients).reindex(table.patient_ids[first])
    features = np.concatenate([table.features[first], raw.to_numpy(dtype=np.float64)], axis=1)
    names = (*table.feature_names, *(str(name) for name in raw))
    faults, best = [], []
    for task, outcome in table.outcomes.items():
        at_risk = outcome.at_risk[first]
        found = _strongest(features[at_risk], names, outcome.duration[first][at_risk], outcome.event[first][at_risk])
        faults += [f"{name} alone has C {value:.3f} for {task}" for value, name in found if value > TOO_GOOD]
        best += (
            [f"{task}: {len(found)} features, the strongest {found[0][1]} with C {found[0][0]:.3f}"] if found else []
        )
    if not best:
        return Finding(rule, "not applicable", f"no endpoint has {FEWEST_EVENTS} events")
    return judged(
        rule,
        faults,
        "; ".join(best),
        "find out when and from what it was recorded; leave it out if it was known only through the outcome",
    )


def response_is_not_told_early(table: VisitTable, predictions: pd.DataFrame, outcomes: pd.DataFrame) -> Finding:
    """Rule 5: before its assessment nothing tells the response, and after it nobody is asked.

    Args:
        table: Features of every assay and responses, of all patients.
        predictions: `predictions.parquet` of the run.
        outcomes: Outcomes by patient.
    """
    rule = "Rule 5: a response counts from the day of its assessment"
    asked = predictions[(predictions["task"] == "response") & predictions["at_risk"].astype(bool)]
    if "response" not in outcomes:
        return Finding(rule, "not applicable", "the cohort has no response")
    faults = []
    if "response_day" in outcomes:
        assessed = outcomes["response_day"].astype("Float64").astype(float).reindex(asked["patient_id"]).to_numpy()
        late = asked["day"].to_numpy(dtype=np.float64) >= assessed
    else:
        late = asked["visit"].to_numpy() > 0
    if late.any():
        faults.append(f"{int(late.sum())} of {len(asked)} visits are asked for a response that was assessed already")
    response, tried = table.responses.get("response"), []
    if response is not None:
        last = response.known & np.append((table.patient_ids[1:] != table.patient_ids[:-1]) | ~response.known[1:], True)
        for when, rows in (("baseline", response.known & (table.visit == 0)), ("the last visit before it", last)):
            label = response.label[rows] == 1
            found = []
            if min(label.sum(), (~label).sum()) >= FEWEST_OF_A_CLASS:
                found = _strongest(table.features[rows], table.feature_names, np.where(label, 1.0, 2.0), label)
            faults += [
                f"{name} alone has AUROC {value:.3f} at {when}" for value, name in found if value > TOO_GOOD_RESPONSE
            ]
            tried += [f"strongest feature at {when}: {found[0][1]}, AUROC {found[0][0]:.3f}"] if found else []
    return judged(
        rule,
        faults,
        "; ".join([f"{len(asked)} visits asked, all before the assessment", *tried]),
        "date what was read off the scan at the day of the assessment (available_day), or leave it out",
    )


def covariates_are_of_baseline(folder: Path) -> Finding:
    """Rule 10: the reader's own check of the cohort folder, and of the names of the covariates.

    Args:
        folder: The cohort folder.
    """
    rule = "Rule 10: baseline covariates were recorded by day 0"
    problems = [str(problem) for problem in check_cohort(folder) if problem.file.startswith("patients.")]
    return judged(rule, problems, "the reader has no complaint about patients.csv", "take them out, and train anew")


def names_are_no_outcomes(patients: pd.DataFrame) -> Finding:
    """A covariate whose name sounds like an outcome is a warning, no proof.

    Args:
        patients: Covariates by patient.
    """
    names = [str(name) for name in patients]
    return judged(
        "No covariate sounds like an outcome",
        [f"column {name} of patients.csv" for name in names if _OUTCOME_WORDS.search(name.lower())],
        f"{len(names)} covariates: {', '.join(names) or 'none'}",
        "make sure that it was known on day 0; nothing in a column without a date can prove it",
        bad="warn",
    )


def samples_are_known_at_their_visit(cohort: Cohort, modalities: Mapping[str, Modality]) -> Finding:
    """No sample is placed at a visit earlier than the day on which its result was known.

    Args:
        cohort: The cohort.
        modalities: Those of the run, which place the samples.
    """
    day = cohort.visits.set_index(["patient_id", "visit"])["day"]
    faults, placed = [], 0
    for name, modality in modalities.items():
        placement = modality.placement(cohort)
        placement = placement[placement["sample_id"].isin(cohort.samples.index)]
        known = cohort.samples.loc[placement["sample_id"], "available_day"].to_numpy(dtype=np.float64)
        visit = day.reindex(pd.MultiIndex.from_frame(placement[["patient_id", "visit"]])).to_numpy(dtype=np.float64)
        early = int((known > visit).sum())
        placed += len(placement)
        if early:
            faults.append(f"{name}: {early} of {len(placement)} samples are placed before their result was known")
    return judged(
        "No feature is dated after its visit",
        faults,
        f"{placed} samples, each at a visit no earlier than its available_day",
        "place samples by available_day, as Cohort.visits does",
    )
