"""The log-rank test agrees with lifelines and does not care how groups are named."""

import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test

from fusion.report.log_rank import log_rank


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_agrees_with_lifelines_with_ties_and_censoring(groups: int) -> None:
    rng = np.random.default_rng(groups)
    group = rng.integers(0, groups, 90)
    duration = np.ceil(rng.exponential(8 * (1 + group)))
    event = rng.random(90) < 0.7
    expected = multivariate_logrank_test(duration, group, event).p_value
    assert log_rank(duration, event, group) == pytest.approx(expected, rel=1e-8)
    assert log_rank(duration, event, groups - group) == pytest.approx(expected, rel=1e-8)


def test_undefined_without_groups_or_events() -> None:
    duration, event = np.arange(1.0, 7.0), np.ones(6, dtype=bool)
    assert np.isnan(log_rank(duration, event, np.zeros(6, dtype=np.int64)))
    assert np.isnan(log_rank(duration, ~event, np.arange(6) % 2))
