"""A cohort in memory: patients, outcomes, samples and visits, with the one door to what was known by a day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.data.store import BagStore

#: RECIST classes counted as objective response.
RESPONDERS = ("CR", "PR")


@dataclass(frozen=True)
class Cohort:
    """Validated tables of one study. `fusion.data.read.read_cohort` makes it; nothing changes it afterwards.

    Attributes:
        name: Name from `cohort.yaml`.
        folder: Where the raw assay files lie.
        settings: `cohort.yaml` as read; `settings.get("expression", {})` holds what was said of one assay.
        patients: Index `patient_id` (str); one column per baseline covariate, numeric (float64) or text (object/str),
            missing as NaN/None.
        outcomes: Index `patient_id`, same order as `patients`; `<E>_days` (float64), `<E>_event` (boolean, NA when
            unknown) per endpoint, and, where given, `response` (CR PR SD PD NE or NA) and `response_day`.
        endpoints: Names of the time-to-event endpoints, e.g. `("os", "pfs")`.
        samples: Index `sample_id`; `patient_id`, `modality` (the assay, as in samples.csv), `specimen` (str or ""),
            `batch` (str or ""), `day`, `available_day` (float64), and `visit` (int, 0-based within the patient). Only
            samples that passed QC, and every scan of lesions.csv as a sample of the assay `lesions` (`with_scans`).
            Sorted by patient (order of `patients`), visit, modality, sample_id.
        visits: One row per patient and visit, sorted: `patient_id`, `visit`, `day`. Every patient has at least one.
        lesions: The lesions table as read, or None.
        treatments: `patient_id`, `treatment`, `start_day`, `end_day` (NaN while it goes on), or None. For pages that
            show a course, and for nothing else: how long a treatment went on tells when it failed.
        splits: The splits table as read (`patient_id`, `repeat`, `fold`), or None.
        left_out: What was left out and why, one row each: `file`, `item`, `reason`, `count` (variants of the item, or
            1).
        store: Where its bags of patches are packed; None reads them where they lie.
    """

    name: str
    folder: Path
    settings: Mapping[str, Any]
    patients: pd.DataFrame
    outcomes: pd.DataFrame
    endpoints: tuple[str, ...]
    samples: pd.DataFrame
    visits: pd.DataFrame
    lesions: pd.DataFrame | None = None
    treatments: pd.DataFrame | None = None
    splits: pd.DataFrame | None = None
    left_out: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["file", "item", "reason", "count"]))
    store: BagStore | None = None

    @property
    def patient_ids(self) -> tuple[str, ...]:
        return tuple(self.patients.index)

    @property
    def num_patients(self) -> int:
        return len(self.patients)

    def samples_of(self, assay: str, specimen: str | None = None) -> pd.DataFrame:
        """Rows of `samples` of one assay, of one kind of specimen if named."""
        chosen = self.samples["modality"] == assay
        if specimen is not None:
            chosen &= self.samples["specimen"] == specimen
        return self.samples[chosen]

    def known_by(self, patient_id: str, day: float) -> pd.DataFrame:
        """Samples of a patient whose result was available by `day`: the only history that a prediction may read."""
        mine = self.samples[self.samples["patient_id"] == patient_id]
        return mine[mine["available_day"] <= day]


def assign_visits(samples: pd.DataFrame, patient_ids: list[str], window: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Group each patient's samples into visits.

    A visit opens with the first result that becomes available and takes what becomes available within `window` days;
    it is dated at the latest of these. Whatever is known before day 0 counts as known on day 0, and every patient has
    a baseline visit: where nothing becomes known within `window` days of day 0, one without samples, on day 0. A
    `visit` column, where given, groups instead. Grouping goes by `available_day`, not by the day of the draw, so that
    a late tissue result joins the visit at which it was known and does not delay the blood taken beside it.

    Args:
        samples: Index `sample_id`, with `patient_id`, `available_day` and optionally `visit` (any labels).
        patient_ids: All patients, in order.
        window: Days that a visit stays open.

    Returns:
        `samples` with an integer `visit` column, 0-based and in order of time, and the visits table
        (`patient_id`, `visit`, `day`).
    """
    number = np.zeros(len(samples), dtype=np.int64)
    rows: list[tuple[str, int, float]] = []
    available = samples["available_day"].to_numpy(dtype=np.float64)
    labels = samples["visit"].to_numpy() if "visit" in samples else None
    places = samples.groupby("patient_id", sort=False).indices
    for patient in patient_ids:
        place = np.asarray(places.get(patient, []), dtype=np.int64)
        groups: list[list[int]] = []
        if labels is not None and len(place) and not pd.isna(labels[place]).any():
            by_label: dict[object, list[int]] = {}
            for i in place.tolist():
                by_label.setdefault(labels[i], []).append(i)
            groups = list(by_label.values())
        else:
            opened, order = -np.inf, place[np.argsort(available[place], kind="stable")]
            for i, known in zip(order.tolist(), available[order].tolist(), strict=True):
                day = max(known, 0.0)
                if not groups or day > opened + window:
                    groups.append([])
                    opened = day
                groups[-1].append(i)
        dated = sorted((max(0.0, max(available[i] for i in group)), group[0], group) for group in groups)
        merged: list[tuple[float, list[int]]] = []
        for day, _, group in dated:  # two labels known on the same day are one prediction time
            if merged and merged[-1][0] == day:
                merged[-1][1].extend(group)
            else:
                merged.append((float(day), list(group)))
        if not merged or merged[0][0] > window:
            merged.insert(0, (0.0, []))
        for visit, (day, members) in enumerate(merged):
            number[members] = visit
            rows.append((patient, visit, day))
    return samples.assign(visit=number), pd.DataFrame(rows, columns=["patient_id", "visit", "day"])
