"""Faults of the data of assays are found and named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from spoil import Case, assert_named, bag, cell, copied, edit, maf, matrix, put, removed, text

NAN_PATCH = np.full((3, 4), np.nan, dtype=np.float32)

SPOILED: dict[str, Case] = {
    "maf lacks a column": (
        maf(lambda t: t.drop(columns="Variant_Classification")),
        "variants.maf",
        "Variant_Classification",
        "no such column",
    ),
    "maf of a stranger": (maf(lambda t: t.replace("P000-variants", "X")), "variants.maf", "'X'", "does not list"),
    "more alt than depth": (maf(lambda t: t.assign(t_alt_count=500)), "variants.maf", "t_alt_count", "of .* reads"),
    "depth negative": (maf(lambda t: t.assign(n_depth=-1)), "variants.maf", "n_depth", "at least 0"),
    "depth in words": (maf(lambda t: t.assign(t_depth="deep")), "variants.maf", "t_depth", "deep"),
    "gene blank": (maf(lambda t: t.assign(Hugo_Symbol="")), "variants.maf", "Hugo_Symbol", "blank"),
    "negative count": (matrix("expression.tsv.gz", put(0, 1, -1)), "expression.tsv.gz", "P000-expression", "found -1"),
    "infinite count": (matrix("expression.tsv.gz", put(0, 1, np.inf)), "expression.tsv.gz", "P000-expression", "inf"),
    "blank count": (matrix("expression.tsv.gz", put(1, 1, np.nan)), "expression.tsv.gz", "'RB1'", "blank"),
    "count in words": (
        matrix("expression.tsv.gz", lambda t: t.assign(**{t.columns[1]: ["high", *t.iloc[1:, 1].astype(str)]})),
        "expression.tsv.gz",
        "TP53",
        "high",
    ),
    "gene twice": (
        matrix("expression.tsv.gz", lambda t: pd.concat([t, t.head(1)])),
        "expression.tsv.gz",
        "'TP53'",
        "more than once",
    ),
    "no gene column": (
        matrix("expression.tsv.gz", lambda t: t.rename(columns={"gene": "symbol"})),
        "expression.tsv.gz",
        "gene",
        "'symbol'",
    ),
    "expression of a stranger": (
        matrix("expression.tsv.gz", lambda t: t.rename(columns={"P000-expression": "X"})),
        "expression.tsv.gz",
        "'X'",
        "does not list",
    ),
    "sample without expression": (
        matrix("expression.tsv.gz", lambda t: t.drop(columns="P000-expression")),
        "expression.tsv.gz",
        "P000-expression",
        "no data",
    ),
    "samples as rows": (
        matrix("expression.tsv.gz", lambda t: t.set_index("gene").T.rename_axis("gene").reset_index()),
        "expression.tsv.gz",
        "",
        "transpose",
    ),
    "beta of 1.2": (
        matrix("methylation.parquet", put(3, 1, 1.2)),
        "methylation.parquet",
        "P000-methylation",
        "found 1.2",
    ),
    "beta of -0.1": (
        matrix("methylation.parquet", put(3, 1, -0.1)),
        "methylation.parquet",
        "P000-methylation",
        "found -0.1",
    ),
    "coverage negative": (
        matrix("methylation_coverage.parquet", put(0, 1, -1)),
        "methylation_coverage.parquet",
        "chr1:0-500",
        "found -1",
    ),
    "coverage of other regions": (
        matrix("methylation_coverage.parquet", lambda t: t.assign(region=t["region"] + "x")),
        "methylation_coverage.parquet",
        "chr1:0-500x",
        "no such region",
    ),
    "bag missing": (removed("histology/P000-histology.h5"), "histology", "P000-histology", "no data"),
    "bag of a stranger": (copied("histology/P000-histology.h5", "histology/X.h5"), "histology", "'X'", "does not list"),
    "bag twice": (
        copied("histology/P000-histology.h5", "histology/P000-histology.hdf5"),
        "histology",
        "P000-histology",
        "two files",
    ),
    "bag without features": (bag(feats=NAN_PATCH), "histology/P000-histology.h5", "features", "no dataset features"),
    "bag of another width": (bag(features=np.zeros((3, 9))), "histology/P000-histology.h5", "features", "9 features"),
    "bag empty": (bag(features=np.zeros((0, 4))), "histology/P000-histology.h5", "features", "empty bag"),
    "bag with NaN": (bag(features=NAN_PATCH), "histology/P000-histology.h5", "features", "not finite"),
    "bag with wrong coords": (
        bag(features=np.zeros((3, 4)), coords=np.zeros((2, 2))),
        "histology/P000-histology.h5",
        "coords",
        "coords of shape",
    ),
    "bag is text": (text("histology/P000-histology.h5", "no h5"), "histology/P000-histology.h5", "", "cannot be read"),
    "tumor fraction in per cent": (
        cell("plasma.csv", "tumor_fraction", 12),
        "plasma.csv",
        "tumor_fraction",
        "not per cent",
    ),
    "plasma below a limit": (
        cell("plasma.csv", "tumor_fraction", "<0.001"),
        "plasma.csv",
        "tumor_fraction",
        "'<0.001'",
    ),
    "plasma twice": (edit("plasma.csv", lambda t: pd.concat([t, t.head(1)])), "plasma.csv", "sample_id", "second time"),
    "plasma missing": (edit("plasma.csv", lambda t: t.drop(index=0)), "plasma.csv", "P000-plasma-0", "no data"),
    "plasma infinite": (cell("plasma.csv", "mean_vaf", "inf"), "plasma.csv", "mean_vaf", "finite"),
    "labs in two units": (cell("labs.csv", "unit", "ukat/L"), "labs.csv", "unit", "'U/L' and 'ukat/L'"),
    "lab twice": (edit("labs.csv", lambda t: pd.concat([t, t.head(1)])), "labs.csv", "analyte", "second value"),
    "lab in words": (cell("labs.csv", "value", "high"), "labs.csv", "value", "'high'"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_fault_is_found_and_named(folder: Path, name: str) -> None:
    assert_named(folder, SPOILED[name])
