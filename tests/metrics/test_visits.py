"""The visit process is described, and coming or staying away that tells of the outcome is found."""

import numpy as np
import pandas as pd
import pytest
from fake_predictions import fake_run
from hypothesis import given
from hypothesis import strategies as st
from lifelines.datasets import load_lung

from fusion.metrics.visits import score_test, visit_process


def test_score_test_of_age_in_r(request):
    ovarian = pd.read_csv(request.config.rootpath / "tests" / "reference" / "ovarian.csv")
    age, time, status = (ovarian[name].to_numpy(dtype=np.float64) for name in ("age", "futime", "fustat"))
    assert score_test(age, time, status == 1)[0] ** 2 == pytest.approx(12.2594057581327, abs=1e-6)


def test_two_groups_are_the_log_rank_test_of_r_with_ties():
    table = load_lung()
    time, event = table["time"].to_numpy(dtype=np.float64), table["status"].to_numpy() == 1
    z, p = score_test(table["sex"].to_numpy(dtype=np.float64), time, event)
    assert z**2 == pytest.approx(10.3267419548856, abs=1e-6)
    assert z < 0  # women live longer
    assert p == pytest.approx(0.00131116, abs=1e-6)


def test_undefined_without_an_event_or_a_difference():
    time = np.arange(1.0, 6.0)
    for covariate, event in ((time, np.zeros(5, dtype=bool)), (np.ones(5), np.ones(5, dtype=bool))):
        assert np.isnan(score_test(covariate, time, event)).all()
    assert np.isnan(score_test(np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool))).all()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30), st.booleans()), min_size=2, max_size=25))
def test_scale_and_order_change_nothing_and_a_mirror_turns_the_sign(patients):
    x, time, event = (np.array(column) for column in zip(*patients, strict=True))
    x, time = x.astype(float), time.astype(float)
    z, _ = score_test(x, time, event)
    other = np.random.default_rng(0).permutation(len(x))
    assert score_test(3 * x[other] + 7, time[other], event[other])[0] == pytest.approx(z, nan_ok=True, abs=1e-8)
    assert score_test(-x, time, event)[0] == pytest.approx(-z, nan_ok=True, abs=1e-8)


def dropped(run, patients):
    """The run without the visits after baseline of some patients."""
    gone = run.predictions["patient_id"].isin(patients) & (run.predictions["visit"] > 0)
    return run.predictions[~gone]


def test_dropout_of_the_sick_is_found_and_chance_is_not():
    run = fake_run(patients=200, repeats=1, visit_days=(0.0, 20.0, 40.0))
    alive = run.time.index[run.time > 42]
    random = np.random.default_rng(0).choice(alive, 60, replace=False)
    sick = run.time[alive].sort_values().index[:60]
    for patients, alarming in ((random, False), (sick, True)):
        found = visit_process(dropped(run, patients), ("os",), (42.0,))
        assert [each.trait for each in found.associations] == ["visits", "gap"]
        assert [each.alarming for each in found.associations] == [alarming, alarming]
    assert found.associations[0].z < 0 < found.associations[1].z  # fewer visits and a longer gap before earlier events


def test_visits_and_gaps_are_counted_once_whatever_the_repeats():
    run = fake_run(patients=30, repeats=2)
    found = visit_process(run.predictions, ("os",), (42.0,))
    assert found.visits == (3.0, 3.0, 3.0)
    assert found.gaps == (40.0, 40.0, 40.0)
    static = fake_run(patients=30, repeats=1, visit_days=(0.0,))
    assert visit_process(static.predictions, ("os",), ()).gaps is None
    assert visit_process(run.predictions.iloc[:0], ("os",), ()) is None
