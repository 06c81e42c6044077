"""Bounds and sets cover what they say, also of a model that is wrong, and nobody's own outcome has part in them."""

import json

import numpy as np
import pandas as pd
import pytest

from fusion.metrics.conformal import ConformalRule
from fusion.metrics.conformal_levels import (
    censoring_curve,
    day_of_level,
    longest_bound,
    score_threshold,
    survival_cut,
)
from fusion.metrics.coverage import bound_coverage, coverage_of_bounds, coverage_of_sets, set_coverage, wilson
from fusion.metrics.cross_conformal import conformal_bounds, conformal_sets
from fusion.survival import censoring_survival

GRID = np.arange(30.0, 1501.0, 30.0)


def exponential(patients, seed=0, hazard_error=1.0, folds=5, visits=(0.0,), censored_after=1200.0):
    """Predictions of a model that knows each hazard up to a factor, random censoring, and the true event times."""
    generator = np.random.default_rng(seed)
    score = generator.standard_normal(patients)
    rate = np.exp(0.8 * score) / 300.0
    truth = generator.exponential(1.0 / rate)
    censored = generator.uniform(50.0, censored_after, patients)
    time, event = np.minimum(truth, censored), truth <= censored
    curves = np.exp(-np.outer(rate * hazard_error, GRID))
    tables = []
    for visit, day in enumerate(visits):
        at_risk = time > day
        fixed = {"repeat": 0, "visit": visit, "day": day, "task": "os", "risk": score}
        table = pd.DataFrame(curves, columns=[f"survival_{days:g}" for days in GRID]).assign(
            **fixed,
            fold=np.arange(patients) % folds,
            patient_id=[f"P{number:05d}" for number in range(patients)],
            duration=np.where(at_risk, time - day, 1.0),
            event=event & at_risk,
            at_risk=at_risk,
            left=truth - day,
        )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def responses(patients, seed=0, shift=0.0, folds=5, share=0.5):
    """Predicted probabilities that are off by `shift` on the logit scale."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(np.log(share / (1 - share)), 1.5, patients)
    label = generator.random(patients) < 1 / (1 + np.exp(-logit))
    probability = 1 / (1 + np.exp(-logit - shift))
    return pd.DataFrame(
        {
            "repeat": 0,
            "fold": np.arange(patients) % folds,
            "patient_id": [f"P{number:05d}" for number in range(patients)],
            "visit": 0,
            "day": 0.0,
            "task": "response",
            "at_risk": True,
            "label": label.astype(float),
            "prob_responder": probability,
            "prob_nonresponder": 1 - probability,
        }
    )


def truly_covered(table, alpha=0.1):
    bounds = conformal_bounds(table, "os", alpha)
    return float((table["left"] >= bounds["lower_days"])[table["at_risk"]].mean())


def test_a_day_of_level_is_where_the_curve_first_gets_there():
    generator = np.random.default_rng(0)
    curves = np.sort(generator.random((20, 6)))[:, ::-1]
    times = np.array([5.0, 10.0, 30.0, 40.0, 60.0, 90.0])
    levels = np.array([0.95, 0.5, 0.2, 0.01])
    found = day_of_level(curves, times, levels)
    fine = np.linspace(0, 90, 90001)
    for curve, days in zip(curves, found, strict=True):
        values = np.interp(fine, np.append(0.0, times), np.append(1.0, curve))
        for level, day in zip(levels, days, strict=True):
            below = np.flatnonzero(values <= level)
            assert day == pytest.approx(fine[below[0]] if len(below) else 90.0, abs=2e-3)


def test_a_flat_curve_and_a_rising_one():
    flat = np.array([[1.0, 1.0, 1.0], [0.5, 0.5, 0.2], [0.5, 0.7, 0.2]])
    found = day_of_level(flat, np.array([10.0, 20.0, 30.0]), np.array([0.5]))[:, 0]
    assert found.tolist() == [30.0, 10.0, 10.0]


def test_weighted_censoring_is_that_of_repeated_rows():
    generator = np.random.default_rng(1)
    time, event = generator.integers(1, 9, 40).astype(float), generator.random(40) < 0.6
    times = generator.integers(1, 4, 40)
    plain = censoring_survival(np.repeat(time, times), np.repeat(event, times))
    ours = censoring_curve(time, event, times.astype(float))
    at = np.arange(1.0, 10.0)
    np.testing.assert_allclose(ours.left(at), plain.left(at))


@pytest.mark.parametrize("hazard_error", [1.0, 0.3, 3.0])
def test_bounds_of_right_and_wrong_models_cover_the_true_times(hazard_error):
    table = exponential(1500, hazard_error=hazard_error)
    assert 0.88 <= truly_covered(table) <= 0.92
    uncorrected = np.log(1 / 0.9) / (np.exp(0.8 * table["risk"]) / 300.0 * hazard_error)
    if hazard_error != 1.0:
        assert not 0.88 <= (table["left"] >= uncorrected).mean() <= 0.92, "the model alone is off"


def test_coverage_at_other_levels_and_heavy_censoring():
    table = exponential(1000, seed=3, censored_after=200.0)
    for alpha in (0.05, 0.2):
        assert truly_covered(table, alpha) == pytest.approx(1 - alpha, abs=0.03)


def test_small_cohorts_cover_on_average():
    covered = [truly_covered(exponential(100, seed=seed, hazard_error=0.5)) for seed in range(30)]
    assert 0.885 <= np.mean(covered) <= 0.935


def test_the_estimate_of_coverage_is_near_the_truth_in_spite_of_censoring():
    table = exponential(1500, seed=5, censored_after=300.0)
    bounds = conformal_bounds(table, "os")
    found = coverage_of_bounds(table, bounds, "os").iloc[0]
    assert found["coverage"] == pytest.approx((table["left"] >= bounds["lower_days"]).mean(), abs=0.015)
    assert found["low"] < found["coverage"] < found["high"]
    assert found["patients"] == 1500


def test_later_visits_are_calibrated_on_those_still_at_risk():
    table = exponential(800, hazard_error=0.4, visits=(0.0, 50.0, 100.0, 800.0))
    bounds = conformal_bounds(table, "os")
    rows = table[table["at_risk"]].merge(bounds[["patient_id", "visit", "lower_days"]], on=["patient_id", "visit"])
    for _, some in rows[rows["visit"] < 3].groupby("visit"):
        assert (some["left"] >= some["lower_days"]).mean() == pytest.approx(0.9, abs=0.03)
    words = bounds.groupby("visit")["calibrated_on"].unique().map(list).to_dict()
    assert words[0] == ["visit 0"]
    assert words[3] == ["visits from 3"], "too few are left for a level of their own"
    assert len(bounds) == len(table)
    assert (bounds["lower_days"] <= GRID[-1]).all()
    assert (bounds["lower_days"] >= 0).all()


def test_a_class_that_is_large_enough_is_covered_by_itself():
    wrong, right = exponential(600, hazard_error=0.3), exponential(600, seed=1)
    right["patient_id"] = "R" + right["patient_id"]
    few = exponential(35, seed=2).assign(patient_id=lambda t: "F" + t["patient_id"])
    table = pd.concat([wrong, right, few], ignore_index=True)
    groups = {str(name): {"P": "wrong", "R": "right", "F": "few"}[str(name)[0]] for name in table["patient_id"]}
    kind = table["patient_id"].map(groups)

    def covered(bounds):
        return (table["left"] >= bounds["lower_days"]).groupby(kind).mean()

    alike, apart = covered(conformal_bounds(table, "os")), covered(conformal_bounds(table, "os", groups=groups))
    assert alike["wrong"] < 0.88 < 0.92 < alike["right"]
    assert apart[["wrong", "right"]].between(0.88, 0.92).all()
    assert apart["few"] == alike["few"], "too few for levels of their own: those of all patients"
    rule = ConformalRule.learn(table, groups=groups)
    assert {each.group for each in rule.bounds} == {"", "right", "wrong"}
    assert ConformalRule.from_json(rule.to_json()) == rule
    words = rule.lower_bounds(table, "os", groups).groupby(kind)["calibrated_on"].unique().map(list).to_dict()
    assert words == {"few": ["visit 0"], "right": ["visit 0, right"], "wrong": ["visit 0, wrong"]}


def test_own_fold_changes_nothing():
    table = exponential(300)
    before = conformal_bounds(table, "os")
    own = table["fold"] == 2
    changed = table.assign(duration=table["duration"].where(~own, 1.0), event=table["event"].where(~own, True))
    after = conformal_bounds(changed, "os")
    pd.testing.assert_series_equal(before.loc[own, "lower_days"], after.loc[own, "lower_days"])
    assert (before.loc[~own, "lower_days"] != after.loc[~own, "lower_days"]).all()


def test_order_of_rows_changes_nothing():
    table = exponential(200, visits=(0.0, 50.0))
    shuffled = table.sample(frac=1.0, random_state=0)
    pd.testing.assert_frame_equal(conformal_bounds(table, "os"), conformal_bounds(shuffled, "os"))


def test_few_patients_get_the_bound_that_never_fails():
    few = exponential(8, folds=2)
    assert (conformal_bounds(few, "os")["lower_days"] == 0).all()
    none = survival_cut(np.zeros((0, 2)), GRID[:2], np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0), 0.1)
    assert (none.level, none.longest) == (1.0, 0.0)


def test_without_events_a_bound_ends_where_follow_up_does():
    table = exponential(100)
    table = table.assign(event=False, duration=np.arange(100) + 1.0)
    bounds = conformal_bounds(table, "os")
    assert bounds["lower_days"].max() <= 82
    assert bounds["lower_days"].max() >= 75
    assert longest_bound(np.arange(1.0, 101.0), np.ones(100), 1500.0) == 81.0


def test_one_fold_and_unknown_task_and_alpha_are_refused():
    with pytest.raises(ValueError, match="at least two folds"):
        conformal_bounds(exponential(50, folds=1), "os")
    with pytest.raises(ValueError, match="no prediction of task pfs"):
        conformal_bounds(exponential(50), "pfs")
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_bounds(exponential(50), "os", alpha=1.5)


def test_a_frozen_rule_covers_new_patients_and_survives_json():
    table = exponential(1000, hazard_error=0.4)
    rule = ConformalRule.learn(pd.concat([table, responses(1000)], ignore_index=True))
    assert ConformalRule.from_json(rule.to_json()) == rule
    assert "P00001" not in rule.to_json()
    json.loads(rule.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    new = exponential(2000, seed=9, hazard_error=0.4)
    lower = rule.lower_bounds(new.drop(columns=["repeat", "fold", "duration", "event"]), "os")
    assert (new["left"] >= lower["lower_days"]).mean() == pytest.approx(0.9, abs=0.02)
    with pytest.raises(ValueError, match="no bound was learned"):
        rule.lower_bounds(new, "pfs")
    with pytest.raises(ValueError, match="schema 1"):
        ConformalRule.from_json("[]")
    with pytest.raises(ValueError, match="no response set"):
        ConformalRule(alpha=0.1).response_sets(responses(10))


def test_repeats_of_a_patient_are_no_more_patients():
    once = exponential(60)
    thrice = pd.concat([once.assign(repeat=repeat) for repeat in range(3)], ignore_index=True)
    assert ConformalRule.learn(once) == ConformalRule.learn(thrice)


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_sets_cover_each_class_also_where_probabilities_are_off(shift):
    table = responses(4000, shift=shift, share=0.75)
    sets = conformal_sets(table)
    own = sets["can_be_responder"].where(table["label"] == 1, sets["can_be_nonresponder"])
    for label in (0, 1):
        assert own[table["label"] == label].mean() == pytest.approx(0.9, abs=0.02)
    marginal = conformal_sets(table, label_conditional=False)
    own = marginal["can_be_responder"].where(table["label"] == 1, marginal["can_be_nonresponder"])
    assert own.mean() == pytest.approx(0.9, abs=0.02)
    assert own[table["label"] == 0].mean() < 0.8, "on average the rarer class pays"
    found = coverage_of_sets(table, sets).set_index("group")
    assert found.loc["label: responder", "coverage"].iloc[0] == pytest.approx(0.9, abs=0.02)


def test_responders_of_a_class_are_covered_by_themselves_where_there_are_enough():
    hopeful = responses(800, seed=1, share=0.9).assign(patient_id=lambda t: "L" + t["patient_id"])
    other = responses(800, seed=2, share=0.6)
    few = responses(30, seed=3, shift=2.0).assign(patient_id=lambda t: "F" + t["patient_id"])
    table = pd.concat([hopeful, other, few], ignore_index=True)
    groups = {str(name): {"L": "hopeful", "P": "other", "F": "few"}[str(name)[0]] for name in table["patient_id"]}
    kind = table["patient_id"].map(groups)

    def covered(sets):
        own = sets["can_be_responder"].where(table["label"] == 1, sets["can_be_nonresponder"])
        return own.groupby([kind, table["label"]]).mean()

    alike, apart = covered(conformal_sets(table)), covered(conformal_sets(table, groups=groups))
    assert alike["hopeful", 1] > 0.93, "thresholds of all promise them too little"
    for name in ("hopeful", "other"):
        assert apart[name].between(0.85, 0.95).all()
        assert apart[name, 1] == pytest.approx(0.9, abs=0.02)
    assert apart["few"].equals(alike["few"]), "too few for a threshold of their own: those of all patients"
    rule = ConformalRule.learn(table, groups=groups)
    assert {each.group for each in rule.sets} == {"", "hopeful", "other"}
    assert ConformalRule.from_json(rule.to_json()) == rule
    words = rule.response_sets(table, groups).groupby(kind)["calibrated_on"].unique().map(list).to_dict()
    assert words == {"few": ["visit 0"], "hopeful": ["visit 0, hopeful"], "other": ["visit 0, other"]}


def test_a_class_of_which_there_are_few_stays_possible():
    table = responses(60)
    table["label"] = (np.arange(60) > 5).astype(float)
    assert conformal_sets(table)["can_be_nonresponder"].all()


def test_unknown_labels_calibrate_nothing():
    table = responses(300)
    unknown = responses(40, seed=1).assign(label=-1.0)
    unknown["patient_id"] += "x"
    sets = conformal_sets(pd.concat([table, unknown], ignore_index=True)).iloc[:300]
    pd.testing.assert_frame_equal(sets, conformal_sets(table))


def test_threshold_is_the_order_statistic_of_the_textbook():
    generator = np.random.default_rng(2)
    for number in (9, 10, 19, 57, 200):
        score = generator.random(number)
        rank = int(np.ceil((number + 1) * 0.9 - 1e-9))
        assert score_threshold(score, np.ones(number), 0.1) == np.sort(score)[rank - 1]
    assert score_threshold(np.full(8, 0.2), np.ones(8), 0.1) == 1.0
    assert score_threshold(np.zeros(0), np.zeros(0), 0.1) == 1.0


def test_coverage_by_hand():
    # One of four is missed; the one censored before its bound of 5 is stood for by those followed longer.
    found = bound_coverage(np.array([2.0, 3.0, 8.0, 9.0]), np.array([True, False, True, True]), np.full(4, 5.0))
    assert found.value == pytest.approx(3 / 4)  # miss 1, hits 2 / G(5-) = 2 / (2/3) = 3
    everyone = bound_coverage(np.array([5.0, 6.0]), np.array([True, True]), np.array([1.0, 2.0]))
    assert everyone.value == 1.0
    assert everyone.low < 0.5, "two patients prove little"
    assert np.isnan(bound_coverage(np.array([1.0]), np.array([False]), np.array([5.0])).value)
    twice = set_coverage(np.array([True, True]), np.array(["a", "a"], dtype=object))
    assert (twice.patients, twice.low) == (1, wilson(1.0, 1)[0])


def test_subgroups_are_scored_and_small_ones_left_out():
    table = exponential(200)
    groups = pd.DataFrame({"patient_id": table["patient_id"].unique(), "sex": "f", "site": ["a"] * 195 + ["b"] * 5})
    found = coverage_of_bounds(table, conformal_bounds(table, "os"), "os", groups)
    assert set(found["group"]) == {"all patients", "sex: f", "site: a"}
    whole = found[(found["at"] == "baseline")].set_index("group")["coverage"]
    assert whole["sex: f"] == whole["all patients"]
