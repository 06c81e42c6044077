"""Tables and matrices say the same in every format that may hold them."""

import gzip
from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.data import formats, tables
from fusion.data.problems import CohortError
from fusion.data.tables import (
    find_table,
    passed_filter,
    read_labs,
    read_maf,
    read_matrix,
    read_plasma,
    read_table,
)

GENES = pd.DataFrame({"gene": ["TP53", "NA", "1"], "S1": [1.0, 2.0, 3.0], "007": [4.0, 5.0, 6.0]})


def written(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="," if ".csv" in path.name else "\t", index=False)
    return path


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "tsv.gz", "txt", "parquet"])
def test_ids_stay_text_in_every_format(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"patient_id": ["007", "008"], "site": ["1", "2"], "age": [61.5, np.nan]})
    read = read_table(written(table, tmp_path / f"patients.{suffix}"))
    assert read["patient_id"].tolist() == ["007", "008"]
    assert read["site"].tolist() == ["1", "2"]
    np.testing.assert_array_equal(read["age"], [61.5, np.nan])


@pytest.mark.parametrize("suffix", ["csv", "tsv.gz", "parquet"])
def test_a_matrix_is_turned_to_samples_by_features(tmp_path: Path, suffix: str) -> None:
    matrix = read_matrix(written(GENES.iloc[[0, 2]], tmp_path / f"expression.{suffix}"), "expression")
    assert matrix.sample_ids == ("S1", "007")
    assert matrix.features == ("TP53", "1")
    assert matrix.values.dtype == np.float32
    np.testing.assert_array_equal(matrix.values, [[1, 3], [4, 6]])


def test_a_parquet_index_is_a_first_column(tmp_path: Path) -> None:
    GENES.set_index("gene").to_parquet(tmp_path / "expression.parquet")
    assert read_matrix(tmp_path / "expression.parquet", "expression").features == ("TP53", "NA", "1")


def test_a_matrix_of_numbers_is_read_a_few_columns_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"region": ["a", None, "c"], "S": [0.5, np.nan, 1e-3], "S.1": [1, 2, 300]})
    plain = read_matrix(written(table, tmp_path / "methylation.tsv"), "methylation")
    monkeypatch.setattr(formats, "CELLS", 1)
    monkeypatch.setattr(tables, "read_parquet", None)  # the whole table is never read
    matrix = read_matrix(written(table, tmp_path / "methylation.parquet"), "methylation")
    assert (matrix.sample_ids, matrix.features) == (plain.sample_ids, plain.features) == (("S", "S.1"), ("a", "", "c"))
    np.testing.assert_array_equal(matrix.values, plain.values)
    assert matrix.values.flags.c_contiguous


def test_lists_in_a_parquet_cell_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"gene": [["a"], ["b"]], "S1": [1.0, 2.0]}).to_parquet(tmp_path / "expression.parquet")
    with pytest.raises(CohortError, match="lists in column 'gene'"):
        read_matrix(tmp_path / "expression.parquet", "expression")


def test_anndata_and_mudata_hold_samples_as_rows(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    genes = anndata.AnnData(values, obs=pd.DataFrame(index=["S1", "S2"]), var=pd.DataFrame(index=["a", "b", "c"]))
    genes.write_h5ad(tmp_path / "expression.h5ad")
    beta = anndata.AnnData(values[:, :2] / 10, obs=pd.DataFrame(index=["S3", "S4"]), var=pd.DataFrame(index=["r", "q"]))
    beta.layers["n_total"] = np.full((2, 2), 30.0, dtype=np.float32)
    both = tmp_path / "both"
    both.mkdir()
    mudata.set_options(pull_on_update=False)
    mudata.MuData({"expression": genes, "methylation": beta}).write(both / "omics.h5mu")
    for path in (find_table(tmp_path, "expression"), find_table(both, "expression")):
        assert path is not None
        matrix = read_matrix(path, "expression")
        assert (matrix.sample_ids, matrix.features) == (("S1", "S2"), ("a", "b", "c"))
        np.testing.assert_array_equal(matrix.values, values)
    path = find_table(both, "methylation_coverage")
    assert path is not None
    np.testing.assert_array_equal(read_matrix(path, "methylation_coverage").values, np.full((2, 2), 30))
    assert find_table(tmp_path, "methylation") is None


def test_without_anndata_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "anndata", None)
    (tmp_path / "expression.h5ad").write_bytes(b"")
    with pytest.raises(CohortError, match=r"fusion-oncology\[omics\]"):
        read_matrix(tmp_path / "expression.h5ad", "expression")


def test_a_maf_without_a_variant_is_an_empty_table(tmp_path: Path) -> None:
    """A tumour in which nothing was called, sent alone to be predicted."""
    path = tmp_path / "variants.maf"
    path.write_text("Hugo_Symbol\tStrand\tVariant_Classification\tTumor_Sample_Barcode\tt_depth\n")
    maf = read_maf(path)
    assert maf.empty
    assert {"Hugo_Symbol", "Tumor_Sample_Barcode", "t_depth"} <= set(maf.columns)


def test_maf_headers_of_any_case_and_comments_are_understood(tmp_path: Path) -> None:
    text = '#version 2.4\n#"odd\nhugo_symbol\tVARIANT_CLASSIFICATION\ttumor_sample_barcode\tT_DEPTH\tFILTER\textra\n'
    text += 'TP53\tSilent\t01\t.\tPASS\t"\nRB1\tSilent\t01\t20\tlow_vaf\tb\nMYC\tSilent\t02\t30\t\tc\n'
    path = tmp_path / "variants.maf.gz"
    path.write_bytes(gzip.compress(text.encode()))
    maf = read_maf(path)
    assert list(maf) == ["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode", "t_depth", "FILTER"]
    assert maf["Tumor_Sample_Barcode"].tolist() == ["01", "01", "02"]
    np.testing.assert_array_equal(maf["t_depth"], [np.nan, 20, 30])
    assert passed_filter(maf).tolist() == [True, False, True]


def test_long_and_wide_labs_agree(tmp_path: Path) -> None:
    write_tiny_cohort(tmp_path)
    long, units = read_labs(tmp_path / "labs.csv")
    assert units == {"ldh": "U/L", "progrp": "pg/mL"}
    long.reset_index().to_csv(tmp_path / "wide.csv", index=False)
    wide, no_units = read_labs(tmp_path / "wide.csv")
    pd.testing.assert_frame_equal(long, wide)
    assert no_units == {}


def test_one_analyte_in_two_units_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labs.csv").write_text("sample_id,analyte,value,unit\na,ldh,2,U/L\nb,ldh,3,ukat/L\n")
    with pytest.raises(CohortError, match="convert all values of an analyte to one unit"):
        read_labs(tmp_path / "labs.csv")


def test_plasma_is_indexed_by_sample(tmp_path: Path) -> None:
    (tmp_path / "plasma.csv").write_text("sample_id,tumor_fraction\n01,0.1\n02,\n")
    plasma = read_plasma(tmp_path / "plasma.csv")
    assert plasma.index.tolist() == ["01", "02"]
    np.testing.assert_array_equal(plasma["tumor_fraction"], [0.1, np.nan])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\n\n", "an empty file"),
        (b"patient_id;age\nP1;60\n", "separated by semicolons"),
        (b"patient_id,age,age\nP1,60,61\n", "column name twice"),
        (b"patient_id,age\nP1,60,61\n", "malformed"),
        (b"patient_id,age\nP\xe9,60\n", "UTF-8"),
        (b"\xff\xfep\x00a\x00", "UTF-8"),
        (b'patient_id,age\n"P1,60\n', "malformed"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes(content)
    with pytest.raises(CohortError, match=message):
        read_table(path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_bytes("﻿patient_id,age\r\nP1,60\r\n".encode())
    assert read_table(tmp_path / "patients.csv").to_numpy().tolist() == [["P1", 60]]


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "lesions.csv").write_text("patient_id,scan_day\n")
    assert read_table(tmp_path / "lesions.csv").shape == (0, 2)


@pytest.mark.parametrize("name", ["patients.csv.gz", "patients.parquet", "expression.h5ad", "omics.h5mu"])
def test_a_cut_file_is_reported_and_not_raised_as_a_traceback(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"patient_id,age\n" + b"P1,60\n" * 500)[:-12])
    with pytest.raises(CohortError):
        read_matrix(path, "expression") if name.endswith(("h5ad", "h5mu")) else read_table(path)
