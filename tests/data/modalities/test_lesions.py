"""Tumour size as an assay: what RECIST says of the scans so far, and of no later one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fusion.data.cohort import Cohort
from fusion.data.modalities.lesions import PROGRESSED, Lesions


def with_lesions(cohort: Cohort, rows: list[tuple[str, float, str, int, float]]) -> Cohort:
    """The cohort with other scans of its first patient, on days at which its samples have some."""
    return replace(
        cohort, lesions=pd.DataFrame(rows, columns=["patient_id", "scan_day", "lesion_id", "target", "diameter_mm"])
    )


def test_sum_and_progression_as_recist_has_them(cohort: Cohort) -> None:
    patient = cohort.patient_ids[0]
    rows = [(patient, -7.0, "A", 1, 40.0), (patient, -7.0, "B", 1, 20.0)]
    rows += [(patient, 42.0, "A", 1, 20.0), (patient, 42.0, "B", 1, 15.0)]  # 35 mm: smaller
    values = Lesions().load(with_lesions(cohort, rows)).values
    assert values["target_sum_mm"].tolist() == [60.0, 35.0]
    assert values[PROGRESSED].tolist() == [0.0, 0.0]
    rows[2:] = [(patient, 42.0, "A", 1, 60.0), (patient, 42.0, "B", 1, np.nan)]  # 60 mm alone is three halves of 40
    values = Lesions().load(with_lesions(cohort, rows)).values
    assert np.isnan(values["target_sum_mm"].iloc[1])  # a sum of some of the targets is none


def test_progression_stays(cohort: Cohort) -> None:
    scans = cohort.samples_of("lesions")
    patient = scans["patient_id"].value_counts().index[0]
    days = sorted(scans.loc[scans["patient_id"] == patient, "day"])
    assert len(days) >= 2
    sizes = [30.0, 60.0, *[20.0] * len(days)][: len(days)]
    rows = [(patient, day, "A", 1, size) for day, size in zip(days, sizes, strict=True)]
    values = Lesions().load(with_lesions(cohort, rows)).values
    assert values[PROGRESSED].tolist() == [0.0] + [1.0] * (len(days) - 1)


@pytest.mark.parametrize("cut", [0.0, 30.0])
def test_later_scans_change_nothing_earlier(cohort: Cohort, cut: float) -> None:
    assert cohort.lesions is not None
    later = cohort.lesions["scan_day"] > cut
    assert later.any()
    other = cohort.lesions.assign(diameter_mm=cohort.lesions["diameter_mm"].where(~later, 1.0 + later.cumsum()))
    modality = Lesions()
    table, changed = modality.load(cohort), modality.load(replace(cohort, lesions=other))
    ids = modality.sample_ids(cohort)
    modality.fit(table, ids)
    past = [sample for sample in ids if cohort.samples.loc[sample, "day"] <= cut]
    np.testing.assert_array_equal(modality.transform(table, past).rows, modality.transform(changed, past).rows)
    assert not np.array_equal(modality.transform(table, ids).rows, modality.transform(changed, ids).rows)


def test_progression_has_no_course_of_its_own(cohort: Cohort) -> None:
    modality = Lesions()
    table = modality.load(cohort)
    modality.fit(table, modality.sample_ids(cohort))
    assert all(":" not in name or name.startswith("target_sum_mm:") for name in modality.feature_names)
