"""Which samples exist: biopsies before treatment, serial blood, and the site of every patient."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from fusion.data.simulator.assays import BATCHES
from fusion.data.simulator.kinetics import Course
from fusion.data.simulator.latents import BoolArray, FloatArray

#: Share of patients with a usable tissue assay.
TISSUE_SHARE: Final = {"variants": 0.75, "expression": 0.65, "methylation": 0.60, "histology": 0.90}
TISSUE_SUFFIX: Final = {"variants": "WES", "expression": "RNA", "methylation": "METH", "histology": "HE"}
#: Share of patients whose tissue was assayed but failed quality control: data are there, and are not to be used.
FAILED_SHARE: Final = 0.03


@dataclass(frozen=True)
class Samples:
    """Samples of one assay and specimen; `patient` is the row of the patient in the cohort."""

    assay: str
    specimen: str
    ids: NDArray[np.object_]
    patient: NDArray[np.int64]
    day: NDArray[np.int64]
    available_day: NDArray[np.int64]
    batch: NDArray[np.object_]
    passed: BoolArray

    def frame(self, patient_ids: NDArray[np.object_]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "sample_id": self.ids,
                "patient_id": patient_ids[self.patient],
                "day": self.day,
                "modality": self.assay,
                "specimen": self.specimen,
                "batch": self.batch,
                "pass_qc": self.passed.astype(np.int64),
                "available_day": self.available_day,
            }
        )


def assign_sites(course: Course, *, sites: int, confounded: bool, rng: Generator) -> NDArray[np.int64]:
    """Site of every patient: by chance, or, confounded, the sooner the death the later the site."""
    n = len(course.os_days)
    if not confounded:
        return rng.integers(0, sites, n)
    prognosis = np.argsort(np.argsort(-course.death_day, kind="stable"), kind="stable") / n
    rank = np.argsort(np.argsort(prognosis + 0.35 * rng.normal(size=n), kind="stable"), kind="stable")
    return rank * sites // n


def tissue_samples(ids: NDArray[np.object_], rng: Generator) -> dict[str, Samples]:
    """Biopsies before treatment: what could be assayed depends on one adequacy per patient, shared by the assays."""
    n = len(ids)
    adequacy = rng.normal(size=n)
    biopsy_day = -rng.integers(5, 29, n)
    out = {}
    for assay, share in TISSUE_SHARE.items():
        quality = 0.85 * adequacy + np.sqrt(1 - 0.85**2) * rng.normal(size=n)
        passed = quality > NormalDist().inv_cdf(1 - share)
        patient = np.flatnonzero(quality > NormalDist().inv_cdf(1 - share - FAILED_SHARE))
        out[assay] = Samples(
            assay=assay,
            specimen="tissue",
            ids=np.array([f"{ids[i]}-{TISSUE_SUFFIX[assay]}" for i in patient], dtype=object),
            patient=patient,
            day=biopsy_day[patient],
            available_day=np.zeros(len(patient), dtype=np.int64),
            batch=np.array(BATCHES, dtype=object)[rng.integers(0, 2, len(patient))],
            passed=passed[patient],
        )
    return out


def blood_samples(
    assay: str, specimen: str, suffix: str, ids: NDArray[np.object_], day: FloatArray, taken: BoolArray
) -> Samples:
    """One sample for every draw taken, in the order of `taken` read row by row, numbered by draw."""
    patient, number = np.nonzero(taken)
    when = day[taken].astype(np.int64)
    return Samples(
        assay=assay,
        specimen=specimen,
        ids=np.array([f"{ids[i]}-{suffix}{k:02d}" for i, k in zip(patient, number, strict=True)], dtype=object),
        patient=patient,
        day=when,
        available_day=when,
        batch=np.full(len(patient), BATCHES[0], dtype=object),
        passed=np.ones(len(patient), dtype=np.bool_),
    )
