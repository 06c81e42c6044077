"""The kernels of the bootstrap agree with the plain functions, resample by resample."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from fusion.metrics import weighted
from fusion.metrics.functional import concordance_index


@pytest.fixture
def cohort():
    generator = np.random.default_rng(3)
    size = 70
    return {
        "risk": generator.integers(0, 9, size).astype(float),
        "duration": generator.integers(1, 20, size).astype(float),
        "event": generator.random(size) < 0.6,
        "weights": generator.multinomial(size, np.full(size, 1 / size), size=6).astype(float),
        "group": generator.integers(0, 3, size),
    }


def test_concordance_of_every_weighting(cohort):
    risk, duration, event, weights = (cohort[name] for name in ("risk", "duration", "event", "weights"))
    one_group = np.zeros(len(risk), dtype=np.int64)
    ours = weighted.concordance(weights, risk, duration, event, event.astype(float), one_group)
    np.testing.assert_allclose(ours, [concordance_index(risk, duration, event, weight) for weight in weights])


@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_counting_by_rank_equals_looking_at_every_pair(cohort, monkeypatch, chunk: int):
    arguments = [cohort[name] for name in ("weights", "risk", "duration", "event")]
    by_tau = cohort["event"] * (cohort["duration"] < 15) / 0.7  # as Uno: later events weigh nothing
    for case in (cohort["event"].astype(float), by_tau):
        for group in (cohort["group"], np.zeros(len(case), dtype=np.int64)):
            monkeypatch.setattr(weighted, "CHUNK", 512)
            pairs = weighted.concordance(*arguments, case, group)
            monkeypatch.setattr(weighted, "CHUNK", chunk)
            np.testing.assert_allclose(weighted.concordance(*arguments, case, group), pairs, rtol=1e-12)


def test_a_shift_of_one_groups_risks_changes_nothing(cohort):
    risk, duration, event, weights, group = (cohort[name] for name in ("risk", "duration", "event", "weights", "group"))
    shifted = risk * (1 + group) + 100.0 * group
    for case in (event.astype(float), event / 0.7):
        first, second = (weighted.concordance(weights, each, duration, event, case, group) for each in (risk, shifted))
        np.testing.assert_allclose(first, second)
    case, control = event.astype(float), (~event).astype(float)
    first, second = (weighted.auc(weights, each, case, control, group) for each in (risk, shifted))
    np.testing.assert_allclose(first, second)


def test_auc_and_average_precision_agree_with_scikit_learn(cohort):
    score, label, weights = cohort["risk"], cohort["event"], cohort["weights"]
    one_group = np.zeros(len(score), dtype=np.int64)
    area = weighted.auc(weights, score, label.astype(float), (~label).astype(float), one_group)
    np.testing.assert_allclose(area, [roc_auc_score(label, score, sample_weight=weight) for weight in weights])
    precision = weighted.average_precision(weights, score, label)
    expected = [average_precision_score(label, score, sample_weight=weight) for weight in weights]
    np.testing.assert_allclose(precision, expected)


def test_auc_over_groups_counts_pairs_within_them(cohort):
    score, label, group = cohort["risk"], cohort["event"], cohort["group"]
    order = np.sign(score[label][:, None] - score[~label])
    same = group[label][:, None] == group[~label]
    expected = (0.5 + 0.5 * order)[same].mean()
    ours = weighted.auc(np.ones((1, len(score))), score, label.astype(float), (~label).astype(float), group)
    assert ours[0] == pytest.approx(expected)


def test_one_class_is_undefined_never_zero():
    none, some = np.zeros(3), np.ones(3)
    assert np.isnan(weighted.auc(np.ones((1, 3)), np.arange(3.0), none, some, np.zeros(3, dtype=np.int64)))
    assert np.isnan(weighted.average_precision(np.ones((1, 3)), np.arange(3.0), np.zeros(3, dtype=bool)))
