"""Who is scored at a landmark, with which prediction, against which training patients."""

import numpy as np
import pandas as pd
import pytest
from fake_predictions import GRID, fake_run

from fusion.metrics.dynamic import (
    ModelTable,
    conditional_survival,
    held_out,
    held_out_response,
    one_visit_earlier,
    rows_at,
)
from fusion.survival import censoring_survival


@pytest.fixture(scope="module")
def run():
    return fake_run(patients=60, repeats=2, folds=3)


def survival_rows(run):
    return run.predictions[run.predictions["task"] == "os"]


def build(run, rows, landmark, horizons=(180.0, 365.0)):
    place = {patient: number for number, patient in enumerate(run.time.index)}
    return held_out(rows, landmark, ModelTable(rows, run.splits).training_patients(), place, horizons)


def test_the_dead_are_not_scored(run):
    scored = rows_at(survival_rows(run), 42.0)
    alive = set(run.time.index[run.time > 42.0])
    assert set(scored["patient_id"]) == alive
    assert len(alive) < 60
    assert (scored["residual"] > 0).all()


def test_an_event_on_the_landmark_day_is_not_ahead():
    row = {"repeat": 0, "fold": 0, "patient_id": "P", "visit": 0, "day": 2.0, "at_risk": True, "event": True}
    scored = rows_at(pd.DataFrame([{**row, "duration": np.float32(40.0)}]), 42.0)
    assert scored.empty


def test_float_noise_does_not_break_ties():
    rows = pd.DataFrame(
        {
            "repeat": 0,
            "fold": 0,
            "patient_id": ["A", "B"],
            "visit": [1, 0],
            "day": [21.3, 0.0],
            "at_risk": True,
            "event": True,
            "duration": [np.float32(78.7), np.float32(100.0)],
        }
    )
    assert rows_at(rows, 42.0)["residual"].nunique() == 1


def test_one_visit_earlier_is_the_prediction_before_the_last_one(run):
    earlier = one_visit_earlier(ModelTable(survival_rows(run), run.splits)).predictions
    scored = rows_at(earlier, 84.0)  # visits on days 0, 40, 80: the last one is held back
    assert (scored["visit"] == 1).all()
    assert (scored["elapsed"] == 44.0).all()
    assert (rows_at(earlier, 42.0)["visit"] == 0).all()
    assert rows_at(earlier, 39.0).empty, "who has one visit only has none before it"


def test_only_the_last_visit_by_the_landmark_is_used(run):
    rows = survival_rows(run)
    scored = rows_at(rows, 42.0)
    assert (scored["visit"] == 1).all()  # visits on days 0, 40, 80
    assert (scored["elapsed"] == 2.0).all()
    columns = ["risk", *[name for name in rows.columns if str(name).startswith("survival_")]]
    changed = rows.copy()
    changed.loc[changed["visit"] != 1, columns] = 0.123
    before, after = build(run, rows, 42.0), build(run, changed, 42.0)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.risk, other.risk)
        np.testing.assert_array_equal(one.survival, other.survival)


def test_a_patient_without_the_visit_keeps_the_earlier_one(run):
    rows = survival_rows(run)
    patient = run.time.idxmax()
    absent = rows[~((rows["patient_id"] == patient) & (rows["visit"] == 1))]
    scored = rows_at(absent, 42.0).set_index("patient_id")
    assert (scored.loc[patient, "visit"] == 0).all()
    assert (scored.loc[patient, "elapsed"] == 42.0).all()


def test_every_patient_is_scored_once_a_repeat(run):
    for each in build(run, survival_rows(run), 42.0):
        assert len(np.unique(each.patient)) == len(each.patient)


def test_the_censoring_curve_is_of_the_training_part_at_risk_at_the_landmark(run):
    rows, landmark = survival_rows(run), 42.0
    repeat_one = build(run, rows, landmark)[1]
    inside = run.splits.query("repeat == 1 and fold == 2 and part != 'test'")["patient_id"]
    first = rows[(rows["repeat"] == 1) & (rows["visit"] == 0)].set_index("patient_id").loc[inside]
    first = first[first["duration"] > landmark]
    expected = censoring_survival(first["duration"].to_numpy() - landmark, first["event"].to_numpy(dtype=bool))
    found = repeat_one.training[2].censoring
    np.testing.assert_array_equal(found.times, expected.times)
    np.testing.assert_allclose(found.values, expected.values)


def test_held_out_outcomes_leave_the_training_curves_unchanged(run):
    rows = survival_rows(run)
    tested = set(run.splits.query("repeat == 0 and fold == 0 and part == 'test'")["patient_id"])
    changed = rows.copy()
    changed.loc[changed["patient_id"].isin(tested), "event"] = False
    before, after = (build(run, each, None)[0].training[0].censoring for each in (rows, changed))
    np.testing.assert_array_equal(before.values, after.values)


def test_external_patients_weigh_by_their_own_censoring(run):
    rows = survival_rows(run)
    nobody = ModelTable(rows, run.splits[run.splits["part"] == "test"]).training_patients()
    place = {patient: number for number, patient in enumerate(run.time.index)}
    found = held_out(rows, None, nobody, place, (365.0,))[0]
    expected = censoring_survival(found.duration, found.event)
    np.testing.assert_allclose(found.training[0].censoring.values, expected.values)


def test_missing_risk_is_refused(run):
    rows = survival_rows(run).copy()
    rows.loc[rows.index[0], "risk"] = np.nan
    with pytest.raises(ValueError, match="no risk is predicted for patient"):
        build(run, rows, None)


class TestConditionalSurvival:
    def test_exponential_forgets(self):
        # Exact on the grid; between its points a line lies a little above the curve.
        curve = np.exp(-GRID / 400.0)[None]
        found = conditional_survival(curve, GRID, np.array([42.0]), np.array([180.0, 365.0]))
        np.testing.assert_allclose(found, np.exp(-np.array([[180.0, 365.0]]) / 400.0), atol=1e-3)

    def test_at_the_visit_it_is_the_curve_itself(self):
        curve = np.array([[0.9, 0.5]])
        found = conditional_survival(curve, np.array([30.0, 60.0]), np.array([0.0]), np.array([15.0, 30.0, 45.0]))
        np.testing.assert_allclose(found, [[0.95, 0.9, 0.7]])

    def test_beyond_the_grid_is_unknown(self):
        found = conditional_survival(np.array([[0.9]]), np.array([30.0]), np.array([10.0]), np.array([20.0, 21.0]))
        assert np.isfinite(found[0, 0])
        assert np.isnan(found[0, 1])

    def test_predicted_dead_stays_dead(self):
        found = conditional_survival(np.array([[0.0, 0.0]]), np.array([30.0, 60.0]), np.array([30.0]), np.array([20.0]))
        assert found[0, 0] == 0.0


class TestResponse:
    def build(self, run, landmark):
        rows = run.predictions[run.predictions["task"] == "response"]
        place = {patient: number for number, patient in enumerate(run.time.index)}
        return held_out_response(rows, landmark, ModelTable(rows, run.splits).training_patients(), place)

    def test_all_are_scored_at_baseline(self, run):
        assert len(self.build(run, None)[0].patient) == 60

    def test_nobody_is_scored_once_the_assessment_is_known(self, run):
        assert len(self.build(run, 42.0)[0].patient) == 60  # the visit of day 40 precedes it
        assert self.build(run, 84.0) == []  # the visit of day 80 does not

    def test_the_threshold_is_the_share_of_training_responders(self, run):
        rows = run.predictions[run.predictions["task"] == "response"]
        label = rows.drop_duplicates("patient_id").set_index("patient_id")["label"]
        inside = run.splits.query("repeat == 0 and fold == 1 and part != 'test'")["patient_id"]
        assert self.build(run, None)[0].threshold[1] == pytest.approx(label.loc[inside].mean())
