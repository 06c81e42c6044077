"""Molecular response calls against known answers and what must not change them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.report.monitor.molecular import molecular_calls, times_lowest

BLANK = np.full(1, np.nan)


def calls(day, value, lod=None, detected=None):
    size = len(day)
    blank = np.full(size, np.nan)
    limit = blank if lod is None else np.full(size, lod)
    return molecular_calls(
        np.array(day, float), np.array(value, float), limit, blank if detected is None else np.array(detected, float)
    )


@pytest.mark.parametrize(
    ("value", "call"),
    [
        (0.12, "rise"),
        (0.1, "fall under 50 %"),
        (0.051, "fall under 50 %"),
        (0.05, "fall of 50 % or more"),
        (0.011, "fall of 50 % or more"),
        (0.01, "fall of 90 % or more"),
        (0.002, "fall of 90 % or more"),
        (0.001, "clearance"),
        (0.0, "clearance"),
    ],
)
def test_thresholds(value: float, call: str) -> None:
    assert calls([0, 21], [0.1, value], lod=0.001)[1].call == call


def test_no_call_without_a_baseline_in_which_it_was_found() -> None:
    assert [each.call for each in calls([7, 21], [0.1, 0.0])] == ["no call", "no call"]
    assert [each.call for each in calls([0, 21], [0.0005, 0.0], lod=0.001)] == ["baseline", "no call"]


def test_the_last_sample_before_treatment_is_the_baseline() -> None:
    found = calls([-20, -1, 21], [0.01, 0.1, 0.04])
    assert [each.call for each in found] == ["no call", "baseline", "fall of 50 % or more"]
    assert found[2].fall == pytest.approx(0.6)


def test_what_the_laboratory_says_of_detection_goes_before_the_value() -> None:
    assert calls([0, 21], [0.1, 0.02], lod=0.001, detected=[1, 0])[1].call == "clearance"


def test_clearance_says_at_least_what_the_limit_allows() -> None:
    assert calls([0, 21], [0.01, 0.0], lod=0.002)[1].fall == pytest.approx(0.8)
    assert calls([0, 21], [0.01, 0.0])[1].fall is None


@given(st.lists(st.floats(1e-4, 1), min_size=2, max_size=8), st.floats(0.1, 10))
def test_the_unit_does_not_matter_and_later_samples_change_nothing(values: list[float], unit: float) -> None:
    days = [21 * i for i in range(len(values))]
    whole = calls(days, values)
    assert [each.call for each in calls(days, [v * unit for v in values])] == [each.call for each in whole]
    assert calls(days[:-1], values[:-1]) == whole[:-1]


def test_rise_from_the_lowest_counts_the_limit_where_nothing_was_found() -> None:
    day, value = np.arange(4.0), np.array([0.1, 0.0, 0.004, 0.002])
    found = times_lowest(day, value, np.full(4, 0.001), np.full(4, np.nan))
    np.testing.assert_allclose(found, [np.nan, np.nan, 4.0, 2.0])
    assert np.isnan(times_lowest(day, value, np.full(4, np.nan), np.full(4, np.nan))[2:]).all()
    assert times_lowest(BLANK[:0], BLANK[:0], BLANK[:0], BLANK[:0]).shape == (0,)
