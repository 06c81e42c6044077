"""Reads the tables and matrices of a cohort folder, whatever their suffix, as they stand: nothing is judged here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.formats import (
    COVERAGE_LAYER,
    TEXT_COLUMNS,
    read_anndata,
    read_parquet,
    read_parquet_numbers,
    read_text,
    suffix_of,
)
from fusion.data.problems import CohortError, Problem, fold, printable

TEXT_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
SUFFIXES = (".parquet", *TEXT_SUFFIXES)
MAF_SUFFIXES = (".maf", ".maf.gz")
ANNDATA_SUFFIXES = (".h5ad", ".h5mu")

#: First column of a matrix by assay; an assay not named here may call it what it likes.
FEATURE_COLUMN = {"expression": "gene", "methylation": "region", "methylation_coverage": "region"}

MAF_REQUIRED = ("Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode")
MAF_COUNTS = ("t_depth", "t_ref_count", "t_alt_count", "n_depth", "n_ref_count", "n_alt_count")
MAF_COLUMNS = (
    *MAF_REQUIRED,
    *("Chromosome", "Start_Position", "End_Position", "Variant_Type"),
    *("Reference_Allele", "Tumor_Seq_Allele1", "Tumor_Seq_Allele2", "HGVSp_Short", "FILTER"),
    *MAF_COUNTS,
)


@dataclass(frozen=True)
class Matrix:
    """A vector assay: one row of features per sample.

    Attributes:
        values: Samples x features, NaN where blank.
        sample_ids: Id of each row.
        features: Gene or region of each column.
    """

    values: NDArray[np.float32]
    sample_ids: tuple[str, ...]
    features: tuple[str, ...]


def find_tables(folder: Path, stem: str) -> list[Path]:
    """Every file that could be this table: the right one, and those that compete with it."""
    suffixes = (*MAF_SUFFIXES, *SUFFIXES) if stem == "variants" else (*SUFFIXES, *ANNDATA_SUFFIXES)
    found = [folder / f"{stem}{suffix}" for suffix in suffixes if (folder / f"{stem}{suffix}").is_file()]
    if stem in FEATURE_COLUMN:
        shared = [path for path in sorted(folder.glob("*.h5mu")) if path not in found]
        if stem == "methylation_coverage":
            shared += [path for path in [folder / "methylation.h5ad"] if path.is_file()]
        found = [path for path in found if suffix_of(path) != ".h5mu" or holds(path, stem)]
        found += [path for path in shared if holds(path, stem)]
    return found


def find_table(folder: Path, stem: str) -> Path | None:
    """The file of a table or matrix by any supported suffix, e.g. `find_table(folder, "expression")`, or None.

    A `.h5mu` file of any name serves each of the assays that it holds.
    """
    found = find_tables(folder, stem)
    return found[0] if found else None


def holds(path: Path, assay: str) -> bool:
    """Whether an h5ad or h5mu file holds an assay; told from its structure alone, without anndata."""
    try:
        with h5py.File(path, "r") as file:
            if suffix_of(path) == ".h5ad":
                return assay != "methylation_coverage" or f"layers/{COVERAGE_LAYER}" in file
            if assay == "methylation_coverage" and f"mod/methylation/layers/{COVERAGE_LAYER}" in file:
                return True
            return f"mod/{assay}" in file
    except Exception:  # libhdf5 raises many kinds; a broken file is reported under its own name when it is read
        return path.name.startswith(f"{assay}.")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table by its suffix: ids and labels as text, numbers as numbers, blanks as missing.

    Raises:
        CohortError: The file is empty, not UTF-8, ragged, corrupt, or names a column twice.
    """
    if suffix_of(path) == ".parquet":
        return read_parquet(path)
    return read_text(path, text=TEXT_COLUMNS)


def read_matrix(path: Path, assay: str) -> Matrix:
    """Read a feature x sample table, or the samples x features of an AnnData or MuData, as samples x features.

    Raises:
        CohortError: As `read_table`; the first column is not named as the contract asks; a cell is no number; or
            anndata is needed and not installed.
    """
    matrix, problems = parse_matrix(path, assay)
    if problems:
        raise CohortError(problems)
    return matrix


def parse_matrix(path: Path, assay: str) -> tuple[Matrix, list[Problem]]:
    """As `read_matrix`, but cells that are no number become NaN and are listed."""
    if suffix_of(path) in ANNDATA_SUFFIXES:
        return Matrix(*read_anndata(path, assay)), []
    wanted = FEATURE_COLUMN.get(assay)
    if suffix_of(path) == ".parquet":
        whole = read_parquet_numbers(path)
        if whole is not None and (wanted is None or whole[0].name == wanted):
            names, sample_ids, values = whole
            return Matrix(values, sample_ids, _feature_names(names)), []
        table = read_parquet(path)
    else:
        table = read_text(path, text=TEXT_COLUMNS, first_is_text=True)
    if table.shape[1] == 0 or (wanted is not None and table.columns[0] != wanted):
        first = repr(str(table.columns[0])) if table.shape[1] else "no column"
        remedy = f"name the first column {wanted or 'feature'}; the others are sample_ids"
        raise CohortError([Problem(path.name, "", wanted or "", f"{first} as first column", remedy)])
    features = _feature_names(table.iloc[:, 0])
    sample_ids = tuple(str(column) for column in table.columns[1:])
    body = table.iloc[:, 1:]
    if all(pd.api.types.is_numeric_dtype(dtype) for dtype in body.dtypes):
        return Matrix(np.ascontiguousarray(body.to_numpy(np.float32, na_value=np.nan).T), sample_ids, features), []
    columns, problems = [], []
    for i, sample in enumerate(sample_ids):
        numbers, bad = to_numbers(table.iloc[:, i + 1])
        columns.append(numbers.astype(np.float32))
        if bad.any():
            rows = np.flatnonzero(bad)
            where = [f"{features[row] or f'row {row + 1}'}" for row in rows[:8]]
            found = [printable(table.iloc[row, i + 1]) for row in rows[:8]]
            remedy = "write a plain number (decimal point, no unit) or leave the cell blank"
            problems += fold(path.name, where, sample, found, remedy, total=len(rows))
    values = np.stack(columns) if columns else np.empty((0, len(features)), dtype=np.float32)
    return Matrix(np.ascontiguousarray(values), sample_ids, features), problems


def _feature_names(column: "pd.Series[Any]") -> tuple[str, ...]:
    return tuple(column.astype(object).where(column.notna(), "").map(str))


def read_maf(path: Path) -> pd.DataFrame:
    """Read the variants of all samples: comment lines skipped, headers of any case given the GDC spelling.

    Columns beyond `MAF_COLUMNS` are not read. Every row is kept; `passed_filter` tells those that count.

    Raises:
        CohortError: As `read_table`, or a required column is missing, or a count is no number.
    """
    maf, problems = parse_maf(path)
    if problems:
        raise CohortError(problems)
    return maf


def parse_maf(path: Path) -> tuple[pd.DataFrame, list[Problem]]:
    """As `read_maf`, but counts that are no number become NaN and are listed."""
    spelling = {name.lower(): name for name in MAF_COLUMNS}
    if suffix_of(path) == ".parquet":
        maf = read_parquet(path).rename(columns=lambda name: spelling.get(str(name).lower(), name))
        maf = maf[[name for name in dict.fromkeys(maf.columns) if name in MAF_COLUMNS]]
    else:
        text = frozenset(MAF_COLUMNS) - frozenset(MAF_COUNTS)
        maf = read_text(path, text=text, spelling=spelling, comment="#")
    missing = [name for name in MAF_REQUIRED if name not in maf]
    if missing:
        remedy = "a MAF needs Hugo_Symbol, Variant_Classification and Tumor_Sample_Barcode (= sample_id)"
        raise CohortError([Problem(path.name, "", name, "no such column", remedy) for name in missing])
    problems = []
    for name in MAF_COUNTS:
        if name in maf:
            numbers, bad = to_numbers(maf[name].mask(maf[name].astype(str) == "."))
            where = [f"variant row {row + 1}" for row in np.flatnonzero(bad)]
            problems += fold(
                path.name,
                where,
                name,
                [printable(cell) for cell in maf[name][bad]],
                "write a count of reads or leave it blank",
            )
            maf[name] = numbers
    return maf, problems


def passed_filter(maf: pd.DataFrame) -> "pd.Series[bool]":
    """Variants that count: FILTER is PASS, or nothing was said."""
    if "FILTER" not in maf:
        return pd.Series(True, index=maf.index)
    return maf["FILTER"].isna() | maf["FILTER"].isin(["PASS", "pass", "."])


def read_plasma(path: Path) -> pd.DataFrame:
    """Numeric columns by `sample_id`.

    Raises:
        CohortError: As `read_table`, or `sample_id` is missing, or a cell is no number.
    """
    table, problems = to_wide_numbers(read_table(path), path.name)
    if problems:
        raise CohortError(problems)
    return table


def read_labs(path: Path) -> tuple[pd.DataFrame, Mapping[str, str]]:
    """Analytes by `sample_id`, from a wide or a long table, and the unit of each analyte where the table tells it.

    Raises:
        CohortError: As `read_plasma`, or a long table gives one analyte in two units or twice for one sample.
    """
    table, units, problems = parse_labs(read_table(path), path.name)
    if problems:
        raise CohortError(problems)
    return table, units


def parse_labs(table: pd.DataFrame, file: str) -> tuple[pd.DataFrame, dict[str, str], list[Problem]]:
    """As `read_labs`, from the raw table, with every problem listed."""
    if not {"analyte", "value"} <= set(table.columns):
        wide, problems = to_wide_numbers(table, file)
        return wide, {}, problems
    long, problems = to_wide_numbers(table[["sample_id", "value"]] if "sample_id" in table else table[["value"]], file)
    if "sample_id" not in table:
        return long, {}, problems
    analyte = table["analyte"].astype(object)
    blank = analyte.isna().to_numpy()
    where = [f"line {row + 2}" for row in np.flatnonzero(blank)]
    problems += fold(file, where, "analyte", "a blank", "name the analyte")
    unit = table["unit"].astype(object) if "unit" in table else pd.Series("", index=table.index, dtype=object)
    unit = unit.where(unit.notna(), "").astype(str).str.strip()
    units: dict[str, str] = {}
    for name, spellings in unit.groupby(analyte.to_numpy()):
        seen = sorted(set(spellings) - {""})
        units[str(name)] = seen[0] if seen else ""
        if len(seen) > 1:
            remedy = "convert all values of an analyte to one unit"
            problems.append(Problem(file, f"analyte {name}", "unit", " and ".join(map(repr, seen)), remedy))
    keyed = pd.DataFrame({"sample_id": table["sample_id"].to_numpy(), "analyte": analyte.to_numpy()})
    keyed["value"] = long["value"].to_numpy()
    keyed = keyed[~blank]
    twice = keyed.duplicated(["sample_id", "analyte"]).to_numpy()
    where = [f"sample {s}, analyte {a}" for s, a in keyed.loc[twice, ["sample_id", "analyte"]].to_numpy()]
    problems += fold(file, where, "analyte", "a second value", "keep one value per sample and analyte")
    wide = keyed[~twice].pivot(index="sample_id", columns="analyte", values="value")
    wide.columns = [str(name) for name in wide.columns]
    return wide.reindex(pd.unique(keyed["sample_id"])), units, problems


def to_wide_numbers(table: pd.DataFrame, file: str) -> tuple[pd.DataFrame, list[Problem]]:
    """Index a wide table by `sample_id` and read every other column as numbers; what is no number is listed."""
    if "sample_id" not in table:
        problem = Problem(file, "", "sample_id", "no such column", "add the sample_id that samples.csv lists")
        return table, [problem]
    problems, numbers = [], {}
    for name in table.columns.drop("sample_id"):
        numbers[str(name)], bad = to_numbers(table[name])
        rows = np.flatnonzero(bad)
        where = [f"sample {table['sample_id'].iloc[row]} (line {row + 2})" for row in rows]
        remedy = "write a plain number (a value below the limit of detection: the limit itself), or leave it blank"
        problems += fold(file, where, str(name), [printable(cell) for cell in table[name][bad]], remedy)
    return pd.DataFrame(numbers, index=pd.Index(table["sample_id"], name="sample_id")), problems


def to_numbers(column: "pd.Series[object]") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values as a new float64 array, NaN where blank, and where something stands that is no number."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan)), np.zeros(len(column), dtype=bool)
    blank = column.isna().to_numpy()
    numbers = pd.to_numeric(column.astype(object).where(~blank, None).map(str), errors="coerce").to_numpy(np.float64)
    numbers = np.where(blank, np.nan, numbers)
    return numbers, np.isnan(numbers) & ~blank
