"""What the course of a blood value tells beside its level; every feature of a sample looks back only.

Dimension key: S samples of some patients, in the order in which each patient's became known; A analytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Days of a cycle of treatment: the unit of time of slopes and of the time since the nadir.
CYCLE = 21.0


@dataclass(frozen=True)
class Course:
    """Levels of some samples, "S A", and when and of whom they are.

    Attributes:
        level: In training sds from the training mean, NaN where blank.
        log2: Logarithm to base 2 of the value, NaN where blank or not above zero.
        patient: Patient of each sample.
        day: Day of the draw, NaN where not told.
    """

    level: pd.DataFrame
    log2: pd.DataFrame
    patient: NDArray[Any]
    day: NDArray[np.float64]

    def of_patient(self, frame: pd.DataFrame) -> Any:
        """A frame of this shape, grouped by patient."""
        return frame.groupby(self.patient, sort=False)


def change_first(course: Course) -> pd.DataFrame:
    """Level less the patient's first."""
    return course.level - course.of_patient(course.level).transform("first")


def change_previous(course: Course) -> pd.DataFrame:
    """Level less the one before, blanks in between passed over."""
    before = course.of_patient(course.of_patient(course.level).ffill()).shift()
    return course.level - before


def above_nadir(course: Course) -> pd.DataFrame:
    """Level less the lowest so far: the rebound, by which a resistant clone is seen first."""
    return course.level - nadir(course)


def nadir(course: Course) -> pd.DataFrame:
    """The lowest level so far."""
    return course.of_patient(course.level).cummin()


def since_nadir(course: Course) -> pd.DataFrame:
    """`log(1 + cycles)` since the lowest level so far was last seen."""
    day = _days(course)
    at_nadir = day.where(course.level == nadir(course))
    return np.log1p((day - course.of_patient(at_nadir).ffill()).clip(lower=0.0) / CYCLE)


def slope(course: Course) -> pd.DataFrame:
    """Change of level per cycle of 21 days, by least squares over the samples so far; blank at the first."""
    time, level = _days(course) / CYCLE, course.level
    level = level - course.of_patient(level).transform("first")  # far from zero, sums of squares lose digits
    time = time - course.of_patient(time).transform("first")
    count, sum_t, sum_y, sum_ty, sum_tt = (
        course.of_patient(term).cumsum() for term in (time.notna().astype(float), time, level, time * level, time**2)
    )
    spread = count * sum_tt - sum_t**2
    return (count * sum_ty - sum_t * sum_y) / spread.where(spread > 1e-6)


def mean(course: Course) -> pd.DataFrame:
    """Mean of the levels so far, which noise of a single draw moves less."""
    known = course.level.notna().astype(float)
    return course.of_patient(course.level).cumsum() / course.of_patient(known).cumsum()


def log_ratio(course: Course) -> pd.DataFrame:
    """Doublings since the patient's first value; a halving is -1."""
    return course.log2 - course.of_patient(course.log2).transform("first")


def _days(course: Course) -> pd.DataFrame:
    """Day of each sample beside every analyte, NaN where the level is blank."""
    day = np.broadcast_to(course.day[:, None], course.level.shape)
    return pd.DataFrame(day, index=course.level.index, columns=course.level.columns).where(course.level.notna())


#: Feature by the suffix of its column; blank where the level is.
CHANGES: Mapping[str, Callable[[Course], pd.DataFrame]] = {
    feature.__name__: feature
    for feature in (change_first, change_previous, above_nadir, nadir, since_nadir, slope, mean, log_ratio)
}
#: Those that a serial assay has unless it names others.
USUAL = ("change_first", "change_previous", "above_nadir")
