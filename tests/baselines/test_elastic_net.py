"""The elastic net meets its optimality conditions, leaves noise out, and is not stopped short by tied times."""

from collections.abc import Sequence

import numpy as np
import pytest

from fusion.baselines import elastic_net, penalty
from fusion.baselines.elastic_net import ElasticNetCox
from fusion.baselines.lasso import LEAST_SHARE, NUM_PENALTIES, elastic_net_path
from fusion.baselines.newton import PartialLikelihood

SIGNAL, NOISE = 2, 12


def simulated(patients: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(patients, SIGNAL + NOISE))
    design = (design - design.mean(axis=0)) / design.std(axis=0)
    return design, rng.exponential(np.exp(-design[:, 0] + design[:, 1])), rng.random(patients) < 0.7


def whole_path(*args, **options) -> np.ndarray:
    return np.stack(list(elastic_net_path(*args, **options)), axis=1)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_each_step_of_the_path_is_optimal(l1_ratio):
    """Where a coefficient is not zero, the likelihood pulls exactly as hard as the penalty; elsewhere, no harder."""
    design, duration, event = simulated()
    likelihood = PartialLikelihood(duration, event)
    pull = np.abs(likelihood.derivatives(design, np.zeros(len(design)))[0]) / len(design)
    largest = pull.max() / l1_ratio
    path = whole_path(design, duration, event, l1_ratio, tolerance=1e-4)
    assert path.shape == (SIGNAL + NOISE, NUM_PENALTIES)
    for step in (1, 10, NUM_PENALTIES - 1):
        alpha, beta = largest * LEAST_SHARE ** (step / (NUM_PENALTIES - 1)), path[:, step]
        pull = likelihood.derivatives(design, design @ beta)[0] / len(design) - alpha * (1 - l1_ratio) * beta
        used = beta != 0
        assert used.any()
        np.testing.assert_allclose(pull[used], alpha * l1_ratio * np.sign(beta[used]), atol=1e-3)
        assert (np.abs(pull[~used]) <= alpha * l1_ratio + 1e-3).all()


def test_noise_is_left_out_and_the_signal_is_found():
    design, duration, event = simulated()
    model = ElasticNetCox(l1_ratio=1.0).fit(design, ["expression"] * design.shape[1], duration, event)
    np.testing.assert_allclose(model.coefficients[:SIGNAL], [1, -1], atol=0.3)
    assert np.abs(model.coefficients[SIGNAL:]).max() < 0.05


def test_without_any_signal_the_model_is_empty_or_nearly_so():
    design, duration, event = simulated()
    noise = design[:, SIGNAL:]
    sizes = [
        np.abs(ElasticNetCox(l1_ratio=0.5).fit(noise[order], ["labs"] * NOISE, duration, event).coefficients).sum()
        for order in (np.random.default_rng(seed).permutation(len(noise)) for seed in range(5))
    ]
    assert np.median(sizes) < 0.2


def test_tied_times_do_not_end_the_path():
    """Progression is found at scans, so that most of its times are tied."""
    design, _, event = simulated()
    weak = 0.5 * (design[:, 1] - design[:, 0])
    tied = np.ceil(np.random.default_rng(1).exponential(np.exp(weak)) * 4) * 42
    assert len(np.unique(tied)) < len(tied) / 5
    path = whole_path(design, tied, event, 0.5)
    assert (np.diff(np.abs(path).sum(axis=0)) > 0).all()


def test_no_event_gives_no_coefficient():
    design, duration, _ = simulated(20)
    assert not whole_path(design, duration, np.zeros(20, dtype=np.bool_), 0.5).any()


def test_the_path_agrees_with_scikit_survival():
    linear_model = pytest.importorskip("sksurv.linear_model")
    design, duration, event = simulated()
    outcome = np.array(list(zip(event, duration, strict=True)), dtype=[("event", bool), ("time", float)])
    theirs = linear_model.CoxnetSurvivalAnalysis(l1_ratio=0.5, n_alphas=NUM_PENALTIES, alpha_min_ratio=LEAST_SHARE)
    np.testing.assert_allclose(
        whole_path(design, duration, event, 0.5, tolerance=1e-6), theirs.fit(design, outcome).coef_, atol=2e-3
    )


def test_a_path_is_walked_no_further_than_it_is_asked(monkeypatch):
    """Tuning leaves a path once the held-out likelihood has fallen far below its best, where no weight is left."""
    design, duration, event = simulated()
    walked = []

    def counted(*args):
        for beta in elastic_net_path(*args):
            walked.append(beta)
            yield beta

    found = {}
    for limit in (5.0, np.inf):
        walked.clear()
        monkeypatch.setattr(penalty, "GIVE_UP", limit)
        monkeypatch.setattr(elastic_net, "elastic_net_path", counted)
        model = ElasticNetCox(l1_ratio=0.5).fit(design, ["labs"] * design.shape[1], duration, event)
        found[limit] = model.coefficients
        assert model.weights is not None
        assert len(walked) == 5 * len(model.weights)
        assert len(model.weights) == NUM_PENALTIES if limit == np.inf else len(model.weights) <= NUM_PENALTIES
        np.testing.assert_allclose(model.weights.sum(), 1.0)
    np.testing.assert_allclose(found[5.0], found[np.inf], atol=0.02)


def test_an_average_over_penalties_foretells_better_than_the_best_of_them(monkeypatch):
    """Thirty samples of sixty patients with weak effects, each asked about two thousand others."""

    def weak(patients: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        design, _, event = simulated(patients, seed)
        hazard = np.exp(0.4 * (design[:, 1] - design[:, 0]))
        return design, np.random.default_rng(seed).exponential(1 / hazard), event

    def best(scores: Sequence[float]) -> np.ndarray:
        return np.eye(len(scores))[np.argmax(scores)]

    others, *outcome = weak(2000, seed=99)
    gains = []
    for seed in range(30):
        design, duration, event = weak(60, seed)
        said = []
        for weigh in (penalty.belief, best):
            monkeypatch.setattr(elastic_net, "belief", weigh)
            model = ElasticNetCox(l1_ratio=0.5).fit(design, ["labs"] * design.shape[1], duration, event)
            said.append(PartialLikelihood(*outcome).value(model.log_hazard(others)))
        gains.append(said[0] - said[1])
    assert np.mean(gains) > 0
    assert np.mean(np.array(gains) > 0) > 0.5
