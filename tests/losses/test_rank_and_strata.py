"""Pairs agree with a double loop; strata compare within themselves, as R has it."""

from itertools import product

import numpy as np
import pytest
import torch
from lifelines.datasets import load_lung

from fusion.losses.cox import Cox
from fusion.losses.cox_stratified import CoxStratified
from fusion.losses.rank import pairwise_nll
from fusion.types import Outcome


def test_pairs_are_the_definition():
    rng = np.random.default_rng(0)
    n = 15
    eta, weight = rng.normal(size=n), rng.random(n)
    duration, event = rng.integers(1, 6, n).astype(float), rng.random(n) < 0.5
    total = pairs = 0.0
    for i, j in product(range(n), range(n)):
        if event[i] and (duration[j] > duration[i] or (duration[j] == duration[i] and not event[j])):
            total += weight[i] * weight[j] * np.log1p(np.exp(eta[j] - eta[i]))
            pairs += weight[i] * weight[j]
    found = pairwise_nll(*(torch.tensor(x) for x in (eta, duration, event)), weight=torch.tensor(weight))
    assert float(found) == pytest.approx(total / pairs)


def test_pairs_find_the_log_hazard_ratio_in_spite_of_censoring():
    generator = torch.Generator().manual_seed(0)
    covariate = torch.randn(1500, generator=generator)
    time = -torch.rand(1500, generator=generator).log() * torch.exp(-covariate)
    censored = torch.rand(1500, generator=generator)
    duration, event = torch.minimum(time, censored), time <= censored
    grid = torch.linspace(0.5, 1.5, 21)
    losses = torch.stack([pairwise_nll(slope * covariate, duration, event) for slope in grid])
    assert float(grid[losses.argmin()]) == pytest.approx(1.0, abs=0.15)


def test_lung_stratified_by_sex_as_coxph():
    lung = load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna()
    column = {name: torch.tensor(lung[name].to_numpy(dtype=float)) for name in lung}
    log_hazard = 0.02 * column["age"] - 0.5 * column["sex"] + 0.5 * column["ph.ecog"]
    event = column["status"][:, None] == 1
    outcome = Outcome(
        duration=column["time"][:, None],
        event=event,
        at_risk=torch.ones_like(event),
        stratum=column["sex"][:, None].long(),
    )
    found = CoxStratified()(log_hazard[:, None, None], outcome, torch.ones(227, 1))
    assert -float(found) * int(event.sum()) == pytest.approx(-629.411615618085, rel=1e-6)


def test_a_shift_of_a_whole_site_is_not_learned():
    generator = torch.Generator().manual_seed(1)
    stratum = torch.arange(300)[:, None] % 3
    duration = -torch.rand(300, 1, generator=generator).log() * 100 * (1 + stratum)
    event = torch.ones_like(duration, dtype=torch.bool)
    outcome = Outcome(duration, event, event, stratum=stratum)
    outputs, weight = torch.randn(300, 1, 1, generator=generator), torch.ones(300, 1)
    loss = CoxStratified()
    shifted = outputs + torch.tensor([0.0, 2.0, -1.0])[stratum][..., None]
    torch.testing.assert_close(loss(shifted, outcome, weight), loss(outputs, outcome, weight))
    bare = Outcome(duration, event, event)
    torch.testing.assert_close(loss(outputs, bare, weight), Cox()(outputs, bare, weight))
    loss.calibrate(outputs, outcome, torch.zeros(300, 1))
    pooled = Cox()
    pooled.calibrate(outputs, bare, torch.zeros(300, 1))
    times = torch.tensor([50.0, 200.0])
    torch.testing.assert_close(loss.predict(outputs, times).survival, pooled.predict(outputs, times).survival)
