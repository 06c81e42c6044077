"""Checks of single columns: what passes, what is noted, and in which words."""

import numpy as np
import pandas as pd
import pytest

from fusion.data.schema import TableCheck, looks_like_date


def check(**columns: list[object]) -> TableCheck:
    return TableCheck("samples.csv", pd.DataFrame(columns), key="sample_id")


@pytest.mark.parametrize(
    "date",
    [
        *("2024-01-31", "2024/1/31", "2024-01", "31.01.2024", "1/31/24", "31-JAN-2024", "31 January 2024"),
        *("Jan 31, 2024", "2024-01-31T08:00:00", "2024-01-31 08:00", "2024年1月31日", "20240131"),
    ],
)
def test_a_calendar_date_is_known_in_any_dress(date: str) -> None:
    assert looks_like_date(date)


@pytest.mark.parametrize(
    "label", ["ES", "3/4", "T1-2", "1-2", "S-2024", "marker", "dec", "12.5", "0-1", "2024", "V1.2.3a"]
)
def test_a_label_is_no_date(label: str) -> None:
    assert not looks_like_date(label)


def test_numbers_keep_what_is_good_and_note_the_rest() -> None:
    table = check(sample_id=["a", "b", "c", "d", "e"], value=["1.5", "", "x", "inf", "-2"])
    table.table["value"] = table.table["value"].where(table.table["value"] != "", None)
    np.testing.assert_array_equal(table.numbers("value", low=0), [1.5, np.nan, np.nan, np.nan, np.nan])
    assert [(p.where, p.found) for p in table.problems] == [
        ("sample 'c' (line 4)", "'x'"),
        ("sample 'd' (line 5)", "'inf'"),
        ("sample 'e' (line 6)", "'-2'"),
    ]


def test_reading_a_column_leaves_the_table_as_it_was() -> None:
    table = check(sample_id=["a", "b"], day=[1.0, np.inf])
    table.days("day")
    assert table.table["day"].tolist() == [1.0, np.inf]


@pytest.mark.parametrize("flags", [[0, 1, None], ["0", "1", None], [0.0, 1.0, np.nan], ["1.0", "0", None]])
def test_flags_are_read_in_any_dress(flags: list[object]) -> None:
    table = check(flag=flags)
    assert np.isnan(table.flags("flag")).tolist() == [False, False, True]
    assert table.problems == []


@pytest.mark.parametrize("bad", ["a/b", "a\\b", "..", "a..b", " a", "a ", "a\nb", ".hidden", "~a", "", None])
def test_ids_that_are_no_names_are_noted(bad: object) -> None:
    table = check(sample_id=["fine-1.b_2", bad])
    table.ids("sample_id")
    assert len(table.problems) == 1


def test_dates_hidden_in_a_free_column_are_refused_but_not_by_chance() -> None:
    assert check(note=["ES", "2024-01-31"]).refuse_dates("note")
    assert check(seen=[20240131, 20231201]).refuse_dates("seen")
    assert check(seen=pd.to_datetime(["2024-01-31", None]).tolist()).refuse_dates("seen")
    assert not check(reads=[20240131, 31415926]).refuse_dates("reads")
