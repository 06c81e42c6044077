"""Laboratory values and serum markers, in whatever units the hospital writes."""

from fusion.data.cohort import Cohort
from fusion.data.modalities.serial_table import SerialData, SerialTable
from fusion.data.tables import find_table, read_labs


class Labs(SerialTable):
    """labs.csv, wide or long: analytes per serum sample.

    Units come from a long table's `unit` column, or from cohort.yaml (`labs: {units: {ldh: U/L}}`). Values in another
    unit than the training cohort's are converted where the factor is known, and refused where it is not.

    Args:
        name: Name in the config.
        assay: Value of `modality` in samples.csv.
        specimen: Only samples of this specimen.
        change_features: Whether to add the changes since earlier samples.
    """

    def __init__(
        self,
        name: str = "labs",
        assay: str = "labs",
        specimen: str | None = None,
        change_features: bool = True,
    ) -> None:
        super().__init__(name=name, assay=assay, specimen=specimen, change_features=change_features)

    def load(self, cohort: Cohort) -> SerialData:
        path = find_table(cohort.folder, "labs")
        if path is None:
            raise ValueError(f"{self.name}: {cohort.folder} holds no labs table; add it, or drop the modality")
        values, units = read_labs(path)
        course = self._course(cohort)
        named = (cohort.settings.get("labs") or {}).get("units") or {}
        return SerialData(
            values=values.loc[values.index.isin(course.index)],
            course=course,
            units={**named, **{name: unit for name, unit in units.items() if unit}},
            source=path.name,
        )
