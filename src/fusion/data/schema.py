"""The columns of every clinical table, and the checks of single columns that all tables share."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.problems import Problem, fold, printable
from fusion.data.tables import to_numbers

#: The only version of the cohort folder's layout so far.
SCHEMA_VERSION = 1

REQUIRED_COLUMNS = {
    "patients": ("patient_id",),
    "outcomes": ("patient_id",),
    "samples": ("sample_id", "patient_id", "day", "modality"),
    "lesions": ("patient_id", "scan_day", "lesion_id", "target", "diameter_mm"),
    "treatments": ("patient_id", "treatment", "start_day"),
    "splits": ("patient_id", "repeat", "fold"),
}
REQUIRED_TABLES = ("patients", "outcomes", "samples")

RESPONSES = ("CR", "PR", "SD", "PD", "NE")

#: What else may be known of a response: that it was none of progression, or only on which side it fell.
PARTLY_KNOWN = ("non-PD", "responder", "nonresponder")

#: Offsets beyond a hundred years are Excel's serial dates, or dates written as 20240131.
LONGEST = 36525.0
OLDEST = 120.0

#: Samples are dated by day, death often by month: a sample this many days after death is a rounding, not a fault.
DEATH_TOLERANCE = 31.0

_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    r"\s*(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ].*)?"  # 2024-01-31, 2024-01
    r"|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([T ].*)?"  # 31.01.2024, 1/31/24
    r"|\d{4}\s*年.*"
    rf"|(\d{{1,2}}[-/. ]+)?{_MONTH}[-/., ]+\d{{1,4}}(,? *\d{{4}})?)\s*",  # 31-JAN-2024, Jan 31, 2024
    re.IGNORECASE,
)
_COMPACT_DATE = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
DATE_REMEDY = "write days from day 0 (start of treatment); calendar dates are refused, to protect patients"


def looks_like_date(value: object) -> bool:
    """Whether a value is a calendar date: ISO, European, American, with a month's name, or 20240131.

    >>> [looks_like_date(v) for v in ("2024-01-31", "31.1.24", "Jan 31, 2024", "20240131", 20240131)]
    [True, True, True, True, True]
    >>> [looks_like_date(v) for v in ("ES", "T1-2", "3/4", 61.5, 2024, "May")]
    [False, False, False, False, False, False]
    """
    if isinstance(value, float | int | np.integer | np.floating):
        return bool(np.isfinite(value)) and float(value).is_integer() and _is_compact_date(str(int(value)))
    text = str(value)
    return _is_compact_date(text) or bool(_DATE.fullmatch(text))


def _is_compact_date(text: str) -> bool:
    return bool(_COMPACT_DATE.fullmatch(text))


@dataclass
class TableCheck:
    """One table under inspection: columns are read through it, and it notes what is wrong.

    Attributes:
        file: Name of the file.
        table: The table as read.
        key: Column that names a row for the reader ("sample_id").
        first_line: Line of the file that the first row stands on, or None where rows are not lines.
        problems: What was found so far.
    """

    file: str
    table: pd.DataFrame
    key: str = ""
    first_line: int | None = 2
    problems: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, column: str) -> bool:
        return column in self.table.columns

    def require(self, columns: Sequence[str]) -> bool:
        """Whether all of these columns exist."""
        missing = [column for column in columns if column not in self]
        for column in missing:
            near = [name for name in self.table.columns if str(name).lower().strip() == column.lower()]
            found = f"{printable(near[0])} instead" if near else "no such column"
            remedy = "rename it: names are compared as written" if near else "add the column"
            self.problems.append(Problem(self.file, "", column, found, remedy))
        return not missing

    def where(self, row: int) -> str:
        """How a row is named to the reader."""
        line = f"row {row + 1}" if self.first_line is None else f"line {row + self.first_line}"
        if not self.key or self.key not in self:
            return line
        return f"{self.key.removesuffix('_id')} {printable(self.table[self.key].iloc[row])} ({line})"

    def note(self, bad: NDArray[np.bool_], column: str, remedy: str, found: str | Sequence[str] | None = None) -> None:
        """Note the rows where `bad`; what was found is the cell itself unless said otherwise."""
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        listed = rows[:8]
        if found is None:
            cells = self.table[column].iloc[listed]
            shown: str | list[str] = ["a blank" if pd.isna(cell) else printable(cell) for cell in cells]
        else:
            shown = found if isinstance(found, str) else [found[row] for row in listed]
        where = [self.where(int(row)) for row in listed]
        self.problems += fold(self.file, where, column, shown, remedy, total=len(rows))

    def ids(self, column: str, unique: bool = False) -> "pd.Series[str]":
        """The ids of a column as text; blanks, ids that could be paths and, if asked, repeats are noted."""
        raw = self.table[column]
        ids = raw.astype(object).where(raw.notna(), "").astype(str)
        blank = (ids.str.strip() == "").to_numpy(dtype=bool)
        self.note(blank, column, "give every row an id", "a blank")
        unsafe = ids.str.contains(r"[/\\\x00-\x1f\x7f]|\.\.|^\s|\s$|^[.~]", regex=True).to_numpy(dtype=bool) & ~blank
        self.note(unsafe, column, "use letters, digits, '-', '_' and single dots: an id names files")
        if unique:
            repeated = ids.duplicated().to_numpy(dtype=bool) & ~blank
            self.note(repeated, column, f"keep one row per {column}", [f"{i!r} a second time" for i in ids])
        return ids

    def known(self, ids: "pd.Series[str]", column: str, among: Collection[str], table: str) -> NDArray[np.bool_]:
        """Which ids stand in `among`; the others are noted."""
        known = ids.isin(set(among)).to_numpy(dtype=bool)
        blank = (ids.str.strip() == "").to_numpy(dtype=bool)
        remedy = f"add the patient to {table}, or correct the id"
        self.note(~known & ~blank, column, remedy, [f"{i!r}, not in {table}" for i in ids])
        return known

    def numbers(
        self, column: str, low: float = -np.inf, high: float = np.inf, blank: bool = True, unit: str = ""
    ) -> NDArray[np.float64]:
        """A column as float64; text, infinities, values out of range and unwelcome blanks are noted and become NaN."""
        values, bad = to_numbers(self.table[column])
        dates = np.array([looks_like_date(v) for v in self.table[column][bad]], dtype=bool)
        dated = np.zeros(len(self), dtype=bool)
        dated[np.flatnonzero(bad)] = dates
        self.note(dated, column, DATE_REMEDY)
        self.note(bad & ~dated, column, "write a plain number (decimal point, no unit) or leave it blank")
        infinite = np.isinf(values)
        self.note(infinite, column, "write a finite number or leave it blank")
        values[infinite] = np.nan
        outside = (values < low) | (values > high)
        bounds = f"at least {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"
        self.note(outside, column, f"write a value of {bounds}{unit}")
        values[outside] = np.nan
        if not blank:
            self.note(self.table[column].isna().to_numpy(dtype=bool), column, "fill it in")
        return values

    def days(self, column: str, blank: bool = False) -> NDArray[np.float64]:
        """Days from day 0; calendar dates in any dress are noted."""
        days = self.numbers(column, blank=blank)
        serial = np.abs(days) > LONGEST
        self.note(serial, column, DATE_REMEDY)
        days[serial] = np.nan
        return days

    def flags(self, column: str, blank: bool = True) -> NDArray[np.float64]:
        """A column of 0 and 1, NaN where blank; anything else is noted."""
        values, bad = to_numbers(self.table[column])
        wrong = bad | ~(np.isnan(values) | (values == 0) | (values == 1))
        self.note(
            wrong, column, "write 1 for yes (it happened) and 0 for no" + (", or leave it blank" if blank else "")
        )
        if not blank:
            self.note(self.table[column].isna().to_numpy(dtype=bool), column, "write 1 for yes and 0 for no")
        values[wrong] = np.nan
        return values

    def texts(self, column: str) -> "pd.Series[str]":
        """A column as text, "" where blank."""
        raw = self.table[column]
        return (
            raw.astype(object)
            .where(raw.notna(), "")
            .map(lambda v: v if isinstance(v, str) else printable(v))
            .str.strip()
        )

    def refuse_dates(self, column: str) -> bool:
        """Whether any cell of a free column is a calendar date; these are noted."""
        cells = self.table[column]
        if pd.api.types.is_datetime64_any_dtype(cells):
            dated = cells.notna().to_numpy(dtype=bool)
        elif pd.api.types.is_numeric_dtype(cells):
            present = cells.dropna()  # one number may look like a date by chance; a whole column does not
            all_dates = len(present) > 0 and all(looks_like_date(value) for value in present.unique())
            dated = cells.notna().to_numpy(dtype=bool) & all_dates
        else:
            dates = {value for value in pd.unique(cells.dropna().astype(str)) if looks_like_date(value)}
            dated = cells.astype(str).isin(dates).to_numpy(dtype=bool)
        self.note(dated, column, DATE_REMEDY)
        return bool(dated.any())
