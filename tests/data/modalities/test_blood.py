"""Plasma and labs: scales, limits of detection, units, and changes that never look ahead."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.data.cohort import Cohort
from fusion.data.modalities.course import CHANGES
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.plasma import Plasma, plasma_data
from fusion.data.modalities.serial_table import SerialData
from fusion.data.modalities.units import conversion_factor

IDS = ["a0", "a1", "a2", "b0", "b1", "c0"]
COURSE = pd.Series(["a", "a", "a", "b", "b", "c"], index=pd.Index(IDS, name="sample_id"))


DAYS = pd.Series([0.0, 21.0, 63.0, 0.0, 42.0, 0.0], index=COURSE.index)


def serial(values: dict[str, list[float]], units: dict[str, str] | None = None) -> SerialData:
    table = pd.DataFrame(values, index=pd.Index(IDS, name="sample_id"))
    return SerialData(values=table, course=COURSE, units=units or {}, source="labs.csv", day=DAYS)


def encoded(modality: Labs | Plasma, table: SerialData) -> pd.DataFrame:
    return pd.DataFrame(modality.transform(table, IDS).rows, index=IDS, columns=modality.feature_names)


def test_changes_of_a_course() -> None:
    table = serial({"ldh": [1.0, 3.0, 2.0, 5.0, 4.0, 3.0]})
    modality = Labs()
    modality.fit(table, IDS)
    rows = encoded(modality, table)
    one = rows.loc["a1", "ldh"] - rows.loc["a2", "ldh"]  # a difference of 1 in units of the training sd
    np.testing.assert_allclose(rows["ldh:change_first"] / one, [0, 2, 1, 0, -1, 0], atol=1e-5)
    np.testing.assert_allclose(rows["ldh:change_previous"] / one, [0, 2, -1, 0, -1, 0], atol=1e-5)
    np.testing.assert_allclose(rows["ldh:above_nadir"] / one, [0, 2, 1, 0, 0, 0], atol=1e-5)


def test_more_of_a_course() -> None:
    table = serial({"ldh": [1.0, 3.0, 2.0, 5.0, 4.0, 3.0]})
    modality = Labs(changes=("nadir", "since_nadir", "slope", "mean", "log_ratio"))
    modality.fit(table, IDS)
    rows = encoded(modality, table)
    level, one = rows["ldh"], rows.loc["a1", "ldh"] - rows.loc["a2", "ldh"]
    np.testing.assert_allclose(rows["ldh:nadir"], level.loc[["a0", "a0", "a0", "b0", "b1", "c0"]], atol=1e-5)
    np.testing.assert_allclose(rows["ldh:since_nadir"], np.log1p([0, 1, 3, 0, 0, 0]), atol=1e-5)
    slopes = [0.0, 2.0, np.polyfit([0, 1, 3], [1, 3, 2], 1)[0], 0.0, -0.5, 0.0]  # units per cycle of 21 days
    np.testing.assert_allclose(rows["ldh:slope"] / one, slopes, atol=1e-5)
    means = [level["a0"], level[["a0", "a1"]].mean(), level[["a0", "a1", "a2"]].mean()]
    np.testing.assert_allclose(rows["ldh:mean"].loc[["a0", "a1", "a2"]], means, atol=1e-5)
    np.testing.assert_allclose(rows["ldh:log_ratio"], np.log2([1, 3, 2, 1, 0.8, 1]), atol=1e-5)


@pytest.mark.parametrize("blank", [0, 1])
def test_a_course_with_a_gap_is_that_of_its_known_samples(blank: int) -> None:
    values = [1.0, 3.0, 2.0, 5.0, 4.0, 3.0]
    values[blank] = np.nan
    table = serial({"ldh": values})
    modality = Labs(changes=tuple(CHANGES))
    modality.fit(table, IDS)
    kept = [sample for place, sample in enumerate(IDS) if place != blank]
    without = SerialData(
        values=table.values.loc[kept], course=COURSE.loc[kept], units={}, source="labs.csv", day=DAYS.loc[kept]
    )
    np.testing.assert_allclose(encoded(modality, table).loc[kept], modality.transform(without, kept).rows, atol=1e-6)


def test_doublings_of_what_is_near_the_limit_of_detection() -> None:
    table = plasma([0.1, 0.0, 0.4, 0.01, 0.02, 0.3], lod=[0.001] * 6)
    modality = Plasma(changes=("log_ratio",))
    modality.fit(table, IDS)
    rows = encoded(modality, table)["tumor_fraction:log_ratio"]
    assert rows["a1"] == -5.0  # far below: held at the clip, and finite
    assert rows["a2"] == pytest.approx(2.0, abs=0.01)
    assert rows["b1"] == pytest.approx(1.0, abs=0.1)


def test_days_that_are_not_told_leave_slopes_blank() -> None:
    table = replace(serial({"ldh": [1.0, 3.0, 2.0, 5.0, 4.0, 3.0]}), day=None)
    modality = Labs(changes=("slope", "since_nadir"))
    modality.fit(table, IDS)
    assert encoded(modality, table)[["ldh:slope", "ldh:since_nadir"]].eq(0).all(axis=None)


def test_days_of_the_cohort_are_those_of_the_draws(cohort: Cohort) -> None:
    for modality in (Labs(), Plasma()):
        day = modality.load(cohort).day
        assert day is not None
        pd.testing.assert_series_equal(day, cohort.samples.loc[day.index, "day"])


def test_an_unknown_change_is_named() -> None:
    with pytest.raises(ValueError, match=r"no change is called 'velocity'; name some of change_first, "):
        Labs(changes=["velocity"])


def test_columns_of_one_analyte_are_told() -> None:
    modality = Labs(changes=("slope",))
    modality.fit(serial({"ldh": [1.0, np.nan, 2.0, 5.0, 4.0, 3.0], "nse": [2.0, 3.0, 2.0, 5.0, 1.0, 3.0]}), IDS)
    assert modality.feature_names == ("ldh", "ldh:slope", "ldh:missing", "nse", "nse:slope")
    assert modality.sizes["token_of"] == (0, 0, 0, 1, 1)
    assert modality.sizes["missing_of"] == (2, 2, -1, -1, -1)


@pytest.mark.parametrize("kind", [*CHANGES, "all"])
@pytest.mark.parametrize("place", [1, 2, 4])
def test_a_later_sample_changes_nothing_before_it(place: int, kind: str) -> None:
    values = [1.0, 3.0, 2.0, 5.0, 4.0, 3.0]
    modality = Labs(changes=tuple(CHANGES) if kind == "all" else (kind,))
    modality.fit(serial({"ldh": values}), IDS)
    before = modality.transform(serial({"ldh": values}), IDS).rows
    values[place] = -40.0
    after = modality.transform(serial({"ldh": values}), IDS).rows
    np.testing.assert_array_equal(before[:place], after[:place])
    assert not np.array_equal(before[place], after[place])
    elsewhere = COURSE.to_numpy() != COURSE.iloc[place]
    np.testing.assert_array_equal(before[elsewhere], after[elsewhere])


def test_a_result_that_came_late_is_no_history(cohort: Cohort) -> None:
    modality = Labs()
    ids = modality.sample_ids(cohort)
    patient = cohort.samples.loc[ids[0], "patient_id"]
    mine = [s for s in ids if cohort.samples.loc[s, "patient_id"] == patient]
    samples = cohort.samples.copy()
    samples.loc[mine[0], "available_day"] = 999.0  # the first draw, known after all others
    late = replace(cohort, samples=samples)
    modality.fit(modality.load(cohort), ids)
    assert [s for s in modality.sample_ids(late) if s in mine] == [*mine[1:], mine[0]]
    rows = pd.DataFrame(modality.transform(modality.load(late), mine).rows, columns=modality.feature_names)
    assert rows["ldh:change_first"].iloc[1] == 0  # now the first that was known
    assert rows["ldh:change_first"].iloc[0] != 0


def test_a_blank_is_neutral_flagged_and_bridged() -> None:
    table = serial({"ldh": [1.0, np.nan, 2.0, 5.0, 4.0, 3.0]})
    modality = Labs()
    modality.fit(table, IDS)
    rows = encoded(modality, table)
    assert rows.loc["a1"].drop("ldh:missing").eq(0).all()
    assert rows["ldh:missing"].tolist() == [0, 1, 0, 0, 0, 0]
    assert rows.loc["a2", "ldh:change_previous"] == rows.loc["a2", "ldh:change_first"] != 0


def test_levels_alone() -> None:
    table = serial({"ldh": [1.0, 3.0, 2.0, 5.0, 4.0, 3.0], "constant": [1.0] * 6})
    modality = Labs(changes=())
    modality.fit(table, IDS)
    assert modality.feature_names == ("ldh",)


def test_another_cohort_with_an_analyte_less_and_one_more() -> None:
    table = serial({"ldh": [1.0, 3.0, 2.0, 5.0, 4.0, 3.0], "nse": [2.0, 3.0, 2.0, 5.0, np.nan, 3.0]})
    modality = Labs()
    modality.fit(table, IDS)
    other = serial({"ldh": [1.0, 3.0, 2.0, 5.0, 4.0, 3.0], "cea": [1.0] * 6})
    assert modality.missing_features(other) == ("nse",)
    rows = encoded(modality, other)
    assert rows["nse"].eq(0).all()
    assert rows["nse:missing"].eq(1).all()
    np.testing.assert_array_equal(rows["ldh"], encoded(modality, table)["ldh"])


def test_heavy_tails_are_tamed() -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0, 4000.0]
    modality = Labs(changes=())
    modality.fit(serial({"nse": values}), IDS)
    level = encoded(modality, serial({"nse": values}))["nse"].to_numpy()
    steps = np.diff(level[:5])
    assert (np.diff(level) > 0).all()
    assert steps.max() < 2 * steps.min()  # doublings are about equal steps


def test_values_in_another_unit_are_converted() -> None:
    values = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 3.0])
    modality = Labs()
    modality.fit(serial({"albumin": list(10 * values)}, units={"albumin": "g/L"}), IDS)
    straight = encoded(modality, serial({"albumin": list(10 * values)}, units={"albumin": "g/L"}))
    converted = encoded(modality, serial({"albumin": list(values)}, units={"albumin": "g/dL"}))
    untold = encoded(modality, serial({"albumin": list(10 * values)}))
    np.testing.assert_allclose(converted, straight, atol=1e-6)
    np.testing.assert_array_equal(untold, straight)
    with pytest.raises(ValueError, match=r"albumin: unit 'U/L' here, 'g/L' in training.* convert the values"):
        modality.transform(serial({"albumin": list(values)}, units={"albumin": "U/L"}), IDS)


@pytest.mark.parametrize(
    ("analyte", "unit", "wanted", "factor"),
    [
        ("creatinine", "µmol/L", "mg/dL", 1 / 88.4),
        ("bilirubin", "mg/dL", "umol/l", 17.1),
        ("wbc", "K/uL", "10^9/L", 1.0),
        ("lymphocytes", "cells/uL", "x10^9/L", 1e-3),
        ("nse", "ug/L", "ng/mL", 1.0),
        ("haematocrit", "%", "fraction", 0.01),
    ],
)
def test_known_factors(analyte: str, unit: str, wanted: str, factor: float) -> None:
    assert conversion_factor(analyte, unit, wanted) == pytest.approx(factor, rel=2e-3)
    assert conversion_factor(analyte, wanted, unit) == pytest.approx(1 / factor, rel=2e-3)


def test_mass_to_amount_needs_a_known_substance() -> None:
    with pytest.raises(ValueError, match="no way known to convert"):
        conversion_factor("progrp", "nmol/L", "ng/L")


def plasma(fractions: list[float], **columns: list[float]) -> SerialData:
    index = pd.Index(IDS, name="sample_id")
    return plasma_data(pd.DataFrame({"tumor_fraction": fractions, **columns}, index=index), COURSE)


def test_undetected_lies_below_the_limit_and_is_flagged() -> None:
    table = plasma([0.1, 0.001, 0.0011, 0.01, 0.0, 0.3], lod=[0.001] * 6)
    modality = Plasma(changes=())
    modality.fit(table, IDS)
    rows = encoded(modality, table)
    assert modality.feature_names == ("tumor_fraction", "tumor_fraction:detected")
    assert rows["tumor_fraction:detected"].tolist() == [1, 0, 1, 1, 0, 1]
    # The limit shown in place of a value that was not found is no measurement: it reads as the zero it stands for.
    assert rows.loc["a1", "tumor_fraction"] == rows.loc["b1", "tumor_fraction"] < rows.loc["a2", "tumor_fraction"]
    told = plasma([0.1, 0.001, 0.0011, 0.01, 0.0, 0.3], lod=[0.001] * 6, detected=[1, 0, 1, 1, 0, 1])
    again = Plasma(changes=())
    again.fit(told, IDS)
    pd.testing.assert_frame_equal(encoded(again, told), rows)


def test_the_limit_may_be_told_by_column_or_by_settings(cohort: Cohort) -> None:
    by_column = Plasma().load(cohort)
    assert list(by_column.values) == ["tumor_fraction", "mean_vaf"]
    by_settings = plasma_data(by_column.values, by_column.course, lod=0.001)
    for data in (by_column, by_settings):
        assert data.limits["tumor_fraction"].eq(0.001).all()


def test_without_a_limit_the_fraction_is_read_as_it_is() -> None:
    table = plasma([0.1, 0.001, 0.0011, 0.01, 0.0, 0.3])
    modality = Plasma(changes=())
    modality.fit(table, IDS)
    assert modality.feature_names == ("tumor_fraction",)
    assert np.unique(encoded(modality, table)).size == 6


@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=6, max_size=6),
    other=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=6, max_size=6),
)
def test_finite_whatever_comes(values: list[float], other: list[float]) -> None:
    steady = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    modality = Labs(changes=tuple(CHANGES))
    modality.fit(serial({"ldh": values, "nse": steady}), IDS)
    assert np.isfinite(modality.transform(serial({"ldh": other, "nse": values}), IDS).rows).all()


def test_nothing_that_differs_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match=r"no column of labs.csv differs .* take 'labs' out"):
        Labs().fit(serial({"ldh": [1.0] * 6}), IDS)


def test_what_the_curve_foretells_stands_in_the_row_and_not_in_the_summary() -> None:
    """Standardised as in training; unseen by the plain models of the comparison; tumour fraction stays one token."""
    table = serial({"tumor_fraction": [0.1, 0.01, 0.2, 0.3, 0.001, 0.05], "cfdna": [1.0, 2.0, 4.0, 3.0, 2.0, 5.0]})
    modality = Plasma()
    modality.fit(table, IDS)
    rows = encoded(modality, table)
    told = list(modality.detail_names)
    assert told == ["tumor_fraction:expected_day_182", "tumor_fraction:expected_day_365"]
    np.testing.assert_allclose(rows[told].mean(), 0.0, atol=1e-5)
    np.testing.assert_allclose(rows[told].std(ddof=0), 1.0, atol=1e-5)
    assert np.corrcoef(rows[told[0]], modality.detail(table, IDS)[:, 0])[0, 1] > 1 - 1e-9
    assert modality.summary_names == tuple(name for name in modality.feature_names if name not in told)
    np.testing.assert_array_equal(modality.summarise(table, IDS), rows[list(modality.summary_names)])
    token_of = dict(zip(modality.feature_names, modality.sizes["token_of"], strict=True))
    assert token_of[told[0]] == token_of["tumor_fraction"] != token_of["cfdna"]
