"""Checks the data of every assay against the samples that samples.csv lists, and against what such data can be."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.data.bags import BAG_SUFFIXES, bag_shape, sample_rows
from fusion.data.clinical_tables import LeftOut
from fusion.data.formats import suffix_of
from fusion.data.problems import CohortError, Problem, fold, printable
from fusion.data.schema import TableCheck
from fusion.data.store import BagStore
from fusion.data.tables import (
    ANNDATA_SUFFIXES,
    FEATURE_COLUMN,
    Matrix,
    find_table,
    parse_labs,
    parse_maf,
    parse_matrix,
    passed_filter,
    read_table,
    to_wide_numbers,
)

#: Columns of blood tables that are fractions, whatever else the table holds.
FRACTIONS = ("tumor_fraction", "mean_vaf", "max_vaf", "median_vaf")

#: Assays that have a fixed place in a cohort folder; others are found by their name.
ASSAYS = ("variants", "expression", "methylation", "histology", "plasma", "labs")

#: A bag up to this many numbers is read whole; of a larger one, this many patches.
WHOLE_BAG = 2_000_000
SAMPLED_PATCHES = 96


@dataclass
class AssayCheck:
    """One assay under inspection.

    Attributes:
        folder: The cohort folder.
        assay: Value of `modality` in samples.csv.
        expected: Samples that passed QC.
        listed: All samples of samples.csv with this assay; None when there is no such table to compare with.
        elsewhere: Assay of every other sample of samples.csv.
        settings: What cohort.yaml says of this assay.
        store: Where bags are packed; None for nowhere.
        problems: What was found so far.
        left_out: What is set aside, and why.
        without_data: Samples that are set aside because nothing was measured.
    """

    folder: Path
    assay: str
    expected: tuple[str, ...]
    listed: frozenset[str] | None
    elsewhere: dict[str, str]
    settings: dict[str, Any]
    store: BagStore | None = None
    problems: list[Problem] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    without_data: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Find the data and check them; a file that cannot be read is one more problem."""
        try:
            self._run()
        except CohortError as error:
            self.problems += error.problems

    def _run(self) -> None:
        path = find_table(self.folder, self.assay)
        bags = self.folder / self.assay
        if self.assay == "histology" or (path is None and self.assay not in ASSAYS and bags.is_dir()):
            self._check_bags(bags)
        elif path is None:
            if self.expected:
                self._no_file()
        elif self.assay == "variants":
            self._check_variants(path)
        elif self.assay in FEATURE_COLUMN:
            self._check_matrix(path)
        elif self.assay in ("plasma", "labs") or self._is_wide(path):
            self._check_wide(path)
        else:
            self._check_matrix(path)

    def _is_wide(self, path: Path) -> bool:
        return suffix_of(path) not in ANNDATA_SUFFIXES and "sample_id" in read_table(path)

    def _no_file(self) -> None:
        known = self.assay in ASSAYS
        remedy = f"add the file {self.assay}.*" if known else f"add the file, or use one of {', '.join(ASSAYS)}"
        found = f"no data for {len(self.expected)} samples of modality {self.assay!r}"
        self.problems.append(Problem("samples.csv", "", "modality", found, remedy))

    def _compare(self, file: str, present: Sequence[str], missing_remedy: str) -> None:
        """Data without a sample row, and sample rows without data."""
        if self.listed is None:
            return
        stray = [sample for sample in dict.fromkeys(present) if sample not in self.listed]
        found = [
            f"data of a sample that samples.csv lists as {self.elsewhere[s]!r}"
            if s in self.elsewhere
            else "data of a sample that samples.csv does not list"
            for s in stray
        ]
        remedy = f"add a row with modality {self.assay} to samples.csv, or take the data out"
        self.problems += fold(file, [f"sample {printable(s)}" for s in stray], "", found, remedy)
        here = set(present)
        absent = [sample for sample in self.expected if sample not in here]
        where = [f"sample {printable(sample)}" for sample in absent]
        self.problems += fold(file, where, "", "no data, though samples.csv lists it", missing_remedy)

    def _set_aside(self, file: str, empty: Collection[str], reason: str) -> None:
        """Leave out samples that QC passed and in which nothing was measured."""
        expected = set(self.expected)
        samples = [sample for sample in empty if sample in expected]
        self.without_data |= set(samples)
        self.left_out += [(file, sample, reason, 1) for sample in samples]

    def _check_variants(self, path: Path) -> None:
        maf, problems = parse_maf(path)
        self.problems += problems
        check = TableCheck(path.name, maf, key="Tumor_Sample_Barcode", first_line=None)
        barcode = check.texts("Tumor_Sample_Barcode")
        for name in ("Tumor_Sample_Barcode", "Variant_Classification", "Hugo_Symbol"):
            check.note((check.texts(name) == "").to_numpy(dtype=bool), name, "fill it in")
        for name in maf.columns.intersection(["t_depth", "t_ref_count", "t_alt_count", "n_depth", "n_alt_count"]):
            check.numbers(name, low=0)
        for kind in ("t", "n"):
            alt, depth = f"{kind}_alt_count", f"{kind}_depth"
            if alt in check and depth in check:
                more = (maf[alt] > maf[depth]).to_numpy(dtype=bool)
                found = [f"{a} of {d} reads" for a, d in zip(maf[alt], maf[depth], strict=True)] if more.any() else ""
                check.note(more, alt, f"{alt} counts some of the reads of {depth}: correct them", found)
        self.problems += check.problems
        present = [sample for sample in pd.unique(barcode) if sample]
        # a sample without a single variant leaves no trace in a MAF: it is listed as such, and stays
        self._compare(path.name, [*present, *self.expected], "")
        here = set(present)
        empty = [sample for sample in self.expected if sample not in here]
        self.left_out += [(path.name, sample, "no variant in the file: read as none found", 1) for sample in empty]
        failed = barcode[~passed_filter(maf).to_numpy(dtype=bool)]
        reason = "variants whose FILTER is not PASS"
        self.left_out += [
            (path.name, str(sample), reason, int(n)) for sample, n in failed.value_counts(sort=False).items()
        ]

    def _check_matrix(self, path: Path) -> None:
        matrix, problems = parse_matrix(path, self.assay)
        self.problems += problems
        self._check_names(path.name, matrix)
        self._compare(path.name, matrix.sample_ids, "add its column, or take the sample out of samples.csv")
        if not matrix.features:
            self.problems.append(Problem(path.name, "", "", "no row", "write one row per gene or region"))
        blank = np.isnan(matrix.values)
        empty = np.flatnonzero(blank.all(axis=1) & bool(matrix.features))
        nothing = [matrix.sample_ids[row] for row in empty]
        self._set_aside(path.name, nothing, "every value is blank")
        self._cells(path.name, matrix, np.isinf(matrix.values), "write a finite number")
        unit = str(self.settings.get("unit", "")).lower()
        if self.assay == "methylation" and not unit.startswith("m"):
            outside = (matrix.values < 0) | (matrix.values > 1)
            self._cells(path.name, matrix, outside & np.isfinite(matrix.values), "a beta value lies in 0 to 1")
        if self.assay == "expression":
            gaps = blank & ~blank.all(axis=1, keepdims=True) if not problems else np.zeros_like(blank)
            self._cells(path.name, matrix, gaps, "fill the cell in, or leave the gene out")
            if not unit.startswith("log"):
                remedy = "counts and TPM are not negative; name the unit in cohort.yaml (expression: {unit: log})"
                self._cells(path.name, matrix, (matrix.values < 0) & np.isfinite(matrix.values), remedy)
        if self.assay == "methylation":
            self._check_coverage(matrix)

    def _check_names(self, file: str, matrix: Matrix) -> None:
        for names, what in ((matrix.features, "feature"), (matrix.sample_ids, "sample")):
            twice = [name for name, times in Counter(names).items() if times > 1 and name]
            where = [f"{what} {printable(name)}" for name in twice]
            self.problems += fold(file, where, "", f"the same {what} more than once", f"keep each {what} once")
            blank = [f"{what} {place + 1}" for place, name in enumerate(names) if not name.strip()]
            self.problems += fold(file, blank, "", "a blank name", f"name the {what}")
        listed = self.listed or frozenset()
        if len(listed & set(matrix.features)) > len(listed & set(matrix.sample_ids)):
            remedy = "transpose it: in text and Parquet one column per sample, in AnnData one row (obs) per sample"
            self.problems.append(Problem(file, "", "", "sample_ids where genes or regions belong", remedy))

    def _cells(self, file: str, matrix: Matrix, bad: np.ndarray, remedy: str) -> None:
        """Note bad cells of a matrix: sample by sample, the first few features of each kind."""
        total = int(bad.sum())
        if not total:
            return
        rows, columns = np.nonzero(bad)
        places = list(zip(rows[:8], columns[:8], strict=True))
        where = [
            f"sample {printable(matrix.sample_ids[r])}, feature {printable(matrix.features[c])}" for r, c in places
        ]
        cells = [matrix.values[r, c] for r, c in places]
        found = ["a blank" if np.isnan(cell) else f"{cell:g}" for cell in cells]
        self.problems += fold(file, where, "", found, remedy, total=total)

    def _check_coverage(self, methylation: Matrix) -> None:
        path = find_table(self.folder, "methylation_coverage")
        if path is None:
            return
        coverage, problems = parse_matrix(path, "methylation_coverage")
        self.problems += problems
        self._check_names(path.name, coverage)
        stray = [f"sample {printable(s)}" for s in sorted(set(coverage.sample_ids) - set(methylation.sample_ids))]
        remedy = "coverage describes beta values: name samples and regions as in the methylation table"
        self.problems += fold(path.name, stray, "", "a sample without beta values", remedy)
        regions = sorted(set(coverage.features) - set(methylation.features))
        self.problems += fold(path.name, [f"region {printable(r)}" for r in regions], "", "no such region", remedy)
        bad = (coverage.values < 0) | np.isinf(coverage.values)
        self._cells(path.name, coverage, bad, "write the number of reads, 0 or more")

    def _check_wide(self, path: Path) -> None:
        raw = read_table(path)
        if self.assay == "labs":
            table, _, problems = parse_labs(raw, path.name)
        else:
            table, problems = to_wide_numbers(raw, path.name)
        self.problems += problems
        if "sample_id" not in raw:
            return
        long = {"analyte", "value"} <= set(raw.columns)
        raw_check = TableCheck(path.name, raw, key="sample_id")
        ids = raw_check.ids("sample_id", unique=not long)
        self.problems += raw_check.problems
        self._compare(path.name, [s for s in pd.unique(ids) if s], "add its row, or take the sample out of samples.csv")
        check = TableCheck(path.name, table.reset_index(), key="sample_id", first_line=None if long else 2)
        for name in table.columns:
            infinite = np.isinf(table[name].to_numpy(dtype=np.float64))
            check.note(infinite, str(name), "write a finite number or leave it blank")
            if name in FRACTIONS:
                value = table[name].to_numpy(dtype=np.float64)
                outside = ((value < 0) | (value > 1)) & ~infinite
                check.note(outside, str(name), "write a fraction from 0 to 1, not per cent")
        self.problems += check.problems
        if not problems:
            nothing = list(table.index[table.isna().all(axis=1)])
            self._set_aside(path.name, nothing, "every value is blank")

    def _check_bags(self, folder: Path) -> None:
        paths = (
            sorted(p for p in folder.iterdir() if p.suffix in BAG_SUFFIXES and p.is_file()) if folder.is_dir() else []
        )
        if not paths and self.expected:
            self._no_file()
            return
        twice = [stem for stem, times in Counter(path.stem for path in paths).items() if times > 1]
        where = [f"sample {printable(stem)}" for stem in twice]
        self.problems += fold(self.assay, where, "", "two files for one sample", "keep one of them")
        self._compare(self.assay, [path.stem for path in paths], f"add {self.assay}/<sample_id>.h5")
        faults: list[Problem] = []
        widths: dict[Path, int] = {}
        packed = None if self.store is None else self.store.known(folder)
        if packed is not None:  # of these very files, after they had passed
            widths, paths = dict.fromkeys(paths, packed.dim), []
        for path in paths:
            try:
                widths[path] = self._check_bag(path, faults)
            except CohortError as error:
                faults += error.problems
        usual = self.settings.get("dim") or next(iter(Counter(widths.values()).most_common(1)), (0, 0))[0]
        said = "cohort.yaml says" if self.settings.get("dim") else "most bags have"
        for path, width in widths.items():
            if width != usual:
                found, remedy = f"{width} features per patch", f"{said} {usual}: use one encoder for all"
                faults.append(Problem(f"{self.assay}/{path.name}", f"sample {path.stem}", "features", found, remedy))
        self.problems += _folded(faults)

    def _check_bag(self, path: Path, faults: list[Problem]) -> int:
        num_patches, width = bag_shape(path)
        file, where = f"{self.assay}/{path.name}", f"sample {path.stem}"
        if num_patches == 0 or width == 0:
            remedy = "take the sample out of samples.csv, or extract its patches again"
            faults.append(Problem(file, where, "features", "an empty bag", remedy))
            return width
        rows = sample_rows(path, num_patches if num_patches * width <= WHOLE_BAG else SAMPLED_PATCHES)
        bad = int((~np.isfinite(rows)).sum())
        if bad:
            found = f"{bad} values that are not finite"
            faults.append(Problem(file, where, "features", found, "extract the features of this slide again"))
        return width


def _folded(faults: Sequence[Problem]) -> list[Problem]:
    """Faults of many small files, folded by kind."""
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for fault in faults:
        kinds.setdefault((fault.column, fault.remedy), []).append(fault)
    folded: list[Problem] = []
    for same in kinds.values():
        shown = same[:5]
        last = shown[-1]
        shown[-1] = Problem(last.file, last.where, last.column, last.found, last.remedy, len(same) - len(shown))
        folded += shown
    return folded
