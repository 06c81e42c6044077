"""Alarms, what they caught and how often they were false, counted by hand on traces made by hand."""

import numpy as np
import pandas as pd
import pytest
from fake_predictions import fake_run

from fusion.metrics.alert_scores import alert_figures, compare_alerts
from fusion.metrics.alerts import (
    YEAR,
    AlertSetting,
    alarm_table,
    choose_threshold,
    cross_thresholds,
    followed_patients,
    monitoring_table,
)

SETTING = AlertSetting(window=100.0, refractory=50.0, least_lead=1.0)


def table_of(*patients, fold=0):
    """Each patient: end, event, and pairs of day and value."""
    rows = [
        {
            "repeat": 0,
            "fold": fold,
            "patient_id": f"P{number}-{fold}",
            "visit": visit + 1,
            "day": float(day),
            "end": float(end),
            "event": event,
            "value": value,
        }
        for number, (end, event, pairs) in enumerate(patients)
        for visit, (day, value) in enumerate(pairs)
    ]
    return pd.DataFrame(rows)


#: Caught 60 days ahead; missed; false on day 20 and caught on day 220; free throughout with one false, one open alarm.
FOUR = table_of(
    (90, True, [(20, 0.1), (30, 0.9), (60, 0.9)]),
    (90, True, [(20, 0.1), (30, 0.2)]),
    (300, True, [(20, 0.8), (120, 0.1), (220, 0.8), (280, 0.8)]),
    (400, False, [(100, 0.9), (140, 0.9), (350, 0.9)]),
)


def test_counted_by_hand():
    found = followed_patients(FOUR, 0.5, SETTING).set_index("patient_id")
    assert found["alarms"].tolist() == [1, 0, 3, 2]
    assert found["false"].tolist() == [0, 0, 1, 1]
    assert found["open"].tolist() == [0, 0, 0, 1]
    assert found["lead"].tolist()[::2] == [60, 80]
    assert found["lead"].isna().tolist() == [False, True, False, True]
    np.testing.assert_allclose(found["years"] * YEAR, [70, 70, 280, 200])
    figures = alert_figures(found.reset_index(), resamples=200)
    assert figures.sensitivity["value"] == pytest.approx(2 / 3)
    assert figures.false_alarms["value"] == pytest.approx(2 / (620 / YEAR))
    assert (figures.lead["value"], figures.lead_quartiles) == (70.0, (60.0, 80.0))
    assert (figures.patients, figures.progressions, figures.alarms, figures.open_alarms) == (4, 3, 6, 1)
    assert figures.years == pytest.approx(620 / YEAR)


def test_an_episode_counts_once_and_rings_again_after_the_refractory_days():
    alarms = alarm_table(FOUR, 0.5, SETTING)
    assert alarms.loc[alarms["alarm"], "day"].tolist() == [30, 20, 220, 280, 100, 350]
    assert not alarm_table(FOUR, 0.9, SETTING)["alarm"].any(), "a value must be above the threshold, not at it"


def test_order_of_rows_changes_nothing():
    mixed = FOUR.sample(frac=1.0, random_state=1)
    pd.testing.assert_frame_equal(followed_patients(mixed, 0.5, SETTING), followed_patients(FOUR, 0.5, SETTING))
    assert (
        alarm_table(mixed, 0.5, SETTING)["alarm"].sort_index().tolist()
        == alarm_table(FOUR, 0.5, SETTING)["alarm"].tolist()
    )


def test_edges_of_the_window():
    table = table_of(
        (200, True, [(100, 1.0)]),  # exactly the window ahead: true
        (200.5, True, [(100, 1.0)]),  # later: false
        (100.5, True, [(100, 1.0)]),  # too late to help: neither
        (200, False, [(100, 1.0)]),  # free for exactly the window: false
        (199, False, [(100, 1.0)]),  # one day short: open
    )
    found = followed_patients(table, 0.5, SETTING)
    assert found["lead"].notna().tolist() == [True, False, False, False, False]
    assert found["false"].tolist() == [0, 1, 0, 1, 0]
    assert found["open"].tolist() == [0, 0, 0, 0, 1]


def test_a_rule_that_never_fires():
    silent = followed_patients(FOUR.assign(value=np.nan), 0.0, SETTING)
    figures = alert_figures(silent, resamples=100)
    assert figures.sensitivity["value"] == 0.0
    assert figures.false_alarms["value"] == 0.0
    assert figures.lead["value"] is None
    assert figures.lead_quartiles is None
    assert choose_threshold(FOUR.assign(value=np.nan), 0.0, SETTING) == -np.inf


def test_no_events():
    figures = alert_figures(followed_patients(FOUR.assign(event=False), 0.5, SETTING), resamples=100)
    assert figures.sensitivity["value"] is None
    assert figures.progressions == 0
    assert figures.false_alarms["value"] > 0


def test_nobody_followed_long_enough_means_no_threshold():
    short = table_of((30, False, [(10, 0.5)]), (30, False, [(10, 0.7)]))
    assert choose_threshold(short, 1.0, SETTING) == np.inf
    assert not alarm_table(short, np.inf, SETTING)["alarm"].any()


def test_the_chosen_threshold_is_the_lowest_that_keeps_the_rate():
    run = fake_run(patients=150, repeats=1)
    predictions = run.predictions.assign(survival_90=np.random.default_rng(0).random(len(run.predictions)))
    table = monitoring_table(predictions, "os")
    for rate in (0.1, 0.5, 2.0):

        def realised(threshold):
            found = followed_patients(table, threshold)
            return found["false"].sum() / found["years"].sum()

        chosen = choose_threshold(table, rate)
        assert realised(chosen) <= rate
        values = np.sort(table["value"].to_numpy())
        below = values[values < chosen]
        assert realised(below[-1] if len(below) else -np.inf) > rate or realised(-np.inf) <= rate


def test_thresholds_come_from_the_other_folds():
    two = pd.concat([FOUR, FOUR.assign(fold=1, patient_id=FOUR["patient_id"] + "b", value=FOUR["value"] / 10)])
    two = two.reset_index(drop=True)
    chosen = cross_thresholds(two, 0.0, SETTING).groupby(two["fold"]).first()
    assert chosen[0] == choose_threshold(two[two["fold"] == 1], 0.0, SETTING)
    assert chosen[1] == choose_threshold(two[two["fold"] == 0], 0.0, SETTING)
    changed = two.assign(event=two["event"].where(two["fold"] == 1, False))
    assert cross_thresholds(changed, 0.0, SETTING)[two["fold"] == 0].eq(chosen[0]).all()
    with pytest.raises(ValueError, match="one fold alone"):
        cross_thresholds(FOUR, 1.0)


def test_only_later_visits_at_risk_are_monitored():
    run = fake_run(patients=60, repeats=2)
    table = monitoring_table(run.predictions, "os")
    assert table["visit"].min() == 1
    assert (table["end"] > table["day"]).all()
    assert (table.groupby("patient_id")["end"].nunique() == 1).all()
    rows = run.predictions.loc[table.index]
    np.testing.assert_allclose(table["value"], 1 - rows["survival_90"])
    figures = alert_figures(followed_patients(table, 0.2), resamples=50)
    assert figures.patients == table["patient_id"].nunique(), "a second repeat brings no second patient"
    with pytest.raises(ValueError, match="survival_7"):
        monitoring_table(run.predictions, "os", horizon=7.0)


def test_rise_is_over_the_lowest_log_odds_before_baseline_included():
    run = fake_run(patients=3, repeats=1, seed=4, visit_days=(0.0, 5.0, 10.0))
    predictions = run.predictions[run.predictions["task"] == "os"].copy()
    predictions["survival_90"] = 1 - np.tile([0.5, 0.2, 0.6], 3)
    odds = np.log([1.0, 0.25, 1.5])
    whole, half = (monitoring_table(predictions, "os", rise=rise) for rise in (1.0, 0.5))
    np.testing.assert_allclose(whole["value"], np.tile([odds[1] - odds[0], odds[2] - odds[1]], 3))
    np.testing.assert_allclose(half["value"], np.tile([odds[1], odds[2] - odds[1] / 2], 3))


def test_lead_interval_equals_resampling_rows():
    found = followed_patients(FOUR, 0.5, SETTING)
    figures = alert_figures(found, resamples=400, seed=3)
    generator = np.random.default_rng(0)
    medians = []
    for _ in range(2000):
        drawn = found.iloc[generator.integers(0, 4, 4)]["lead"].dropna()
        medians.append(drawn.median())
    plain = np.nanpercentile(medians, [2.5, 97.5])
    assert figures.lead["low"] is None or [figures.lead["low"], figures.lead["high"]] == plain.tolist()


def test_an_alert_does_not_differ_from_itself_and_another_does():
    ours, silent = followed_patients(FOUR, 0.5, SETTING), followed_patients(FOUR, 9.0, SETTING)
    same = compare_alerts(ours, ours, resamples=100)
    assert same["sensitivity"]["value"] == same["false_alarms"]["value"] == 0.0
    assert compare_alerts(ours, silent, resamples=100)["sensitivity"]["value"] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="different patients"):
        compare_alerts(ours, silent.iloc[:2])
    with pytest.raises(ValueError, match="nothing to monitor"):
        alert_figures(followed_patients(FOUR.iloc[:0], 0.5, SETTING))
