"""Landmark models read what they say they read: means by hand, visits without values, response until its assessment."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sksurv.metrics import concordance_index_censored

from fusion.baselines import (
    LandmarkCourse,
    LandmarkCox,
    LandmarkLast,
    LandmarkLogistic,
    LandmarkMean,
    LandmarkVisits,
    LogisticAll,
)
from fusion.baselines.landmark_course import nadir_and_slope
from fusion.baselines.landmark_mean import running_mean
from fusion.baselines.landmark_visits import visit_process
from fusion.types import VisitOutcome, VisitTable

NAN = np.nan
TIMES = np.array([90.0, 365.0])
DAYS = [0.0, 42.0]


def by_hand(patients: list[str], days: list[float], features: list[list[float]]) -> VisitTable:
    """A table of these rows, everyone at risk."""
    ids = np.array(patients, dtype=np.str_)
    columns = np.array(features, dtype=np.float64)
    visit = pd.Series(ids).groupby(ids).cumcount().to_numpy(dtype=np.int64)
    yes = np.ones(len(ids), dtype=np.bool_)
    return VisitTable(
        patient_ids=ids,
        visit=visit,
        day=np.array(days, dtype=np.float64),
        features=columns,
        feature_names=tuple(f"labs:{i}" for i in range(columns.shape[1])),
        modality=("labs",) * columns.shape[1],
        outcomes={"os": VisitOutcome(duration=np.full(len(ids), 100.0), event=yes, at_risk=yes)},
        responses={},
    )


def test_mean_of_the_values_so_far_by_hand():
    table = by_hand(
        ["A", "A", "A", "A", "B", "B"],
        [0, 21, 42, 63, 0, 30],
        [[1, NAN, 5], [3, 4, 5], [3, NAN, 5], [9, 8, 5], [NAN, 2, 7], [NAN, 6, 7]],
    )
    expected = [[1, NAN, 5], [2, 4, 5], [7 / 3, 4, 5], [4, 6, 5], [NAN, 2, 7], [NAN, 4, 7]]
    np.testing.assert_allclose(running_mean(table), expected)


def test_nadir_and_slope_by_hand():
    table = by_hand(["A", "A", "A", "B", "B"], [0, 21, 63, 0, 42], [[2.0], [1.0], [7.0], [NAN], [5.0]])
    lowest, slope = nadir_and_slope(table, [0])
    np.testing.assert_allclose(lowest, [[2], [1], [1], [NAN], [5]])
    np.testing.assert_allclose(slope, [[0], [-1], [np.polyfit([0, 1, 3], [2, 1, 7], 1)[0]], [NAN], [0]], atol=1e-9)


def test_course_columns_are_left_out_or_told_as_nadir_and_slope():
    names = (
        "clinical:age",
        "plasma:tumor_fraction",
        "plasma:tumor_fraction:above_nadir",
        "plasma:tumor_fraction:detected",
    )
    table = by_hand(["A", "A"], [0, 21], [[60.0, 1.0, 0.0, 1.0], [60.0, 3.0, 2.0, 1.0]])
    table = replace(table, feature_names=names, modality=("clinical", "plasma", "plasma", "plasma"))
    last, owners = LandmarkLast()._covariates(table)
    np.testing.assert_allclose(last, [[60, 1, 1], [60, 3, 1]])
    assert owners == ["clinical", "plasma", "plasma"]
    course, owners = LandmarkCourse()._covariates(table)
    np.testing.assert_allclose(course, [[60, 1, 1, 1, 0], [60, 3, 1, 1, 2]])
    assert owners == ["clinical", "plasma", "plasma", "plasma", "plasma"]


def test_visits_so_far_by_hand():
    table = by_hand(["A", "A", "A", "B", "C", "C"], [-3, 18, 60, 0, 0, 7], [[0.0]] * 6)
    expected = [[0, NAN, NAN], [1, 21, 21], [2, 42, 31.5], [0, NAN, NAN], [0, NAN, NAN], [1, 7, 7]]
    np.testing.assert_allclose(visit_process(table), expected)


def test_values_that_never_change_have_themselves_as_mean(train, test):
    """Of tissue that was measured once, last value and mean are one and the same."""

    def tissue(table: VisitTable) -> VisitTable:
        return replace(
            table,
            features=table.features[:, :-1],
            modality=table.modality[:-1],
            feature_names=table.feature_names[:-1],
        )

    last, mean = (
        kind(landmarks=DAYS).fit(tissue(train), "os").predict(tissue(test), TIMES)
        for kind in (LandmarkCox, LandmarkMean)
    )
    np.testing.assert_allclose(mean.risk, last.risk, atol=1e-6)


@pytest.mark.parametrize("kind", [LandmarkMean, LandmarkVisits])
def test_the_model_of_a_landmark_knows_nothing_of_later_visits(train, kind):
    """Later values, and whether there was a later visit at all, leave it as it is."""
    keep = train.day <= 42
    outcome = train.outcomes["os"]
    cut = replace(
        train,
        patient_ids=train.patient_ids[keep],
        visit=train.visit[keep],
        day=train.day[keep],
        features=train.features[keep],
        outcomes={"os": VisitOutcome(outcome.duration[keep], outcome.event[keep], outcome.at_risk[keep])},
    )
    changed = replace(train, features=np.where(keep[:, None], train.features, -7.0))
    fits = [kind(landmarks=DAYS).fit(table, "os").models for table in (train, cut, changed)]
    for other in fits[1:]:
        assert len(other) == len(fits[0]) == 2
        for one, same in zip(fits[0], other, strict=True):
            np.testing.assert_array_equal(one.model.coefficients, same.model.coefficients)


def test_visits_alone_see_no_value(train, test):
    def scrambled(table: VisitTable) -> VisitTable:
        return replace(table, features=np.random.default_rng(0).normal(size=table.features.shape))

    plain = LandmarkVisits().fit(train, "os").predict(test, TIMES)
    blind = LandmarkVisits().fit(scrambled(train), "os").predict(scrambled(test), TIMES)
    np.testing.assert_array_equal(blind.risk, plain.risk)
    np.testing.assert_array_equal(blind.survival, plain.survival)


def seen_as_needed(patients: int, seed: int) -> VisitTable:
    """The sicker, the more often seen; nothing is measured."""
    rng = np.random.default_rng(seed)
    sick = rng.normal(size=patients)
    rows = [
        (i, j, float(j * gap))
        for i, gap in enumerate(np.round(20 * np.exp(-0.4 * sick) + rng.uniform(0, 5, patients)))
        for j in range(int(84 // gap) + 1)
    ]
    who, visit, day = (np.array(column) for column in zip(*rows, strict=True))
    end = 85 + rng.exponential(200 * np.exp(-sick))
    return VisitTable(
        patient_ids=np.array([f"P{i:03d}" for i in who], dtype=np.str_),
        visit=visit.astype(np.int64),
        day=day,
        features=np.zeros((len(who), 0)),
        feature_names=(),
        modality=(),
        outcomes={
            "os": VisitOutcome(
                duration=end[who] - day,
                event=np.ones(len(who), dtype=np.bool_),
                at_risk=np.ones(len(who), dtype=np.bool_),
            )
        },
        responses={},
    )


def test_what_the_visits_give_away_is_found():
    train, test = seen_as_needed(150, seed=0), seen_as_needed(300, seed=1)
    assert LandmarkVisits().applies(train, "os")
    risk = LandmarkVisits(landmarks=[0, 63]).fit(train, "os").predict(test, TIMES).risk
    last = np.r_[test.patient_ids[1:] != test.patient_ids[:-1], True] & (test.day >= 63)
    outcome = test.outcomes["os"]
    left = (test.day + outcome.duration)[last]
    assert concordance_index_censored(outcome.event[last], left, risk[last])[0] > 0.65
    single = by_hand(["A", "B"], [0, 0], [[1.0], [2.0]])
    assert not LandmarkVisits().applies(single, "os")


def auroc_at(table: VisitTable, probability: np.ndarray, visit: int) -> float:
    response = table.responses["response"]
    rows = (table.visit == visit) & response.known
    label, score = response.label[rows] == 1, probability[rows, 1]
    pairs = score[label][:, None] - score[~label]
    return float(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


def test_response_is_predicted_better_once_the_marker_knows(train, test):
    landmark = LandmarkLogistic().fit(train, "response").predict(test, TIMES).probability
    static = LogisticAll().fit(train, "response").predict(test, TIMES).probability
    first = test.visit == 0
    np.testing.assert_allclose(landmark[first], static[first])
    assert auroc_at(test, landmark, visit=2) > auroc_at(test, static, visit=2) + 0.03


def test_response_at_a_landmark_is_learnt_from_what_was_known_by_then(train):
    later = train.day > 42
    response = train.responses["response"]
    changed = replace(
        train,
        features=np.where(later[:, None], -7.0, train.features),
        responses={"response": replace(response, label=np.where(later, 1 - response.label, response.label))},
    )
    fits = [LandmarkLogistic(landmarks=DAYS).fit(table, "response").models for table in (train, changed)]
    assert [landmark.day for landmark in fits[0]] == DAYS
    for one, other in zip(*fits, strict=True):
        np.testing.assert_array_equal(one.model.coefficients, other.model.coefficients)


def test_after_the_assessments_the_last_landmark_before_them_serves(train, test):
    """Responses are assessed around day 60, so no landmark of week 12 has anybody to learn from."""
    model = LandmarkLogistic(landmarks=[0, 42, 300]).fit(train, "response")
    assert model.models[-1].day == 42
    scarce = LandmarkLogistic(landmarks=[0, 42], min_patients=1000).fit(train, "response")
    assert [landmark.day for landmark in scarce.models] == [0.0]
    assert np.isfinite(scarce.predict(test, TIMES).probability).all()
