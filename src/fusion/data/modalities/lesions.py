"""Tumour size on the scans so far, and whether one of them showed progression."""

from collections.abc import Sequence

import pandas as pd

from fusion.data.cohort import Cohort
from fusion.data.modalities.course import USUAL
from fusion.data.modalities.serial_table import SerialData, SerialTable
from fusion.data.recist import assess_lesions
from fusion.data.scans import LESIONS, scan_ids

#: Whether a scan so far showed progressive disease: once seen, it stays, and has no course to tell.
PROGRESSED = "progressed"


class Lesions(SerialTable):
    """lesions.csv, by RECIST 1.1: sum of the target diameters, and progression on this scan or on an earlier one.

    A scan is known from the first visit on or after its day (`fusion.data.scans`). A sum of which a target was not
    measured is blank.
    """

    stem = "lesions"

    def __init__(self, name: str = LESIONS, changes: Sequence[str] = USUAL) -> None:
        super().__init__(name, LESIONS, changes=changes)

    def _changes_of(self, analyte: str) -> tuple[str, ...]:
        return () if analyte == PROGRESSED else super()._changes_of(analyte)

    def load(self, cohort: Cohort) -> SerialData:
        path = self.table_path(cohort)
        assert cohort.lesions is not None, "a cohort with a lesions table has read it"
        found = assess_lesions(cohort.lesions)
        found.index = scan_ids(found["patient_id"], found["scan_day"])
        progressed = (found["overall_response"] == "PD").groupby(found["patient_id"]).cummax()
        whole = found["target_sum"].where(found["target_missing"] == 0)
        values = pd.DataFrame({"target_sum_mm": whole, PROGRESSED: progressed.astype(float)})
        course = self._course(cohort)
        return SerialData(
            values=values.loc[values.index.isin(course.index)],
            course=course,
            units={"target_sum_mm": "mm"},
            source=path.name,
            day=self._days(cohort),
        )
