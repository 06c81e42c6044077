"""Binomial regression under many weightings agrees with scikit-learn, and with itself on replicated rows."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fusion.metrics.binomial import fit, inverse, transform


@pytest.fixture
def sample():
    generator = np.random.default_rng(0)
    x = generator.standard_normal(150)
    label = generator.random(150) < inverse("logit", 0.3 + 0.8 * x)
    weights = generator.multinomial(150, np.full(150, 1 / 150), size=4).astype(float)
    return np.stack([np.ones(150), x], axis=1), label.astype(float), weights


def test_logit_agrees_with_scikit_learn(sample):
    design, label, weights = sample
    ours = fit(design, label, 1 - label, weights, "logit")
    for coefficients, weight in zip(ours, weights, strict=True):
        theirs = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(design[:, 1:], label, sample_weight=weight)
        np.testing.assert_allclose(coefficients, [theirs.intercept_[0], theirs.coef_[0, 0]], atol=1e-6)


def test_cloglog_is_at_the_maximum_of_its_likelihood(sample):
    design, label, weights = sample
    best = fit(design, label, 1 - label, weights[:1], "cloglog")[0]

    def log_likelihood(coefficients):
        chance = inverse("cloglog", design @ coefficients)
        return weights[0] @ (label * np.log(chance) + (1 - label) * np.log1p(-chance))

    for nudge in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        assert log_likelihood(best) > log_likelihood(best + np.array(nudge))


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_weights_are_replication(sample, link):
    design, label, weights = sample
    rows = np.repeat(np.arange(150), weights[0].astype(int))
    whole = np.ones((1, len(rows)))
    copied = fit(design[rows], label[rows], 1 - label[rows], whole, link)
    np.testing.assert_allclose(fit(design, label, 1 - label, weights[:1], link), copied, atol=1e-7)


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_no_finite_maximum_is_undefined(link):
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    design, once = np.stack([np.ones(4), x], axis=1), np.ones((1, 4))
    separated = (x > 0).astype(float)
    assert np.isnan(fit(design, separated, 1 - separated, once, link)).all()
    one_class = np.ones(4)
    assert np.isnan(fit(design, one_class, 1 - one_class, once, link)).all()


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_transform_is_undone(link):
    probability = np.array([0.01, 0.3, 0.9])
    np.testing.assert_allclose(inverse(link, transform(link, probability)), probability)
