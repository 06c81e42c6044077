"""Response metrics against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from fusion.metrics.response import HeldOutResponse, auprc, auroc, response_statistics, threshold_metrics


@pytest.fixture
def held_out():
    generator = np.random.default_rng(0)
    probability = generator.uniform(0.05, 0.95, 2000)
    return HeldOutResponse(
        patient=np.arange(2000),
        fold=np.arange(2000) % 5,
        label=generator.random(2000) < probability,
        probability=probability,
        threshold=dict.fromkeys(range(5), 0.5),
    )


def test_tied_scores_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    label, score = generator.random(200) < 0.4, generator.integers(0, 10, 200) / 10
    assert auroc(label, score) == pytest.approx(roc_auc_score(label, score))
    assert auprc(label, score) == pytest.approx(average_precision_score(label, score))


def test_one_class_is_undefined():
    assert np.isnan(auroc([1, 1], [0.2, 0.8]))
    assert np.isnan(auprc([0, 0], [0.2, 0.8]))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="leave those patients out"):
        auroc([0, 1], [0.2, float("nan")])


def test_threshold_by_hand():
    found = threshold_metrics([1, 1, 1, 0, 0], [0.9, 0.5, 0.1, 0.6, 0.2], threshold=0.5)
    assert (found.sensitivity, found.specificity) == (pytest.approx(2 / 3), 0.5)
    assert (found.positive_predictive_value, found.negative_predictive_value) == (pytest.approx(2 / 3), 0.5)
    assert found.accuracy == pytest.approx(3 / 5)


def test_nobody_positive_has_no_predictive_value():
    assert np.isnan(threshold_metrics([1, 0], [0.1, 0.2], threshold=0.5).positive_predictive_value)


def test_the_truth_is_calibrated_and_scored_as_the_plain_functions_do(held_out):
    found = {name: value[0] for name, value in response_statistics(held_out, np.ones((1, 2000))).items()}
    assert found["calibration_slope"] == pytest.approx(1, abs=0.12)
    assert found["calibration_intercept"] == pytest.approx(0, abs=0.12)
    assert found["auprc"] == pytest.approx(auprc(held_out.label, held_out.probability))
    by_fold = [auroc(held_out.label[held_out.fold == k], held_out.probability[held_out.fold == k]) for k in range(5)]
    assert found["auroc"] == pytest.approx(np.mean(by_fold), abs=2e-3)
    at_half = threshold_metrics(held_out.label, held_out.probability, 0.5)
    assert (found["sensitivity"], found["specificity"]) == (
        pytest.approx(at_half.sensitivity),
        pytest.approx(at_half.specificity),
    )


def test_a_constant_per_fold_has_no_slope_and_an_auroc_of_one_half(held_out):
    flat = HeldOutResponse(
        patient=held_out.patient,
        fold=held_out.fold,
        label=held_out.label,
        probability=0.4 + 0.01 * held_out.fold,
        threshold=held_out.threshold,
    )
    found = response_statistics(flat, np.ones((1, 2000)))
    assert found["auroc"][0] == 0.5
    assert np.isnan(found["calibration_slope"][0])
