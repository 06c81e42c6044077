"""What the patient pages are made of: tables as they lie in a run folder and a cohort. All but two may be absent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class MonitorInput:
    """Tables of some patients and of what was predicted for them. Days count from the start of treatment.

    Attributes:
        predictions: Rows as in `predictions.parquet` (docs/run_folder.md). Columns `lowest_survival_<d>` and
            `highest_survival_<d>` are drawn as a band where they are there.
        cohort: Name of the cohort.
        run: Name of the run.
        simulated: The patients never were.
        held_out: Each patient was answered by models that were not trained on them; False for new patients.
        members: Models behind one answer.
        patients: Index `patient_id`; baseline covariates. Only these patients are shown, if given.
        outcomes: Index `patient_id`; `<task>_days`, `<task>_event`, and optionally `response`, `response_day`.
        samples: What a model was given, a row per sample: `patient_id`, `visit`, `modality`; optionally `day` of the
            draw and `specimen`.
        modalities: Rows of the table of what was measured, in this order; those of `samples` where empty.
        serial: Blood values, a row per sample and analyte: `patient_id`, `visit`, `day`, `assay`, `analyte`, `value`;
            optionally `lod` (limit of detection), `detected` (0/1) and `unit`.
        lesions: The lesions table of a cohort.
        treatments: `patient_id`, `treatment`, `start_day`, `end_day` (NaN while it goes on).
        bounds: Conformal lower bounds: `patient_id`, `visit`, `task`, `lower_days`; several repeats give the lowest.
        bounds_level: The share of patients that is to stay free of the event at least until its bound, and whose
            response is to be in their set.
        sets: Conformal response sets: `patient_id`, `visit`, `can_be_nonresponder`, `can_be_responder`; of several
            repeats a response stays possible that is possible in any.
        alerts: `patient_id`, `visit`, `alarm`, and `threshold` of the risk of the first horizon. A threshold that is no
            probability, such as one of a change, is not drawn.
        alerts_note: How the threshold was chosen, in a few words.
        alert_days: Days for which an alarm stays up, as further ones are silent in that time.
        reasons: `patient_id`, `visit`, `task`, `modality`, `contribution`: above zero raises the risk, of the task
            `response` the probability of response.
        feature_reasons: The same with `feature`.
        steps: The same as `reasons`, of what is new since the visit before; `modality` may be `time`.
        patches: Slides patch by patch: `patient_id`, `visit`, `sample_id`, `patch`, `x`, `y`, `task`, `contribution`.
        outside: `patient_id`, `outside` (names of covariates, joined by "; "), and optionally `new_classes` and
            `combination_seen`, as of `fusion.data.shift.outside_training`.
        training: `training_summary.json`, for the ranges.
        horizons: The two horizons of risk, in days after a visit.
    """

    predictions: pd.DataFrame
    cohort: str
    run: str = ""
    simulated: bool = False
    held_out: bool = True
    members: int = 1
    patients: pd.DataFrame | None = None
    outcomes: pd.DataFrame | None = None
    samples: pd.DataFrame | None = None
    modalities: tuple[str, ...] = ()
    serial: pd.DataFrame | None = None
    lesions: pd.DataFrame | None = None
    treatments: pd.DataFrame | None = None
    bounds: pd.DataFrame | None = None
    bounds_level: float = 0.9
    sets: pd.DataFrame | None = None
    alerts: pd.DataFrame | None = None
    alerts_note: str = ""
    alert_days: float = 90.0
    reasons: pd.DataFrame | None = None
    feature_reasons: pd.DataFrame | None = None
    steps: pd.DataFrame | None = None
    patches: pd.DataFrame | None = None
    outside: pd.DataFrame | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    horizons: tuple[float, float] = (90.0, 180.0)

    def __post_init__(self) -> None:
        needed = {"patient_id", "visit", "day", "task"}
        if lacking := sorted(needed - set(self.predictions)):
            raise ValueError(f"the predictions lack {', '.join(lacking)}; give what train.py or predict.py wrote")
        if not 0 < self.horizons[0] < self.horizons[1]:
            raise ValueError(f"horizons are {self.horizons}; give two days after a visit, the earlier one first")
