"""Laboratory values and serum markers, in whatever units the hospital writes."""

from fusion.data.cohort import Cohort
from fusion.data.modalities.serial_table import SerialData, SerialTable
from fusion.data.tables import read_labs


class Labs(SerialTable):
    """labs.csv, wide or long: analytes per serum sample.

    Units come from a long table's `unit` column, or from cohort.yaml (`labs: {units: {ldh: U/L}}`). Values in another
    unit than the training cohort's are converted where the factor is known, and refused where it is not.
    """

    stem = "labs"

    def load(self, cohort: Cohort) -> SerialData:
        path = self.table_path(cohort)
        values, units = read_labs(path)
        course = self._course(cohort)
        named = (cohort.settings.get("labs") or {}).get("units") or {}
        return SerialData(
            values=values.loc[values.index.isin(course.index)],
            course=course,
            units={**named, **{name: unit for name, unit in units.items() if unit}},
            source=path.name,
            day=self._days(cohort),
        )
