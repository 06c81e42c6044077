"""Reads single files of the formats that a cohort folder may use: text, Parquet, AnnData."""

import csv
import gzip
import io
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fusion.data.problems import CohortError, Problem, fold, printable

#: Layer of an AnnData that holds the reads behind each beta value.
COVERAGE_LAYER = "n_total"

#: Values of a Parquet file that are read at a time.
CELLS = 2_000_000

#: Spellings of "not known". "None" is missing from the list on purpose: it is an answer in many a clinical table.
BLANKS = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "<NA>")

#: Read as text even where every value looks like a number: "007" is an id and "1" may be a site.
TEXT_COLUMNS = frozenset(
    [
        *("patient_id", "sample_id", "lesion_id", "gene", "region", "modality", "specimen"),
        *("batch", "site", "stage", "sex", "response", "analyte", "unit"),
    ]
)


def unreadable(path: Path, found: str, remedy: str) -> CohortError:
    """The error for a file that cannot be read at all."""
    return CohortError([Problem(path.name, "", "", found, remedy)])


def suffix_of(path: Path) -> str:
    """The suffix with its `.gz`, in lower case: `.tsv.gz` of `a.b.tsv.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def read_parquet(path: Path) -> pd.DataFrame:
    """Read Parquet; a named index becomes columns again, flags become 0 and 1, ids text."""
    try:
        nested = [column.name for column in pq.read_schema(path) if pa.types.is_nested(column.type)]
        # one thread without read-ahead: a matrix with tens of thousands of columns takes a fifth of the memory, and
        # less time
        table = pd.read_parquet(path, engine="pyarrow", use_threads=False, pre_buffer=False)
    except Exception as error:  # pyarrow has its own tree of errors; all of them mean the same to the user
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise unreadable(path, f"no readable Parquet ({message[:80]})", "write the file again, as Parquet") from error
    if nested:
        raise unreadable(path, f"lists in column {printable(nested[0])}", "store one plain value per cell")
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    table.columns = pd.Index([str(name) for name in table.columns], dtype=object)
    _refuse_repeats(path, list(table.columns))
    for name in table.select_dtypes(bool):
        table[name] = table[name].astype(np.float64)
    for name in TEXT_COLUMNS & set(table.columns):
        table[name] = _texts(table[name])
    return table


def read_parquet_numbers(path: Path) -> tuple["pd.Series[Any]", tuple[str, ...], NDArray[np.float32]] | None:
    """First column, names of the others, and these as float32, a row to each; None unless they are all plain numbers.

    A matrix is read some columns at a time straight into its place: of 450,000 CpGs there is no second copy.
    """
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        schema = file.schema_arrow
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        kinds = [field.type for field in schema]
        plain = len(kinds) > 1 and not pa.types.is_nested(kinds[0]) and all(map(_is_number, kinds[1:]))
        if not plain or any(isinstance(name, str) for name in index):
            return None
        _refuse_repeats(path, schema.names)
        names = schema.names[1:]
        values = np.empty((len(names), file.metadata.num_rows), dtype=np.float32)
        step = max(1, CELLS // max(values.shape[1], 1))
        for start in range(0, len(names), step):
            some = names[start : start + step]
            part = file.read(columns=some, use_threads=False)
            for place, name in enumerate(some, start=start):
                values[place] = part.column(name).to_numpy()
        first = file.read(columns=schema.names[:1]).column(schema.names[0]).to_pandas().rename(schema.names[0])
        return _texts(first) if first.name in TEXT_COLUMNS else first, tuple(names), values
    except CohortError:
        raise
    except Exception:  # whoever reads it the plain way tells what is wrong with it
        return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.astype(object).where(column.notna(), None).map(_as_text, na_action="ignore")


def _as_text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def read_text(
    path: Path,
    text: frozenset[str],
    spelling: Mapping[str, str] | None = None,
    comment: str | None = None,
    first_is_text: bool = False,
) -> pd.DataFrame:
    """Read delimited text, plain or gzipped.

    Args:
        path: `.csv*` is separated by commas, anything else by tabs.
        text: Columns kept as text.
        spelling: Canonical name by lower-case name; where given, only these columns are read.
        comment: Lines at the top that begin with this are skipped.
        first_is_text: Keep the first column as text whatever its name.
    """
    separator = "," if suffix_of(path).startswith(".csv") else "\t"
    try:
        with _open(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            header = _header(path, file, separator, comment)
            names = [spelling.get(name.lower(), name) for name in header] if spelling else header
            wanted = set(spelling.values()) if spelling else set(names)
            _refuse_repeats(path, [name for name in names if name in wanted])
            places = [i for i, name in enumerate(names) if name in wanted]
            texts = {i for i in places if names[i] in text or (first_is_text and i == 0)}
            table = pd.read_csv(
                file,
                sep=separator,
                header=None,
                names=[str(i) for i in range(len(names))],  # pandas takes a number for a place where there is no row
                usecols=[str(i) for i in places] if spelling else None,
                index_col=False,
                dtype=dict.fromkeys(map(str, sorted(texts)), str),
                keep_default_na=False,
                na_values=list(BLANKS),
                skip_blank_lines=True,
                low_memory=False,
                quoting=csv.QUOTE_NONE if comment else csv.QUOTE_MINIMAL,  # a MAF holds stray quotes
            )
    except CohortError:
        raise
    except UnicodeError as error:
        raise unreadable(path, "bytes that are not UTF-8", "save the file as UTF-8 text") from error
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        found = f"a file that cannot be read ({error.strerror or error if isinstance(error, OSError) else error})"
        raise unreadable(path, found, "write or copy the file again") from error
    except Exception as error:  # pandas and csv raise many kinds on hostile text; each means a malformed table
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise unreadable(path, f"a malformed table ({message[:100]})", "write the same columns in every row") from error
    table.columns = pd.Index([names[int(i)] for i in table.columns], dtype=object)
    for name in table.select_dtypes(bool):
        table[name] = table[name].astype(str)
    return table


def _open(path: Path) -> io.TextIOWrapper:
    if suffix_of(path).endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _header(path: Path, file: io.TextIOWrapper, separator: str, comment: str | None) -> list[str]:
    line = ""
    for line in file:
        if line.strip() and not (comment and line.startswith(comment)):
            break
    else:
        raise unreadable(path, "an empty file", "write a header line and one line per row")
    names = [name.strip().strip('"') for name in next(csv.reader([line], delimiter=separator))]
    others = {";": "semicolons", "\t": "tabs", ",": "commas"}
    others.pop(separator)
    for mark, word in others.items():
        if len(names) == 1 and mark in names[0]:
            wanted = "commas" if separator == "," else "tabs"
            raise unreadable(path, f"columns separated by {word}", f"separate the columns by {wanted}")
    return names


def _refuse_repeats(path: Path, names: Sequence[str]) -> None:
    repeats = [f"header, {name!r}" for name, times in Counter(names).items() if times > 1]
    if repeats:
        raise CohortError(fold(path.name, repeats, "", "a column name twice", "keep one column of each name"))


def read_anndata(path: Path, assay: str) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Values [samples, features], sample ids and features of an h5ad, or of one assay of an h5mu.

    Reads behind beta values (`methylation_coverage`) come from their own assay, or from the layer `n_total`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both libraries warn of repeated names, which the schema reports
            data, values = _open_anndata(path, assay)
    except ImportError as error:
        remedy = "install the extra that reads it: pip install 'fusion-oncology[omics]'"
        raise unreadable(path, f"a {suffix_of(path)} file, and no {error.name} to read it", remedy) from error
    except Exception as error:  # anndata, mudata and libhdf5 raise many kinds; each means an unreadable file
        found = f"no readable {suffix_of(path)} ({type(error).__name__})"
        raise unreadable(path, found, "write it again with anndata or mudata, samples as rows (obs)") from error
    if values is None:
        raise unreadable(path, "no matrix X", "store the values in X, samples as rows (obs)")
    dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    if dense.dtype.kind not in "biuf":
        raise unreadable(path, f"values of type {dense.dtype}", "store plain numbers")
    ids = tuple(str(name) for name in data.obs_names)
    return np.ascontiguousarray(dense, dtype=np.float32), ids, tuple(str(name) for name in data.var_names)


def _open_anndata(path: Path, assay: str) -> tuple[Any, Any]:
    if suffix_of(path) == ".h5mu":
        import mudata

        assays = mudata.read_h5mu(path).mod
        in_layer = assay == "methylation_coverage" and assay not in assays
        data = assays["methylation" if in_layer else assay]
    else:
        import anndata

        data = anndata.read_h5ad(path)
        in_layer = assay == "methylation_coverage" and path.name == "methylation.h5ad"
    return data, data.layers[COVERAGE_LAYER] if in_layer else data.X
