"""Weibull and log-normal agree with survreg of R, lifelines and SciPy."""

import numpy as np
import pytest
import torch
from lifelines import LogNormalAFTFitter
from lifelines.datasets import load_lung, load_rossi
from outcomes import exponential
from scipy import stats

from fusion.losses.fit import minimise
from fusion.losses.lognormal_aft import LogNormalAFT, lognormal_aft_nll
from fusion.losses.weibull_aft import WeibullAFT, weibull_aft_nll
from fusion.types import Outcome


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(np.array(values, dtype=float))


def fitted_log_likelihood(nll, covariates, duration, event) -> float:
    """Maximum over coefficients, intercept and scale."""
    covariates = (covariates - covariates.mean(dim=0)) / covariates.std(dim=0)

    def loss(parameters):
        location = parameters[0] + covariates @ parameters[2:]
        return nll(location, parameters[1].exp().expand_as(location), duration, event)

    start = torch.zeros(covariates.shape[1] + 2)
    start[0] = float(duration.log().mean())
    return -float(loss(minimise(loss, start))) * len(duration)


def test_weibull_lung_as_lifelines():
    """Lifelines 0.30.3 and a free optimum by SciPy agree on every digit."""
    lung = load_lung()
    event = tensor(lung["status"]) == 1
    found = fitted_log_likelihood(weibull_aft_nll, tensor(lung[["age", "sex"]]), tensor(lung["time"]), event)
    assert found == pytest.approx(-1147.05443143195, abs=1e-6)


def test_weibull_rossi_as_survreg():
    rossi = load_rossi()
    covariates = tensor(rossi.drop(columns=["week", "arrest"]))
    found = fitted_log_likelihood(weibull_aft_nll, covariates, tensor(rossi["week"]), tensor(rossi["arrest"]) == 1)
    assert found == pytest.approx(-679.916563937, abs=1e-6)


def test_lognormal_rossi_as_lifelines():
    rossi = load_rossi()
    fitter = LogNormalAFTFitter().fit(rossi, "week", "arrest")
    covariates = tensor(rossi.drop(columns=["week", "arrest"]))
    found = fitted_log_likelihood(lognormal_aft_nll, covariates, tensor(rossi["week"]), tensor(rossi["arrest"]) == 1)
    assert found == pytest.approx(fitter.log_likelihood_, abs=1e-3)


@pytest.mark.parametrize(
    ("nll", "law"),
    [
        (weibull_aft_nll, lambda m, s: stats.weibull_min(c=1 / s, scale=np.exp(m))),
        (lognormal_aft_nll, lambda m, s: stats.lognorm(s=s, scale=np.exp(m))),
    ],
)
def test_density_and_survival_are_those_of_scipy(nll, law):
    rng = np.random.default_rng(0)
    location, scale, time = rng.normal(5, 1, 20), rng.uniform(0.3, 2, 20), rng.exponential(200, 20) + 1
    event = rng.random(20) < 0.5
    rows = zip(location, scale, time, event, strict=True)
    truth = [law(m, s).logpdf(t) if e else law(m, s).logsf(t) for m, s, t, e in rows]
    found = nll(tensor(location), tensor(scale), tensor(time), torch.tensor(event))
    assert float(found) == pytest.approx(-np.mean(truth), rel=1e-9)


@pytest.mark.parametrize("make", [WeibullAFT, LogNormalAFT])
def test_second_fit_finds_the_noise_that_is_left(make):
    """Outputs that explain most of the spread leave a smaller scale, and curves that are steeper."""
    generator = torch.Generator().manual_seed(0)
    location = 2.0 * torch.randn(800, 1, generator=generator)
    noise = torch.randn(800, 1, generator=generator)
    time = torch.exp(5.0 + location + 0.3 * noise)
    event = torch.ones_like(time, dtype=torch.bool)
    outcome, loss = Outcome(time, event, event), make()
    loss.prepare(outcome, torch.ones_like(time))
    outputs = torch.stack([location, torch.zeros_like(location)], dim=-1)
    before = float(loss(outputs, outcome, torch.ones_like(time)))
    loss.calibrate(outputs, outcome, torch.zeros_like(time))
    assert float(loss(outputs, outcome, torch.ones_like(time))) < before - 0.5
    if make is LogNormalAFT:
        found = loss.level[0].double()
        assert float(found[0]) == pytest.approx(5.0, abs=0.05)
        assert float(torch.nn.functional.softplus(found[1]) + 0.05) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("make", [WeibullAFT, LogNormalAFT])
def test_risk_is_minus_the_log_of_the_median(make):
    outcome, loss = exponential(), make()
    loss.prepare(outcome, torch.ones_like(outcome.duration))
    outputs = torch.tensor([[[0.5, -0.3]]])
    median = torch.exp(-loss.predict(outputs, torch.ones(1)).risk[0])
    assert float(loss.predict(outputs, median).survival) == pytest.approx(0.5, abs=1e-4)
