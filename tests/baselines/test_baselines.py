"""Every baseline finds a signal that is there, none that is not, and survives what real tables hold."""

from dataclasses import replace

import numpy as np
import pytest
from sksurv.metrics import concordance_index_censored

from fusion.baselines import (
    Baseline,
    Boosting,
    CoxAll,
    CoxClinical,
    CoxStage,
    ElasticNet,
    Forest,
    KaplanMeier,
    LandmarkCox,
    LandmarkElasticNet,
    LandmarkLogistic,
    LandmarkMean,
    LandmarkVisits,
    LogisticAll,
    LogisticClinical,
    ResponseEstimate,
    Stacking,
    default_baselines,
)
from fusion.survival import kaplan_meier
from fusion.types import VisitOutcome, VisitTable

TIMES = np.arange(30.0, 721.0, 30.0)
OF_FIRST_VISIT = [CoxStage, CoxClinical, CoxAll, ElasticNet, Stacking, Boosting, Forest]
WITH_COVARIATES = [*OF_FIRST_VISIT, LandmarkCox, LandmarkElasticNet, LandmarkMean]
SURVIVAL = [KaplanMeier, *WITH_COVARIATES, LandmarkVisits]
LOGISTIC = [LogisticClinical, LogisticAll, LandmarkLogistic]


def concordance(table: VisitTable, risk: np.ndarray, visit: int = 0) -> float:
    rows = table.visit == visit
    outcome = table.outcomes["os"]
    return concordance_index_censored(outcome.event[rows], outcome.duration[rows], risk[rows])[0]


def auroc(table: VisitTable, probability: np.ndarray) -> float:
    rows = table.visit == 0
    label, score = table.responses["response"].label[rows] == 1, probability[rows, 1]
    pairs = score[label][:, None] - score[~label]
    return float(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


def with_rows(table: VisitTable, keep: np.ndarray) -> VisitTable:
    outcome, response = table.outcomes["os"], table.responses["response"]
    return replace(
        table,
        patient_ids=table.patient_ids[keep],
        visit=table.visit[keep],
        day=table.day[keep],
        features=table.features[keep],
        outcomes={"os": VisitOutcome(outcome.duration[keep], outcome.event[keep], outcome.at_risk[keep])},
        responses={"response": type(response)(response.label[keep], response.known[keep])},
    )


def with_outcome(table: VisitTable, **changes: np.ndarray) -> VisitTable:
    return replace(table, outcomes={"os": replace(table.outcomes["os"], **changes)})


@pytest.fixture(scope="module")
def fitted(train) -> dict[type, Baseline]:
    survival = {kind: kind().fit(train, "os") for kind in SURVIVAL}
    return survival | {kind: kind().fit(train, "response") for kind in LOGISTIC}


@pytest.mark.parametrize("kind", SURVIVAL)
def test_curves_are_curves(fitted, test, kind):
    estimate = fitted[kind].predict(test, TIMES)
    assert estimate.survival.shape == (len(test), len(TIMES))
    assert ((estimate.survival >= 0) & (estimate.survival <= 1)).all()
    assert (np.diff(estimate.survival, axis=1) <= 0).all()
    assert np.isfinite(estimate.risk).all()


@pytest.mark.parametrize("kind", WITH_COVARIATES)
def test_signal_is_found(fitted, test, kind):
    assert concordance(test, fitted[kind].predict(test, TIMES).risk) > 0.54


def test_more_is_known_with_more_data_and_later(fitted, test):
    baseline = {kind: concordance(test, fitted[kind].predict(test, TIMES).risk) for kind in WITH_COVARIATES}
    assert baseline[CoxAll] > baseline[CoxClinical] + 0.02
    at_week_6 = {kind: concordance(test, fitted[kind].predict(test, TIMES).risk, visit=2) for kind in WITH_COVARIATES}
    assert at_week_6[LandmarkCox] > at_week_6[CoxAll] + 0.03


@pytest.mark.parametrize("kind", WITH_COVARIATES)
def test_predicted_survival_is_calibrated_in_the_large(fitted, test, kind):
    for visit in (0, 3):
        rows = test.visit == visit
        outcome = test.outcomes["os"]
        observed = kaplan_meier(outcome.duration[rows], outcome.event[rows])(TIMES[[5, 11]])
        predicted = fitted[kind].predict(test, TIMES).survival[rows][:, [5, 11]].mean(axis=0)
        np.testing.assert_allclose(predicted, observed, atol=0.1)


@pytest.mark.parametrize("kind", WITH_COVARIATES)
def test_no_signal_gives_a_half(make_table, kind):
    model = kind().fit(make_table(seed=3, signal=0.0), "os")
    null = make_table(seed=4, signal=0.0, patients=300, prefix="T")
    assert abs(concordance(null, model.predict(null, TIMES).risk) - 0.5) < 0.06


@pytest.mark.parametrize("kind", LOGISTIC)
def test_response_is_found_and_null_is_a_half(fitted, test, make_table, kind):
    estimate = fitted[kind].predict(test, TIMES)
    assert isinstance(estimate, ResponseEstimate)
    np.testing.assert_allclose(estimate.probability.sum(axis=1), 1.0)
    assert auroc(test, estimate.probability) > 0.56
    null = make_table(seed=4, signal=0.0, patients=300, prefix="T")
    model = kind().fit(make_table(seed=3, signal=0.0), "response")
    assert abs(auroc(null, model.predict(null, TIMES).probability) - 0.5) < 0.08


def test_kaplan_meier_is_the_curve_given_that_the_visit_was_reached(train):
    estimate = KaplanMeier().fit(train, "os").predict(train, TIMES)
    outcome, first = train.outcomes["os"], train.visit == 0
    curve = kaplan_meier(outcome.duration[first], outcome.event[first])
    row = int(np.flatnonzero(train.visit == 2)[0])
    day = train.day[row]
    np.testing.assert_allclose(estimate.survival[row], curve(day + TIMES) / curve(day))
    assert np.ptp(estimate.risk) == 0.0


@pytest.mark.parametrize("kind", SURVIVAL)
def test_baseline_models_and_landmarks_read_no_later_visit(fitted, test, kind):
    """What comes after a visit changes nothing at it."""
    changed = replace(test, features=np.where(test.visit[:, None] > 2, 99.0, test.features))
    before, after = (fitted[kind].predict(table, TIMES) for table in (test, changed))
    early = test.visit <= 2
    np.testing.assert_array_equal(after.risk[early], before.risk[early])
    np.testing.assert_array_equal(after.survival[early], before.survival[early])


def test_landmark_training_reads_nothing_after_the_landmark(train):
    """The model of day 42 is the same whatever was measured later."""
    changed = replace(train, features=np.where(train.day[:, None] > 42, 0.5, train.features))
    days = [0.0, 42.0]
    fits = [LandmarkCox(landmarks=days).fit(table, "os") for table in (train, changed)]
    for one, other in zip(fits[0].models, fits[1].models, strict=True):
        np.testing.assert_array_equal(one.model.coefficients, other.model.coefficients)


@pytest.mark.parametrize("kind", [*SURVIVAL, *LOGISTIC])
def test_a_fit_repeats_to_the_bit(fitted, train, test, kind):
    again = kind().fit(train, "os" if kind in SURVIVAL else "response")
    once, twice = (model.predict(test, TIMES) for model in (fitted[kind], again))
    for name in vars(once):
        np.testing.assert_array_equal(getattr(once, name), getattr(twice, name))


@pytest.mark.parametrize("kind", SURVIVAL)
def test_all_censored_training_part_predicts_survival(train, test, kind):
    censored = with_outcome(train, event=np.zeros(len(train), dtype=bool))
    estimate = kind().fit(censored, "os").predict(test, TIMES)
    assert (estimate.survival == 1.0).all()
    assert np.isfinite(estimate.risk).all()


@pytest.mark.parametrize("kind", SURVIVAL)
@pytest.mark.parametrize("patients", [0, 1, 2, 6])
def test_hardly_anyone_at_risk_is_defined(train, test, kind, patients):
    at_risk = np.isin(train.patient_ids, np.unique(train.patient_ids)[:patients])
    estimate = kind().fit(with_outcome(train, at_risk=at_risk), "os").predict(test, TIMES)
    assert np.isfinite(estimate.survival).all()
    assert np.isfinite(estimate.risk).all()


@pytest.mark.parametrize("kind", SURVIVAL)
def test_one_event_is_defined(train, test, kind):
    """Of the one who has it, every visit tells the same event."""
    event = train.outcomes["os"].event & (train.patient_ids == train.patient_ids[train.outcomes["os"].event][0])
    estimate = kind().fit(with_outcome(train, event=event), "os").predict(test, TIMES)
    assert np.isfinite(estimate.risk).all()
    assert ((estimate.survival >= 0) & (estimate.survival <= 1)).all()


@pytest.mark.parametrize("kind", SURVIVAL)
def test_constant_columns_and_one_modality_are_defined(train, test, kind):
    for features in (np.ones((len(train), 1)), train.features[:, :1]):
        narrow = replace(train, features=features, feature_names=("clinical:stage",), modality=("clinical",))
        seen = replace(test, features=test.features[:, :1], feature_names=("clinical:stage",), modality=("clinical",))
        estimate = kind().fit(narrow, "os").predict(seen, TIMES)
        assert np.isfinite(estimate.risk).all()
        assert np.isfinite(estimate.survival).all()


@pytest.mark.parametrize("kind", LOGISTIC)
@pytest.mark.parametrize("labels", ["none", "one class"])
def test_response_without_two_classes_predicts_the_share(train, test, kind, labels):
    response = train.responses["response"]
    known = response.known & (response.label == 1) if labels == "one class" else np.zeros_like(response.known)
    table = replace(train, responses={"response": replace(response, known=known)})
    probability = kind().fit(table, "response").predict(test, TIMES).probability
    assert np.ptp(probability[:, 1]) == 0.0
    assert probability[0, 1] > 0.98 if labels == "one class" else probability[0, 1] == 0.5


@pytest.mark.parametrize("kind", [CoxAll, ElasticNet, Stacking, Boosting, Forest, LandmarkCox])
def test_constant_and_never_measured_columns_change_nothing(fitted, train, test, kind):
    def widened(table: VisitTable) -> VisitTable:
        extra = np.column_stack([np.full(len(table), 3.0), np.full(len(table), np.nan)])
        return replace(
            table,
            features=np.concatenate([table.features, extra], axis=1),
            feature_names=(*table.feature_names, "labs:constant", "labs:never"),
            modality=(*table.modality, "labs", "labs"),
        )

    plain = fitted[kind].predict(test, TIMES)
    wide = kind().fit(widened(train), "os").predict(widened(test), TIMES)
    np.testing.assert_allclose(wide.risk, plain.risk, atol=1e-8)


@pytest.mark.parametrize("kind", WITH_COVARIATES)
def test_a_patient_of_whom_nothing_is_known_gets_a_prediction(fitted, test, kind):
    estimate = fitted[kind].predict(replace(test, features=np.full_like(test.features, np.nan)), TIMES)
    assert np.isfinite(estimate.survival).all()


def test_landmark_with_few_events_falls_back_to_the_one_before(train, test):
    short = with_rows(train, train.day < 100)
    model = LandmarkCox(landmarks=[0.0, 42.0, 84.0, 5000.0]).fit(short, "os")
    assert [landmark.day for landmark in model.models] == [0.0, 42.0, 84.0]
    scarce = LandmarkCox(landmarks=[0.0, 42.0], min_events=10_000).fit(train, "os")
    assert [landmark.day for landmark in scarce.models] == [0.0]
    assert np.isfinite(scarce.predict(test, TIMES).risk).all()


def test_what_does_not_apply_says_so(train):
    applies = {
        model.name: (model.applies(train, "os"), model.applies(train, "response")) for model in default_baselines()
    }
    assert applies == {
        "km": (True, False),
        "cox_stage": (True, False),
        "cox_clinical": (True, False),
        "cox_all": (True, False),
        "elastic_net": (True, False),
        "stacking": (True, False),
        "boosting": (True, False),
        "forest": (True, False),
        "landmark_last": (True, False),
        "landmark_cox": (True, False),
        "landmark_elastic_net": (True, False),
        "landmark_course": (True, False),
        "landmark_mean": (True, False),
        "landmark_visits": (True, False),
        "logistic_clinical": (False, True),
        "logistic_all": (False, True),
        "landmark_logistic": (False, True),
    }
    nameless = replace(train, feature_names=tuple(f"assay:{i}" for i in range(len(train.modality))))
    assert not CoxStage().applies(nameless, "os")
    assert not CoxClinical().applies(replace(train, modality=("plasma",) * len(train.modality)), "os")


def test_baseline_model_does_not_move_with_later_features_of_the_patient(fitted, test):
    risk = fitted[CoxAll].predict(test, TIMES).risk
    for patient in np.unique(test.patient_ids)[:20]:
        assert np.ptp(risk[test.patient_ids == patient]) == 0.0
