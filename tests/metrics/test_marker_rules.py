"""Rises over the nadir by hand, with limits of detection, confirmation and visits between measurements."""

import numpy as np
import pandas as pd
import pytest

from fusion.metrics.alerts import AlertSetting, followed_patients
from fusion.metrics.marker_rules import MARKER_RULES, MarkerRule, marker_rises, marker_trace, rise_over_nadir

CTDNA = MarkerRule(name="ctDNA", analyte="tumor_fraction", factor=2.5, limit=0.001)


def values_of(pairs, patient="A", analyte="tumor_fraction"):
    return pd.DataFrame(
        [{"patient_id": patient, "day": day, "analyte": analyte, "value": value} for day, value in pairs]
    )


def visits_of(days, patient="A"):
    rows = [
        {"repeat": 0, "fold": 0, "patient_id": patient, "visit": visit, "day": float(day), "end": 200.0, "event": True}
        for visit, day in enumerate(days, start=1)
    ]
    return pd.DataFrame(rows).assign(value=0.0)


def test_rise_is_over_the_lowest_before_and_equals_a_plain_loop():
    generator = np.random.default_rng(0)
    values = generator.lognormal(size=30)
    plain = [1.0] + [values[place] / min(values[:place]) for place in range(1, 30)]
    np.testing.assert_allclose(rise_over_nadir(values), plain)
    confirmed = [1.0] + [min(plain[place], plain[place - 1]) for place in range(1, 30)]
    np.testing.assert_allclose(rise_over_nadir(values, confirmed=True), confirmed)
    assert rise_over_nadir(np.zeros(0)).shape == (0,)
    assert rise_over_nadir(np.array([0.0, 0.0, 1.0])).tolist() == [1.0, 1.0, np.inf]


def test_below_the_limit_there_is_no_rise_and_the_nadir_is_never_zero():
    low = marker_rises(values_of([(0, 0.0), (20, 0.0009), (40, 0.0026)]), CTDNA)
    assert low["value"].tolist() == pytest.approx([1.0, 1.0, 2.6])
    own = values_of([(0, 0.0), (20, 0.004), (40, 0.02)]).assign(limit=[0.005, np.nan, 0.005])
    assert marker_rises(own, CTDNA)["value"].tolist() == pytest.approx([1.0, 0.8, 5.0])


def test_a_visit_reads_what_was_known_by_its_day():
    trace = marker_trace(visits_of([10, 20, 35, 60]), values_of([(15, 0.1), (35, 0.3), (61, 9.0)]), CTDNA)
    assert trace["value"].tolist()[1:] == pytest.approx([1.0, 3.0, 3.0])
    assert np.isnan(trace["value"].iloc[0])
    shuffled = marker_trace(visits_of([10, 20, 35, 60]).iloc[::-1], values_of([(35, 0.3), (61, 9.0), (15, 0.1)]), CTDNA)
    pd.testing.assert_frame_equal(shuffled.sort_index(), trace)


def test_a_patient_without_the_marker_is_silent_and_others_keep_theirs():
    visits = pd.concat([visits_of([30], "B"), visits_of([30], "A")], ignore_index=True)
    trace = marker_trace(visits, values_of([(0, 1.0), (30, 4.0)]), CTDNA)
    assert np.isnan(trace["value"].iloc[0])
    assert trace["value"].iloc[1] == 4.0
    found = followed_patients(trace, CTDNA.factor, AlertSetting())
    assert found["lead"].tolist()[0] == 170
    assert np.isnan(found["lead"].iloc[1])
    nothing = marker_trace(visits, values_of([(0, 1.0)], analyte="nse"), CTDNA)
    assert nothing["value"].isna().all()


def test_twice_a_day_is_the_mean_and_blanks_are_passed_over():
    rises = marker_rises(values_of([(0, 1.0), (5, np.nan), (9, 2.0), (9, 4.0)]), CTDNA)
    assert rises["value"].tolist() == [1.0, 3.0]


def test_tables_that_cannot_be_read_are_refused():
    with pytest.raises(ValueError, match="no column analyte"):
        marker_rises(pd.DataFrame({"patient_id": ["A"], "day": [0], "value": [1.0]}), CTDNA)
    with pytest.raises(ValueError, match="below zero"):
        marker_rises(values_of([(0, -1.0)]), CTDNA)


def test_the_rules_of_the_field_are_there():
    named = {rule.name: rule for rule in MARKER_RULES}
    assert named["ctDNA x 2.5"].factor == 2.5
    assert all(rule.confirmed for rule in MARKER_RULES if rule.analyte != "tumor_fraction")
