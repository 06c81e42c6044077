"""The clinical tables of a simulated cohort: patients, outcomes, treatments and lesions."""

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from fusion.data.simulator.blood import baseline_ldh
from fusion.data.simulator.kinetics import RESPONSES, SCAN_WEEKS, Course
from fusion.data.simulator.latents import Latents

#: What limited and extensive stage are given for four cycles of 21 days, and from then on.
INDUCTION = np.array(["platinum-etoposide + radiotherapy", "platinum-etoposide + PD-(L)1"], dtype=object)
MAINTENANCE = np.array(["PD-(L)1 consolidation", "PD-(L)1 maintenance"], dtype=object)
INDUCTION_DAYS = 84


def patients_table(ids: NDArray[np.object_], latents: Latents, site: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": ids,
            "site": np.array([f"S{k + 1}" for k in site], dtype=object),
            "stage": np.where(latents.extensive, "ES", "LS"),
            "age": np.round(latents.age).astype(np.int64),
            "sex": np.where(latents.male, "male", "female"),
            "ecog": latents.ecog1.astype(np.int64),
            "smoking": np.where(latents.ever_smoker, "ever", "never"),
            "liver_metastasis": latents.liver.astype(np.int64),
            "brain_metastasis": latents.brain.astype(np.int64),
            "sld_mm": np.round(latents.sld, 1),
            "ldh": np.round(baseline_ldh(latents), 0),
        }
    )


def outcomes_table(ids: NDArray[np.object_], course: Course) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": ids,
            "os_days": course.os_days.astype(np.int64),
            "os_event": course.os_event.astype(np.int64),
            "pfs_days": course.pfs_days.astype(np.int64),
            "pfs_event": course.pfs_event.astype(np.int64),
            "response": np.array(RESPONSES, dtype=object)[course.response],
            "response_day": pd.array(course.response_day, dtype="Float64").astype("Int64"),
        }
    )


def treatments_table(ids: NDArray[np.object_], latents: Latents, course: Course) -> pd.DataFrame:
    """Four cycles, then maintenance until progression; it follows from stage and outcome, and tells nothing beyond."""
    ended = np.where(course.pfs_event, course.pfs_days, np.nan)  # NaN: on treatment as far as anybody knows
    later = np.where(course.pfs_event, course.pfs_days, course.os_days) > INDUCTION_DAYS
    stage = latents.extensive.astype(np.int64)
    first = {"treatment": INDUCTION[stage], "start_day": 0, "end_day": np.where(later, INDUCTION_DAYS, ended)}
    then = {"treatment": MAINTENANCE[stage], "start_day": INDUCTION_DAYS, "end_day": ended}
    both = pd.concat([pd.DataFrame({"patient_id": ids, **first}), pd.DataFrame({"patient_id": ids, **then})[later]])
    days = both["end_day"].astype("Float64").astype("Int64")
    return both.assign(end_day=days).sort_values(["patient_id", "start_day"], kind="stable")


def lesions_table(ids: NDArray[np.object_], course: Course, rng: Generator) -> pd.DataFrame:
    """Target lesions of every scan made, and a row for each scan that shows a new lesion."""
    scans = np.arange(len(SCAN_WEEKS)) < course.num_scans[:, None]
    lesions = np.arange(course.diameters.shape[2]) < course.num_lesions[:, None]
    patient, scan, lesion = np.nonzero(scans[:, :, None] & lesions[:, None, :])
    targets = pd.DataFrame(
        {
            "patient_id": ids[patient],
            "scan_day": 7 * SCAN_WEEKS[scan],
            "lesion_id": np.array([f"T{k + 1}" for k in range(course.diameters.shape[2])], dtype=object)[lesion],
            "target": 1,
            "diameter_mm": course.diameters[patient, scan, lesion] / 10,
            "nodal": course.nodal[patient, lesion].astype(np.int64),
            "new_lesion": 0,
        }
    )
    patient, scan = np.nonzero(scans & course.new_lesion)
    new = pd.DataFrame(
        {
            "patient_id": ids[patient],
            "scan_day": 7 * SCAN_WEEKS[scan],
            "lesion_id": "N1",
            "target": 0,
            "diameter_mm": np.round(rng.uniform(6, 20, len(patient)), 1),
            "nodal": 0,
            "new_lesion": 1,
        }
    )
    return pd.concat([targets, new]).sort_values(["patient_id", "scan_day", "lesion_id"], kind="stable")
